"""`/model/*`: lists all deployments, and makes, changes and deletes the stored ones (C6).

Deployments of `config.yaml` are the operator's: they are listed, and changed in the file alone. What a stored one may
be is `stored.entries`'; here its address is looked up too, before it is accepted.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from routeiq_appliance.api.management.answers import answer
from routeiq_appliance.api.management.context import Context
from routeiq_appliance.api.management.model_schemas import (
    DeletedModel,
    DeleteModel,
    ModelList,
    ModelPage,
    NewModel,
    StoredModel,
    UpdateModel,
    listed,
    stored_model,
)
from routeiq_appliance.config.model_list import ModelEntry
from routeiq_appliance.egress.ssrf_resolver import LookUp, accept_url, look_up
from routeiq_appliance.errors import CallError, StateError, UrlRefusedError
from routeiq_appliance.state.models import MAX_MODELS, ModelRecord, ModelStore
from routeiq_appliance.stored.entries import Judge, tidy, url_refused
from routeiq_appliance.stored.live import LiveModels
from routeiq_appliance.stored.load import Models

__all__ = ["model_routes"]

_CREDENTIALS = ("api_key", "extra_headers", "extra_body", "organization")
_ID = Query(max_length=128, description="`model_info.id`; none: all")


def model_routes(
    context: Context,
    *,
    live: LiveModels,
    store: ModelStore,
    judge: Judge,
    ask: LookUp = look_up,
    breaker: Callable[[str], str | None] = lambda _deployment: None,
) -> APIRouter:
    """Return the routes. `ask` looks hosts up; `breaker` tells the state of a deployment's."""
    router = APIRouter(tags=["models"], dependencies=[Depends(context.admins_only)])
    changes = _Changes(context, live, store, judge, ask)

    @router.get("/model/info", response_model=ModelList)
    @router.get("/v1/model/info", response_model=ModelList)
    async def info(litellm_model_id: Annotated[str | None, _ID] = None) -> Response:
        data = [
            item
            for item in _listing(live.models, breaker)
            if litellm_model_id in {None, item["model_info"]["id"]}
        ]
        if not data and litellm_model_id is not None:
            raise _unknown("litellm_model_id")
        return answer({"data": data})

    @router.get("/v2/model/info", response_model=ModelPage)
    async def page(
        page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
        size: Annotated[int, Query(ge=1, le=1000)] = 50,
        model: Annotated[str | None, Query(max_length=128, description="Only this group")] = None,
    ) -> Response:
        data = [item for item in _listing(live.models, breaker) if model in {None, item["model_name"]}]
        return answer({
            "data": data[(page - 1) * size : page * size], "total_count": len(data), "current_page": page,
            "total_pages": -(-len(data) // size), "size": size,
        })  # fmt: skip

    @router.post("/model/new", response_model=StoredModel)
    async def new(body: NewModel) -> Response:
        return answer(stored_model(await changes.create(body)))

    @router.post("/model/update", response_model=StoredModel)
    async def update(body: UpdateModel) -> Response:
        return answer(stored_model(await changes.update(body)))

    @router.post("/model/delete", response_model=DeletedModel)
    async def delete(body: DeleteModel) -> Response:
        await changes.delete(body.id)
        return answer({"message": f"Model: {body.id} deleted successfully"})

    return router


class _Changes:
    """Judges, writes, takes into use, tells."""

    def __init__(
        self, context: Context, live: LiveModels, store: ModelStore, judge: Judge, ask: LookUp
    ) -> None:
        self._context = context
        self._live = live
        self._store = store
        self._judge = judge
        self._ask = ask

    async def create(self, body: NewModel) -> ModelRecord:
        """Return what was stored; raises `CallError`."""
        self._require_store()
        params, info = tidy(body.litellm_params, body.model_info or {})
        asked = (body.model_info or {}).get("id")
        if asked is not None and not isinstance(asked, str):
            raise CallError(
                400, "`model_info.id` must be a string", code="invalid_value", param="model_info.id"
            )
        now = self._context.now()
        record = ModelRecord(
            asked or str(uuid.uuid4()), body.model_name, params, info, now, self._caller(), now
        )
        record = await self._judged(record)
        if not await self._context.run(lambda: self._store.create(record)):
            raise CallError(
                400,
                f"the store holds {MAX_MODELS} models, which is the most",
                code="store_full",
                param="model_name",
            )
        await self._changed()
        return record

    async def update(self, body: UpdateModel) -> ModelRecord:
        """Return what is stored now; raises `CallError`."""
        self._require_store()
        said = body.model_info or {}
        identity = body.id if said.get("id") is None else said["id"]
        if not isinstance(identity, str) or not identity:
            raise CallError(400, "`model_info.id` is missing", code="missing", param="model_info.id")
        if body.id not in {None, identity}:
            raise CallError(400, "`id` is another than `model_info.id`", code="invalid_value", param="id")
        before = await self._existing(identity, "model_info.id")
        params, info = tidy(body.litellm_params or {}, said)
        record = ModelRecord(
            before.id, body.model_name or before.name, {**before.params, **params}, {**before.info, **info},
            before.created_at, before.created_by, self._context.now(),
        )  # fmt: skip
        _require_credentials_anew(before.params, params)
        record = await self._judged(record)
        written = await self._context.run(lambda: self._store.update(record, expected=before.updated_at))
        if written is None:
            raise CallError(409, "the model was changed or deleted meanwhile: try again", code="conflict")
        await self._changed()
        return written

    async def delete(self, identity: str) -> None:
        """Delete; raises `CallError`."""
        self._require_store()
        self._require_stored(identity, "id")
        if not await self._context.run(lambda: self._store.delete(identity)):
            raise _unknown("id")
        await self._changed()

    async def _judged(self, record: ModelRecord) -> ModelRecord:
        """Return the record with its address in the spelling that was judged; raises `CallError` 400."""
        entry = self._judge.entry(record.name, record.params, record.info, record.id)
        base = entry.litellm_params.api_base
        if base is None:
            return record
        try:
            await accept_url(base, self._judge.rules, ask=self._ask)
        except UrlRefusedError as error:
            raise url_refused(error) from None
        written = str(record.params["api_base"])
        # What names a variable stays its name.
        params = record.params if written.startswith("os.environ/") else {**record.params, "api_base": base}
        return ModelRecord(
            record.id,
            record.name,
            params,
            record.info,
            record.created_at,
            record.created_by,
            record.updated_at,
        )

    async def _existing(self, identity: str, field: str) -> ModelRecord:
        self._require_stored(identity, field)
        found = await self._context.run(lambda: self._store.get(identity))
        if found is None:
            raise _unknown(field)
        return found

    async def _changed(self) -> None:
        """Take the change into use here, then have all others do so."""
        try:
            await self._live.refresh()
        except StateError as error:
            raise CallError(
                503, "the change is stored, and will be in use once the store answers", kind="server_error",
                code="key_store_unavailable", retry_after=1,
            ) from error  # fmt: skip
        finally:
            self._live.announce()

    def _require_store(self) -> None:
        if not self._live.enabled:
            raise CallError(
                400,
                "models are kept in config.yaml alone: set STORE_MODEL_IN_DB=true to keep others in the database",
                code="models_not_stored",
            )
        if not self._store.has_key:
            raise CallError(
                400,
                "there is no key to store credentials under: set ROUTEIQ_STORE_KEY, the same for all replicas",
                code="no_store_key",
            )

    def _require_stored(self, identity: str, field: str) -> None:
        if identity in self._judge.taken:
            raise CallError(
                400,
                f"`{field}`: the model is in config.yaml; change it there",
                code="model_configured",
                param=field,
            )

    def _caller(self) -> str | None:
        principal = self._context.principal()
        return None if principal is None else principal.key_id


def _require_credentials_anew(before: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    """Raise `CallError` 400 when a change would send a credential, which the caller need not know, elsewhere."""
    if changes.get("api_base", before.get("api_base")) == before.get("api_base"):
        provider = str(before.get("model")).partition("/")[0]
        if "api_base" in before or str(changes.get("model", provider)).partition("/")[0] == provider:
            return
    for name in _CREDENTIALS:
        if name in before and name not in changes:
            raise CallError(
                400,
                f"`litellm_params.{name}` must be given anew: the model's address changes",
                code="missing",
                param=f"litellm_params.{name}",
            )


def _listing(models: Models, breaker: Callable[[str], str | None]) -> Iterator[dict[str, Any]]:
    entries: dict[str, list[ModelEntry]] = {}
    for entry in models.config.model_list:
        entries.setdefault(entry.model_name, []).append(entry)
    for group, members in models.groups.items():
        for deployment, entry in zip(members, entries[group], strict=True):
            record = models.records.get(deployment.id) if deployment.id in models.entries else None
            given = record.params if record is not None else entry.litellm_params.model_dump()
            said = record.info if record is not None else entry.model_info.model_dump()
            yield listed(
                group, given, said, deployment, identity=deployment.id, stored=record is not None,
                breaker=breaker(deployment.id),
            )  # fmt: skip
    for identity, reason in models.refused.items():
        record = models.records[identity]
        yield listed(
            record.name, record.params, record.info, None, identity=identity, stored=True, refused=reason
        )


def _unknown(field: str) -> CallError:
    return CallError(404, f"`{field}`: there is no such model", code="model_not_found", param=field)
