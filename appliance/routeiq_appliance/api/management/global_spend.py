"""`/global/spend`, and the keys, models and teams that spent most: LiteLLM's paths, over the same sums as reports."""

import heapq
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from routeiq_appliance.api.management.answers import answer
from routeiq_appliance.api.management.context import Context
from routeiq_appliance.api.management.fields import Instant
from routeiq_appliance.api.management.queries import instant
from routeiq_appliance.api.management.report_schemas import GlobalSpend, TeamsSpend, TopKey, TopModel
from routeiq_appliance.money import dollars
from routeiq_appliance.pipeline.authenticate import MASTER_KEY_ID
from routeiq_appliance.reporting.columns import account_fields
from routeiq_appliance.state.reconcile import compare
from routeiq_appliance.state.reports import Group, Row, Wanted, report_rows, report_total, snapshot

__all__ = ["global_routes"]

_SPAN = timedelta(days=30)
"""LiteLLM's know the last 30 days."""


class SpanQuery(BaseModel):
    """From when to when; the last 30 days unless given."""

    model_config = ConfigDict(extra="forbid")

    start_date: Annotated[Instant | None, Field(description="2026-11-21 (UTC), or with a time")] = None
    end_date: Annotated[
        Instant | None, Field(description="A day is in it as a whole; a time is not in it")
    ] = None


class TopQuery(SpanQuery):
    """And how many."""

    limit: Annotated[int, Field(ge=1, le=1_000, description="Those that spent most")] = 100


def global_routes(context: Context, engine: sa.Engine) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["spend"], dependencies=[Depends(context.admins_only)])

    async def read(work: Callable[[Wanted], Any], query: SpanQuery) -> Response:
        start, end = instant(query.start_date, "start_date"), instant(query.end_date, "end_date", whole=True)
        try:
            wanted = Wanted(start=start or (end or context.now()) - _SPAN, end=end)
        except OverflowError:
            wanted = Wanted(end=end)

        def settled() -> Any:
            context.settled()
            return work(wanted)

        return answer(await context.run(settled))

    @router.get("/global/spend", response_model=GlobalSpend)
    async def whole(query: Annotated[SpanQuery, Query()]) -> Response:
        return await read(lambda wanted: _whole(engine, wanted), query)

    @router.get("/global/spend/keys", response_model=list[TopKey])
    async def top_keys(query: Annotated[TopQuery, Query()]) -> Response:
        return await read(lambda wanted: _keys(context, _top(engine, "key", wanted, query.limit)), query)

    @router.get("/global/spend/models", response_model=list[TopModel])
    async def top_models(query: Annotated[TopQuery, Query()]) -> Response:
        return await read(
            lambda wanted: [
                {"model": row.names[0], **_spent(row)} for row in _top(engine, "model", wanted, query.limit)
            ],
            query,
        )

    @router.get("/global/spend/teams", response_model=TeamsSpend)
    async def top_teams(query: Annotated[TopQuery, Query()]) -> Response:
        return await read(lambda wanted: _teams(engine, wanted, query.limit), query)

    return router


def _whole(engine: sa.Engine, wanted: Wanted) -> dict[str, Any]:
    with snapshot(engine) as connection:
        total = report_total(connection, wanted)
        account = compare(connection, wanted, uncharged=MASTER_KEY_ID)
    return {
        "spend": dollars(total.priced_spend),
        "max_budget": None,
        "unpriced_requests": total.unpriced_requests,
        "reconciled": account.reconciled,
        "reconciliation": account_fields(account),
    }


def _keys(context: Context, top: list[Row]) -> list[dict[str, Any]]:
    found = []
    for row in top:
        held = context.keys.get(row.names[0] or "")
        hint = None if held is None else held.key.hint
        found.append({"api_key": row.names[0], "key_alias": row.aliases[0], "key_name": hint, **_spent(row)})
    return found


def _teams(engine: sa.Engine, wanted: Wanted, limit: int) -> dict[str, Any]:
    top = _top(engine, "team", wanted, limit)
    shown = {row.names[0] for row in top}
    days: dict[str | None, dict[str, Any]] = {}
    for row in _rows(engine, ("day", "team"), wanted):
        day, team = row.names
        if team in shown and row.sums.spend is not None:
            named = days.setdefault(day, {"date": day})
            named[_team_name(team, row.aliases[1])] = dollars(row.sums.spend)
    return {
        "daily_spend": list(days.values()),
        "teams": [_team_name(row.names[0], row.aliases[0]) for row in top],
        "total_spend_per_team": [
            {"team_id": row.names[0], "team_alias": row.aliases[0], **_spent(row)} for row in top
        ],
    }


def _rows(engine: sa.Engine, groups: tuple[Group, ...], wanted: Wanted) -> Iterator[Row]:
    with snapshot(engine) as connection:
        for rows in report_rows(connection, groups, wanted):
            yield from rows


def _top(engine: sa.Engine, group: Group, wanted: Wanted, limit: int) -> list[Row]:
    return heapq.nlargest(limit, _rows(engine, (group,), wanted), key=lambda row: row.sums.priced_spend)


def _spent(row: Row) -> dict[str, Any]:
    spend = row.sums.spend
    return {
        "total_spend": None if spend is None else dollars(spend),
        "requests": row.sums.requests,
        "unpriced_requests": row.sums.unpriced_requests,
        "estimated_requests": row.sums.estimated_requests,
    }


def _team_name(team: str | None, alias: str | None) -> str:
    return alias or team or "Unassigned"
