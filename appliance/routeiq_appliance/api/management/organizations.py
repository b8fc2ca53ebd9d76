"""`/organization/*`: makes, shows, lists, changes and deletes organizations; their members are `members`'."""

import uuid
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from routeiq_appliance.api.management.answers import answer, organization_info, page, team_info
from routeiq_appliance.api.management.changes import allowance_of, limit_changes, unique
from routeiq_appliance.api.management.context import Context
from routeiq_appliance.api.management.fields import Name
from routeiq_appliance.api.management.group_schemas import (
    DeleteOrganizations,
    NewOrganization,
    OrganizationsAsked,
    OrganizationsQuery,
    UpdateOrganization,
)
from routeiq_appliance.api.management.shapes import OrganizationInfo
from routeiq_appliance.errors import CallError
from routeiq_appliance.state.records import OrganizationRecord

__all__ = ["organization_routes"]


def organization_routes(context: Context) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["organizations"], dependencies=[Depends(context.admins_only)])

    @router.post("/organization/new", response_model=OrganizationInfo)
    async def new(body: NewOrganization) -> Response:
        return await _new(context, body)

    @router.patch("/organization/update", response_model=OrganizationInfo)
    async def update(body: UpdateOrganization) -> Response:
        return await _update(context, body)

    @router.get("/organization/info", response_model=OrganizationInfo)
    async def info(organization_id: Annotated[Name, Query()]) -> Response:
        found = await context.run(lambda: _named(context, [organization_id]))
        if not found:
            raise _unknown()
        return answer(found[0])

    @router.post("/organization/info", response_model=list[OrganizationInfo])
    async def info_of_many(body: OrganizationsAsked) -> Response:
        return await _info_of_many(context, body)

    @router.get("/organization/list", response_model=list[OrganizationInfo])
    async def search(query: Annotated[OrganizationsQuery, Query()]) -> Response:
        return await _search(context, query)

    @router.delete("/organization/delete", response_model=list[OrganizationInfo])
    async def delete(body: DeleteOrganizations) -> Response:
        return await _delete(context, body)

    return router


async def _new(context: Context, body: NewOrganization) -> Response:
    _check_names(context, body)
    now = context.now()
    wanted = OrganizationRecord(
        body.organization_id or str(uuid.uuid4()),
        body.organization_alias,
        tuple(unique(body.models)),
        body.metadata or {},
        now,
        allowance_of(body, now),
        body.budget_id,
    )
    made = await context.run(lambda: context.organizations.create(wanted))
    # Keys and teams may have named it before it was made.
    context.changed(f"organization:{made.id}")
    return answer((await context.run(lambda: _shown(context, [made])))[0])


async def _update(context: Context, body: UpdateOrganization) -> Response:
    _check_names(context, body)
    now = context.now()
    changes = limit_changes(body)
    if "organization_alias" in body.model_fields_set:
        changes["alias"] = body.organization_alias
    if "models" in body.model_fields_set:
        changes["models"] = unique(body.models)
    changed = await context.run(lambda: context.organizations.update(body.organization_id, changes, now=now))
    if changed is None:
        raise _unknown()
    context.changed(f"organization:{changed.id}")
    return answer((await context.run(lambda: _shown(context, [changed])))[0])


async def _info_of_many(context: Context, body: OrganizationsAsked) -> Response:
    wanted = unique(body.organizations)
    found = await context.run(lambda: _named(context, wanted))
    if len(found) != len(wanted):
        raise _unknown("organizations")
    return answer(found)


async def _search(context: Context, query: OrganizationsQuery) -> Response:
    def read() -> list[dict[str, Any]]:
        found = context.organizations.search(
            organization_ids=None if query.org_id is None else [query.org_id],
            alias=query.org_alias,
            limit=query.limit + 1,
            offset=query.offset,
        )
        return _shown(context, found)

    return page(await context.run(read), query.limit, query.offset)


async def _delete(context: Context, body: DeleteOrganizations) -> Response:
    wanted = unique(body.organization_ids)

    def write() -> tuple[list[dict[str, Any]], list[str]]:
        shown = _named(context, wanted)
        return shown, context.organizations.delete(wanted)[1]

    shown, missing = await context.run(write)
    if missing:
        raise _unknown("organization_ids")
    for identity in wanted:
        context.changed(f"organization:{identity}")
    return answer(shown)


def _named(context: Context, identities: Sequence[str]) -> list[dict[str, Any]]:
    return _shown(context, context.organizations.search(organization_ids=identities))


def _shown(context: Context, found: Sequence[OrganizationRecord]) -> list[dict[str, Any]]:
    """Return organizations as they are shown, with their members and teams. Blocking."""
    now = context.now()
    identities = [organization.id for organization in found]
    teams = context.teams.search(organization_ids=identities)
    in_teams = context.members.of_owners("team", [team.id for team in teams])
    members = context.members.of_owners("organization", identities)
    spent = context.spend_of(
        {f"organization:{organization.id}": organization.effective for organization in found}
        | {f"team:{team.id}": team.effective for team in teams}
    )
    shown_teams: dict[str | None, list[dict[str, Any]]] = {}
    for team in teams:
        shown = team_info(team, spend=spent[f"team:{team.id}"], now=now, members=in_teams[team.id])
        shown_teams.setdefault(team.organization_id, []).append(shown)
    return [
        organization_info(
            organization,
            spend=spent[f"organization:{organization.id}"],
            now=now,
            members=members[organization.id],
            teams=shown_teams.get(organization.id, ()),
        )
        for organization in found
    ]


def _check_names(context: Context, body: NewOrganization | UpdateOrganization) -> None:
    context.require_groups(body.models or [], "models")
    context.require_strategy(body.metadata)


def _unknown(param: str = "organization_id") -> CallError:
    return CallError(
        404, f"`{param}`: there is no such organization", code="organization_not_found", param=param
    )
