"""`GET /spend/logs`: one row per call, in LiteLLM's names, the newest first; or sums by day.

A key that is no admin's sees its own calls.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from routeiq_appliance.api.management.answers import to_json
from routeiq_appliance.api.management.context import Context
from routeiq_appliance.api.management.fields import Instant, KeyReference, Name
from routeiq_appliance.api.management.queries import instant, key_id_of
from routeiq_appliance.api.management.report_schemas import SpendDay
from routeiq_appliance.api.management.report_writer import ReportWriter
from routeiq_appliance.api.management.shapes import Money
from routeiq_appliance.errors import CallError
from routeiq_appliance.money import dollars
from routeiq_appliance.pipeline.roles import admin_only
from routeiq_appliance.reporting.litellm import DailyLayout
from routeiq_appliance.state.reports import Wanted

__all__ = ["SpendRow", "spend_routes", "spend_row"]

_MOST_ROWS = 10_000


class SpendQuery(BaseModel):
    """What `GET /spend/logs` takes: all that is given must hold for a row."""

    model_config = ConfigDict(extra="forbid")

    api_key: Annotated[KeyReference | None, Field(description="A key or its token id")] = None
    user_id: Name | None = None
    team_id: Name | None = None
    request_id: Name | None = None
    start_date: Annotated[Instant | None, Field(description="2026-11-21 (UTC), or with a time")] = None
    end_date: Annotated[
        Instant | None, Field(description="A day is in it as a whole; a time is not in it")
    ] = None
    limit: Annotated[int, Field(ge=1, le=_MOST_ROWS, description="Rows in an answer")] = _MOST_ROWS
    offset: Annotated[
        int,
        Field(ge=0, le=10**12, description="Rows to pass over: `x-routeiq-next-offset` of the answer before"),
    ] = 0
    summarize: Annotated[bool, Field(description="Sums by day instead of calls, as LiteLLM has them")] = False


class SpendRow(BaseModel):
    """One call. The names up to `metadata` are LiteLLM's, the others this gateway's."""

    request_id: str
    call_type: str
    api_key: Annotated[str, Field(description="The key's token id")]
    model: Annotated[str, Field(description="What the caller asked for")]
    model_group: str | None
    model_id: Annotated[str | None, Field(description="The deployment that answered last")]
    custom_llm_provider: str | None
    spend: Annotated[Money | None, Field(description="Dollars; null: the deployment has no price")]
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    startTime: datetime  # noqa: N815 - LiteLLM's name
    endTime: datetime  # noqa: N815 - LiteLLM's name
    completionStartTime: datetime | None  # noqa: N815 - LiteLLM's name
    request_duration_ms: int
    user: str | None
    team_id: str | None
    status: Annotated[str, Field(description="`success` or `failure`")]
    metadata: dict[str, Any]
    http_status: int
    outcome: str
    stream: bool
    estimated: Annotated[bool, Field(description="The tokens are this gateway's estimate")]
    attempts: int
    trace_id: str | None


def spend_routes(context: Context, writer: ReportWriter) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["spend"])

    @router.get("/spend/logs", response_model=list[SpendRow] | list[SpendDay])
    async def logs(query: Annotated[SpendQuery, Query()]) -> Response:
        start, end = instant(query.start_date, "start_date"), instant(query.end_date, "end_date", whole=True)
        key_id = await context.run(lambda: _key_id(context, query.api_key))
        if query.summarize:
            if query.request_id is not None or query.offset:
                raise CallError(
                    400,
                    "`summarize`: sums are not of one request, and have no offset",
                    code="invalid_value",
                    param="summarize",
                )
            wanted = Wanted(key_id, query.team_id, query.user_id, start=start, end=end)
            return await writer.send(DailyLayout(), wanted, kind="application/json")

        def read() -> tuple[bytes, bool]:
            context.settled()
            rows = context.spend_logs(
                key_id=key_id,
                team_id=query.team_id,
                user_id=query.user_id,
                start=start,
                end=end,
                request_id=query.request_id,
                limit=query.limit + 1,
                offset=query.offset,
            )
            # In the executor: ten thousand rows take half a second.
            shown = [spend_row(row) for row in rows[: query.limit]]
            return to_json(shown).encode("utf-8", "replace"), len(rows) > query.limit

        data, more = await context.run(read)
        headers = {"cache-control": "no-store"}
        if more:
            headers["x-routeiq-next-offset"] = str(query.offset + query.limit)
        return Response(data, headers=headers, media_type="application/json")

    return router


def _key_id(context: Context, reference: str | None) -> str | None:
    """Return the id of the key whose calls are asked for; who is no admin sees its own and no others."""
    own = context.caller()
    found = key_id_of(context, reference)
    if own is None:
        return found
    if found is not None and found != own.key_id:
        raise admin_only()
    return own.key_id


def spend_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of `calls` as `SpendRow`."""
    started, cost, first = row["started_at"], row["cost"], row["first_token_ms"]
    return {
        "request_id": row["id"],
        "call_type": _CALL_TYPES.get(row["kind"], row["kind"]),
        "api_key": row["key_id"],
        "model": row["asked"],
        "model_group": row["group"],
        "model_id": row["deployment"],
        "custom_llm_provider": row["provider"],
        "spend": None if cost is None else dollars(cost),
        "prompt_tokens": row["prompt_tokens"],
        "completion_tokens": row["completion_tokens"],
        "total_tokens": row["prompt_tokens"] + row["completion_tokens"],
        "startTime": started,
        "endTime": started + timedelta(milliseconds=row["duration_ms"]),
        "completionStartTime": None if first is None else started + timedelta(milliseconds=first),
        "request_duration_ms": row["duration_ms"],
        "user": row["user_id"],
        "team_id": row["team_id"],
        "status": "success" if row["status"] < _FAILED else "failure",
        "metadata": {"decision": row["decision"]},
        "http_status": row["status"],
        "outcome": row["outcome"],
        "stream": row["stream"],
        "estimated": row["estimated"],
        "attempts": row["attempts"],
        "trace_id": row["trace_id"],
    }


_CALL_TYPES = {"chat": "acompletion", "text": "atext_completion", "embedding": "aembedding"}
_FAILED = 400
