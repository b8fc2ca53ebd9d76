"""`/user/*`: makes, shows and changes users."""

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from routeiq_appliance.api.management.answers import (
    NewUserAnswer,
    UserAnswer,
    UserInfo,
    answer,
    key_info,
    user_info,
)
from routeiq_appliance.api.management.changes import allowance_of, limit_changes
from routeiq_appliance.api.management.context import KEYS_SHOWN, Context
from routeiq_appliance.api.management.schemas import NewUser, UpdateUser
from routeiq_appliance.errors import CallError
from routeiq_appliance.state.records import UserRecord

__all__ = ["user_routes"]


def user_routes(context: Context) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["users"], dependencies=[Depends(context.admins_only)])

    @router.post("/user/new", response_model=NewUserAnswer)
    async def new(body: NewUser) -> Response:
        context.require_strategy(body.metadata)
        now = context.now()
        user = UserRecord(
            body.user_id or str(uuid.uuid4()),
            body.user_alias,
            body.metadata or {},
            now,
            allowance_of(body, now),
        )

        def create() -> tuple[str | None, str | None]:
            context.users.create(user)
            if not body.auto_create_key:
                return None, None
            key, record = context.keys.create(now=now, user_id=user.id)
            return key, record.id

        key, token_id = await context.run(create)
        # Keys may have named the user before it was made.
        context.changed(f"user:{user.id}")
        shown = user_info(user, spend=await context.run(lambda: _spend(context, user)), now=now)
        return answer({"key": key, "token_id": token_id, **shown})

    @router.post("/user/update", response_model=UserInfo)
    async def update(body: UpdateUser) -> Response:
        context.require_strategy(body.metadata)
        now = context.now()
        changes = limit_changes(body)
        if "user_alias" in body.model_fields_set:
            changes["alias"] = body.user_alias
        user = await context.run(lambda: context.users.update(body.user_id, changes, now=now))
        if user is None:
            raise _unknown()
        context.changed(f"user:{user.id}")
        shown = user_info(user, spend=await context.run(lambda: _spend(context, user)), now=now)
        # LiteLLM's answer has the user under `data`.
        return answer({**shown, "data": shown})

    @router.get("/user/info", response_model=UserAnswer)
    async def info(user_id: Annotated[str, Query(min_length=1, max_length=128)]) -> Response:
        now = context.now()

        def read() -> dict[str, Any] | None:
            user = context.users.get(user_id)
            if user is None:
                return None
            keys = context.keys.held_by(user_id=user_id, limit=KEYS_SHOWN)
            scopes = {f"key:{key.id}": key.allowance for key in keys}
            spent = context.spend_of({f"user:{user.id}": user.allowance, **scopes})
            shown = user_info(user, spend=spent[f"user:{user.id}"], now=now)
            return {
                "user_id": user.id,
                "spend": shown["spend"],
                "user_info": shown,
                "keys": [key_info(key, spend=spent[f"key:{key.id}"], now=now) for key in keys],
            }

        found = await context.run(read)
        if found is None:
            raise _unknown()
        return answer(found)

    return router


def _spend(context: Context, user: UserRecord) -> int:
    return context.spend_of({f"user:{user.id}": user.allowance})[f"user:{user.id}"]


def _unknown() -> CallError:
    return CallError(404, "`user_id`: there is no such user", code="user_not_found", param="user_id")
