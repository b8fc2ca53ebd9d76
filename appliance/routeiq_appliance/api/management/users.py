"""`/user/*`: makes, shows, lists, changes and deletes users."""

import uuid
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from routeiq_appliance.api.management.answers import answer, key_info, team_info, user_info
from routeiq_appliance.api.management.changes import allowance_of, limit_changes, unique
from routeiq_appliance.api.management.context import KEYS_SHOWN, Context
from routeiq_appliance.api.management.fields import Name
from routeiq_appliance.api.management.group_schemas import UsersQuery
from routeiq_appliance.api.management.schemas import DeleteUsers, NewUser, UpdateUser
from routeiq_appliance.api.management.shapes import NewUserAnswer, UserAnswer, UserInfo, UserPage
from routeiq_appliance.errors import CallError
from routeiq_appliance.state.access import MissingError
from routeiq_appliance.state.records import MemberRecord, UserRecord

__all__ = ["user_routes"]


def user_routes(context: Context) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["users"], dependencies=[Depends(context.admins_only)])

    @router.post("/user/new", response_model=NewUserAnswer)
    async def new(body: NewUser) -> Response:
        return await _new(context, body)

    @router.post("/user/update", response_model=UserInfo)
    async def update(body: UpdateUser) -> Response:
        return await _update(context, body)

    @router.get("/user/info", response_model=UserAnswer)
    async def info(user_id: Annotated[Name, Query()]) -> Response:
        return await _info(context, user_id)

    @router.get("/user/list", response_model=UserPage)
    async def search(query: Annotated[UsersQuery, Query()]) -> Response:
        return await _search(context, query)

    @router.post("/user/delete", response_model=int)
    async def delete(body: DeleteUsers) -> Response:
        return await _delete(context, body)

    return router


async def _new(context: Context, body: NewUser) -> Response:
    _check_names(context, body)
    key, token_id, user = await context.run(lambda: _create(context, body))
    # Keys may have named the user before it was made.
    context.changed(f"user:{user.id}")
    shown = (await context.run(lambda: _shown(context, [user])))[0]
    return answer({"key": key, "token_id": token_id, **shown})


async def _update(context: Context, body: UpdateUser) -> Response:
    _check_names(context, body)
    changes = limit_changes(body)
    given = body.model_fields_set
    for name, column in (("user_alias", "alias"), ("user_email", "email"), ("user_role", "role")):
        if name in given:
            changes[column] = getattr(body, name)
    if "models" in given:
        changes["models"] = unique(body.models)

    def write() -> UserRecord | None:
        _require_free(context, body.user_email, except_for=body.user_id)
        return context.users.update(body.user_id, changes, now=context.now())

    user = await context.run(write)
    if user is None:
        raise _unknown()
    context.changed(f"user:{user.id}")
    shown = (await context.run(lambda: _shown(context, [user])))[0]
    # LiteLLM's answer has the user under `data`.
    return answer({**shown, "data": shown})


async def _info(context: Context, user_id: str) -> Response:
    now = context.now()

    def read() -> dict[str, Any] | None:
        user = context.users.get(user_id)
        if user is None:
            return None
        shown = _shown(context, [user])[0]
        keys = context.keys.held_by(user_id=user_id, limit=KEYS_SHOWN)
        teams = context.teams.search(team_ids=shown["teams"])
        spent = context.spend_of(
            {f"key:{key.id}": key.effective for key in keys}
            | {f"team:{team.id}": team.effective for team in teams}
        )
        return {
            "user_id": user.id,
            "spend": shown["spend"],
            "user_info": shown,
            "keys": [key_info(key, spend=spent[f"key:{key.id}"], now=now) for key in keys],
            "teams": [team_info(team, spend=spent[f"team:{team.id}"], now=now) for team in teams],
        }

    found = await context.run(read)
    if found is None:
        raise _unknown()
    return answer(found)


async def _search(context: Context, query: UsersQuery) -> Response:
    def read() -> tuple[list[dict[str, Any]], int]:
        found, total = context.users.search(
            role=query.role,
            user_ids=None if query.user_ids is None else _ids(query.user_ids),
            email=query.user_email,
            team_id=query.team,
            limit=query.page_size,
            offset=(query.page - 1) * query.page_size,
        )
        return _shown(context, found), total

    shown, total = await context.run(read)
    return answer({
        "users": shown,
        "total": total,
        "page": query.page,
        "page_size": query.page_size,
        "total_pages": -(-total // query.page_size),
    })  # fmt: skip


async def _delete(context: Context, body: DeleteUsers) -> Response:
    wanted = unique(body.user_ids)
    found, missing = await context.run(lambda: context.users.delete(wanted))
    if missing:
        raise _unknown("user_ids")
    for identity in wanted:
        context.changed(f"user:{identity}")
    return answer(len(found))


def _create(context: Context, body: NewUser) -> tuple[str | None, str | None, UserRecord]:
    """Make the user, its memberships and its key; returns key, key id and user. Blocking."""
    now = context.now()
    _require_free(context, body.user_email)
    teams, organizations = unique(body.teams), unique(body.organizations)
    here = {team.id for team in context.teams.search(team_ids=teams)}
    here_too = {each.id for each in context.organizations.search(organization_ids=organizations)}
    for field, wanted, found in (("teams", teams, here), ("organizations", organizations, here_too)):
        missing = next((identity for identity in wanted if identity not in found), None)
        if missing is not None:
            raise MissingError(f"`{field}`: there is no `{missing}`", subject=field)
    user = context.users.create(
        UserRecord(
            body.user_id or str(uuid.uuid4()),
            body.user_alias,
            body.metadata or {},
            now,
            allowance_of(body, now),
            tuple(unique(body.models)),
            body.user_role,
            body.user_email,
            body.budget_id,
        )
    )
    context.members.add(
        [MemberRecord("team", identity, user.id, "user", now) for identity in teams]
        + [
            MemberRecord("organization", identity, user.id, "internal_user", now)
            for identity in organizations
        ]
    )
    if not body.auto_create_key:
        return None, None, user
    key, record = context.keys.create(now=now, user_id=user.id, created_by=context.caller_id())
    return key, record.id, user


def _require_free(context: Context, email: str | None, *, except_for: str | None = None) -> None:
    if email is not None and any(user.id != except_for for user in context.users.with_email(email)):
        raise CallError(409, "user_email: it is another user's", code="email_taken", param="user_email")


def _shown(context: Context, found: Sequence[UserRecord]) -> list[dict[str, Any]]:
    """Return users as they are shown. Blocking."""
    now = context.now()
    members = context.members.of_users([user.id for user in found])
    spent = context.spend_of({f"user:{user.id}": user.effective for user in found})
    return [
        user_info(user, spend=spent[f"user:{user.id}"], now=now, members=members[user.id]) for user in found
    ]


def _ids(text: str) -> list[str]:
    # What no id can be is none, and no database need be asked about it.
    return [name.strip() for name in text.split(",") if name.strip() and name.isprintable()]


def _check_names(context: Context, body: NewUser | UpdateUser) -> None:
    context.require_groups(body.models or [], "models")
    context.require_strategy(body.metadata)


def _unknown(param: str = "user_id") -> CallError:
    return CallError(404, f"`{param}`: there is no such user", code="user_not_found", param=param)
