"""`/key/*`: makes, shows, lists, changes, regenerates, blocks and deletes keys."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from routeiq_appliance.api.management.answers import answer, key_info
from routeiq_appliance.api.management.changes import (
    allowance_of,
    fails_closed,
    key_changes,
    model_limits_of,
    unique,
)
from routeiq_appliance.api.management.context import Context
from routeiq_appliance.api.management.fields import KeyReference, parse_duration
from routeiq_appliance.api.management.schemas import (
    BlockKey,
    DeleteKeys,
    GenerateKey,
    KeyFields,
    KeysQuery,
    RegenerateKey,
    UpdateKey,
)
from routeiq_appliance.api.management.shapes import DeletedKeys, GeneratedKey, KeyAnswer, KeyInfo, KeyPage
from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.authenticate import MASTER_KEY_ID
from routeiq_appliance.pipeline.roles import admin_only
from routeiq_appliance.pipeline.types import Principal
from routeiq_appliance.state.records import Holder, KeyRecord

__all__ = ["key_routes"]

_REFERENCE = Query(description="The key or its token id; none: the caller's own")
_NAMED = Path(description="The key or its token id")


def key_routes(context: Context) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["keys"])
    admin = [Depends(context.admins_only)]

    @router.post("/key/generate", response_model=GeneratedKey, dependencies=admin)
    async def generate(body: GenerateKey) -> Response:
        return await _generate(context, body)

    @router.get("/key/info", response_model=KeyAnswer)
    async def info(key: Annotated[KeyReference | None, _REFERENCE] = None) -> Response:
        return await _info(context, key, context.caller())

    @router.get("/key/list", response_model=KeyPage, dependencies=admin)
    async def search(query: Annotated[KeysQuery, Query()]) -> Response:
        return await _list(context, query)

    @router.post("/key/regenerate", response_model=GeneratedKey, dependencies=admin)
    async def regenerate(body: RegenerateKey) -> Response:
        if body.key is None:
            raise CallError(400, "`key` is missing", code="missing", param="key")
        return await _regenerate(context, body.key, body)

    @router.post("/key/{key}/regenerate", response_model=GeneratedKey, dependencies=admin)
    async def regenerate_named(
        key: Annotated[KeyReference, _NAMED], body: RegenerateKey | None = None
    ) -> Response:
        if body is not None and body.key is not None and body.key != key:
            raise CallError(400, "`key` is not the one of the path", code="invalid_value", param="key")
        return await _regenerate(context, key, body or RegenerateKey())

    @router.post("/key/update", response_model=KeyInfo, dependencies=admin)
    async def update(body: UpdateKey) -> Response:
        return await _update(context, body)

    @router.post("/key/block", response_model=KeyInfo, dependencies=admin)
    async def block(body: BlockKey) -> Response:
        return await _set_blocked(context, body.key, blocked=True)

    @router.post("/key/unblock", response_model=KeyInfo, dependencies=admin)
    async def unblock(body: BlockKey) -> Response:
        return await _set_blocked(context, body.key, blocked=False)

    @router.post("/key/delete", response_model=DeletedKeys, dependencies=admin)
    async def delete(body: DeleteKeys) -> Response:
        return await _delete(context, unique(body.keys), unique(body.key_aliases))

    return router


async def _generate(context: Context, body: GenerateKey) -> Response:
    _check_names(context, body)
    now = context.now()
    seconds = parse_duration(body.duration) if body.duration is not None else None
    key, record = await context.run(
        lambda: context.keys.create(
            now=now,
            expires_at=None if seconds is None else now + timedelta(seconds=seconds),
            models=tuple(unique(body.models)),
            metadata=body.metadata,
            alias=body.key_alias,
            team_id=body.team_id,
            user_id=body.user_id,
            organization_id=body.organization_id,
            role=body.role,
            key_type=body.key_type,
            created_by=context.caller_id(),
            budget_id=body.budget_id,
            model_limits=model_limits_of(body, {}),
            fail_closed=fails_closed(body.metadata),
            allowance=allowance_of(body, now),
        )
    )
    return answer({"key": key, **key_info(record, spend=0, now=now)})


async def _info(context: Context, asked: str | None, caller: Principal | None) -> Response:
    own = context.caller_id()
    reference = asked if asked is not None else own
    if reference is None or (asked is None and own == MASTER_KEY_ID):
        raise CallError(400, "`key` is missing: the master key has no limits", code="missing", param="key")

    def read() -> tuple[KeyRecord, int] | None:
        holder = context.keys.get(reference)
        if holder is None or (caller is not None and holder.key.id != caller.key_id):
            return None
        return holder.key, _spend(context, holder.key)

    found = await context.run(read)
    if found is None:
        # Whoever is no admin learns nothing of other keys, nor whether they exist.
        raise admin_only() if caller is not None else _unknown()
    record, spent = found
    shown = key_info(record, spend=spent, now=context.now())
    return answer({"key": asked if asked is not None else record.id, "spend": shown["spend"], "info": shown})


async def _list(context: Context, query: KeysQuery) -> Response:
    now = context.now()

    def read() -> tuple[list[Any], int]:
        found, total = context.keys.search(
            team_id=query.team_id,
            user_id=query.user_id,
            organization_id=query.organization_id,
            alias=query.key_alias,
            reference=query.key_hash,
            oldest_first=query.sort_order == "asc",
            limit=query.size,
            offset=(query.page - 1) * query.size,
        )
        keys = [holder.key for holder in found]
        if not query.return_full_object:
            return [key.id for key in keys], total
        spent = context.spend_of({f"key:{key.id}": key.effective for key in keys})
        return [key_info(key, spend=spent[f"key:{key.id}"], now=now) for key in keys], total

    shown, total = await context.run(read)
    return answer({
        "keys": shown,
        "total_count": total,
        "current_page": query.page,
        "total_pages": -(-total // query.size),
    })  # fmt: skip


async def _regenerate(context: Context, reference: str, body: RegenerateKey) -> Response:
    """Give a key another secret: its id, spend and limits stay, and so it is the same key in every report."""
    _check_names(context, body)
    now = context.now()

    def write() -> tuple[str, Holder] | None:
        before = context.keys.get(reference)
        if before is None:
            return None
        return context.keys.regenerate(before.key.id, key_changes(body, before.key, now), now=now)

    made = await context.run(write)
    if made is None:
        raise _unknown()
    key, holder = made
    shown = await _told(context, holder.key, blocked=body.blocked)
    return answer({"key": key, **shown})


async def _update(context: Context, body: UpdateKey) -> Response:
    _check_names(context, body)
    now = context.now()

    def write() -> Holder | None:
        before = context.keys.get(body.key)
        if before is None:
            return None
        return context.keys.update(before.key.id, key_changes(body, before.key, now), now=now)

    return await _changed(context, body.key, await context.run(write), blocked=body.blocked)


async def _delete(context: Context, keys: list[str], aliases: list[str]) -> Response:
    if not keys and not aliases:
        raise CallError(400, "`keys` or `key_aliases` is missing", code="missing", param="keys")
    found = await context.run(lambda: context.keys.delete(keys, aliases))
    for names, field in ((keys, "keys"), (aliases, "key_aliases")):
        if any(name not in found for name in names):
            raise _unknown(field)
    for identity in dict.fromkeys(found.values()):
        context.changed(identity)
    return answer({"deleted_keys": [*keys, *aliases]})


async def _set_blocked(context: Context, reference: str, *, blocked: bool) -> Response:
    now = context.now()
    holder = await context.run(lambda: context.keys.update(reference, {"blocked": blocked}, now=now))
    return await _changed(context, reference, holder, blocked=blocked)


async def _changed(
    context: Context, reference: str, holder: Holder | None, *, blocked: bool | None
) -> Response:
    """Tell all workers what was written, then answer."""
    if holder is None:
        raise _unknown()
    return answer({"key": reference, **await _told(context, holder.key, blocked=blocked)})


async def _told(context: Context, key: KeyRecord, *, blocked: bool | None) -> dict[str, Any]:
    """Tell all workers of a key that was written; returns it as it is shown."""
    if context.shared is not None and blocked is not None:
        # The list cuts at once, also where a notice is missed; the row decides once the list is lost.
        await (context.shared.block(key.id) if blocked else context.shared.unblock(key.id))
    context.changed(key.id)
    spent = await context.run(lambda: _spend(context, key))
    return key_info(key, spend=spent, now=context.now())


def _spend(context: Context, key: KeyRecord) -> int:
    return context.spend_of({f"key:{key.id}": key.effective})[f"key:{key.id}"]


def _check_names(context: Context, body: KeyFields) -> None:
    context.require_groups(body.models or [], "models")
    for name in ("model_rpm_limit", "model_tpm_limit", "model_max_budget"):
        context.require_groups(list(getattr(body, name) or ()), name)
    context.require_strategy(body.metadata)


def _unknown(param: str = "key") -> CallError:
    return CallError(404, f"`{param}`: there is no such key", code="key_not_found", param=param)
