"""`GET /global/spend/report`: what was spent, by whatever callers group by, and whether the accounts agree."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query
from starlette.responses import Response

from routeiq_appliance.api.management.context import Context
from routeiq_appliance.api.management.queries import instant, key_id_of
from routeiq_appliance.api.management.report_schemas import (
    KeySpend,
    ReportAnswer,
    ReportQuery,
    TeamDay,
)
from routeiq_appliance.api.management.report_writer import ReportWriter
from routeiq_appliance.errors import CallError
from routeiq_appliance.reporting.columns import ReportError, parse_groups
from routeiq_appliance.reporting.layouts import CsvLayout, JsonLayout
from routeiq_appliance.reporting.litellm import KeysLayout, TeamsLayout
from routeiq_appliance.state.reports import Group, Wanted

__all__ = ["report_routes"]


def report_routes(context: Context, writer: ReportWriter) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["spend"], dependencies=[Depends(context.admins_only)])

    @router.get(
        "/global/spend/report",
        response_model=ReportAnswer | list[TeamDay] | list[KeySpend],
        responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
    )
    async def report(
        query: Annotated[ReportQuery, Query()], accept: Annotated[str, Header()] = ""
    ) -> Response:
        groups = _groups(query)
        wanted = await context.run(lambda: _wanted(context, query))
        form = query.format
        if form is None:
            form = "csv" if "text/csv" in accept.lower() else "litellm" if _is_litellm(groups) else "json"
        if form == "csv":
            return await writer.send(
                CsvLayout(groups), wanted, kind="text/csv; charset=utf-8", name=_file_name(groups)
            )
        if form == "json":
            return await writer.send(JsonLayout(groups, wanted), wanted, kind="application/json")
        if not _is_litellm(groups):
            raise CallError(
                400, "`format`: LiteLLM has no such grouping", code="invalid_value", param="format"
            )
        by_key = groups == ("key",) or query.api_key is not None or _user(query) is not None
        return await writer.send(KeysLayout() if by_key else TeamsLayout(), wanted, kind="application/json")

    return router


def _groups(query: ReportQuery) -> tuple[Group, ...]:
    try:
        return parse_groups(query.group_by)
    except ReportError as error:
        raise CallError(400, f"`group_by`: {error}", code="invalid_value", param="group_by") from None


def _is_litellm(groups: tuple[Group, ...]) -> bool:
    return groups in {("team",), ("key",)}


def _user(query: ReportQuery) -> str | None:
    return query.user_id if query.user_id is not None else query.internal_user_id


def _wanted(context: Context, query: ReportQuery) -> Wanted:
    return Wanted(
        key_id_of(context, query.api_key),
        query.team_id,
        _user(query),
        query.organization_id,
        query.model,
        instant(query.start_date, "start_date"),
        instant(query.end_date, "end_date", whole=True),
    )


def _file_name(groups: tuple[Group, ...]) -> str:
    return f"spend-by-{'-'.join(groups)}.csv" if groups else "spend.csv"
