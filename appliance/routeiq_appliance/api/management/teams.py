"""`/team/*`: makes, shows, lists, changes, blocks and deletes teams; their members are `members`'."""

import uuid
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel
from starlette.responses import Response

from routeiq_appliance.api.management.answers import answer, key_info, page, team_info
from routeiq_appliance.api.management.changes import allowance_of, limit_changes, unique
from routeiq_appliance.api.management.context import KEYS_SHOWN, Context
from routeiq_appliance.api.management.fields import Name
from routeiq_appliance.api.management.group_schemas import TeamsQuery
from routeiq_appliance.api.management.members import add_members, memberships
from routeiq_appliance.api.management.schemas import BlockTeam, DeleteTeams, NewTeam, UpdateTeam
from routeiq_appliance.api.management.shapes import TeamAnswer, TeamInfo
from routeiq_appliance.errors import CallError
from routeiq_appliance.state.records import UNLIMITED, TeamRecord

__all__ = ["team_routes"]


class DeletedTeams(BaseModel):
    """The answer to `POST /team/delete`."""

    deleted_teams: list[str]


def team_routes(context: Context) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["teams"], dependencies=[Depends(context.admins_only)])

    @router.post("/team/new", response_model=TeamInfo)
    async def new(body: NewTeam) -> Response:
        return await _new(context, body)

    @router.post("/team/update", response_model=TeamInfo)
    async def update(body: UpdateTeam) -> Response:
        return await _update(context, body)

    @router.post("/team/block", response_model=TeamInfo)
    async def block(body: BlockTeam) -> Response:
        return answer(await _change(context, body.team_id, {"blocked": True}))

    @router.post("/team/unblock", response_model=TeamInfo)
    async def unblock(body: BlockTeam) -> Response:
        return answer(await _change(context, body.team_id, {"blocked": False}))

    @router.post("/team/delete", response_model=DeletedTeams)
    async def delete(body: DeleteTeams) -> Response:
        return await _delete(context, body)

    @router.get("/team/list", response_model=list[TeamInfo])
    async def search(query: Annotated[TeamsQuery, Query()]) -> Response:
        return await _search(context, query)

    @router.get("/team/info", response_model=TeamAnswer)
    async def info(team_id: Annotated[Name, Query()]) -> Response:
        return await _info(context, team_id)

    return router


async def _new(context: Context, body: NewTeam) -> Response:
    _check_names(context, body)
    now = context.now()
    wanted = TeamRecord(
        body.team_id or str(uuid.uuid4()),
        body.team_alias,
        tuple(unique(body.models)),
        body.metadata or {},
        now,
        allowance_of(body, now),
        body.organization_id,
        body.budget_id,
    )
    members = body.members_with_roles or []

    def create() -> dict[str, Any]:
        team = context.teams.create(wanted)
        if members:
            add_members(context, "team", team.id, members, UNLIMITED, now)
        return _shown(context, [team])[0]

    shown = await context.run(create)
    # Keys may have named it before it was made.
    context.changed(f"team:{wanted.id}")
    return answer(shown)


async def _update(context: Context, body: UpdateTeam) -> Response:
    _check_names(context, body)
    changes = limit_changes(body)
    if "team_alias" in body.model_fields_set:
        changes["alias"] = body.team_alias
    if "models" in body.model_fields_set:
        changes["models"] = unique(body.models)
    if "organization_id" in body.model_fields_set:
        changes["organization_id"] = body.organization_id
    shown = await _change(context, body.team_id, changes)
    # LiteLLM's answer has the team under `data`.
    return answer({**shown, "data": shown})


async def _delete(context: Context, body: DeleteTeams) -> Response:
    wanted = unique(body.team_ids)
    _, missing = await context.run(lambda: context.teams.delete(wanted))
    if missing:
        raise _unknown("team_ids")
    for identity in wanted:
        context.changed(f"team:{identity}")
    return answer({"deleted_teams": wanted})


async def _search(context: Context, query: TeamsQuery) -> Response:
    def read() -> list[dict[str, Any]]:
        found = context.teams.search(
            user_id=query.user_id,
            organization_id=query.organization_id,
            limit=query.limit + 1,
            offset=query.offset,
        )
        return _shown(context, found)

    return page(await context.run(read), query.limit, query.offset)


async def _info(context: Context, team_id: str) -> Response:
    now = context.now()

    def read() -> dict[str, Any] | None:
        team = context.teams.get(team_id)
        if team is None:
            return None
        keys = context.keys.held_by(team_id=team_id, limit=KEYS_SHOWN)
        spent = context.spend_of({f"key:{key.id}": key.effective for key in keys})
        shown = _shown(context, [team])[0]
        members = context.members.of_owners("team", [team.id])[team.id]
        return {
            "team_id": team.id,
            "spend": shown["spend"],
            "team_info": shown,
            "keys": [key_info(key, spend=spent[f"key:{key.id}"], now=now) for key in keys],
            "team_memberships": memberships(context, members, now),
        }

    found = await context.run(read)
    if found is None:
        raise _unknown()
    return answer(found)


async def _change(context: Context, team_id: str, changes: dict[str, Any]) -> dict[str, Any]:
    team = await context.run(lambda: context.teams.update(team_id, changes, now=context.now()))
    if team is None:
        raise _unknown()
    context.changed(f"team:{team.id}")
    return (await context.run(lambda: _shown(context, [team])))[0]


def _shown(context: Context, found: Sequence[TeamRecord]) -> list[dict[str, Any]]:
    """Return teams as they are shown, with their members. Blocking."""
    now = context.now()
    members = context.members.of_owners("team", [team.id for team in found])
    spent = context.spend_of({f"team:{team.id}": team.effective for team in found})
    return [
        team_info(team, spend=spent[f"team:{team.id}"], now=now, members=members[team.id]) for team in found
    ]


def _check_names(context: Context, body: NewTeam | UpdateTeam) -> None:
    context.require_groups(body.models or [], "models")
    context.require_strategy(body.metadata)


def _unknown(param: str = "team_id") -> CallError:
    return CallError(404, f"`{param}`: there is no such team", code="team_not_found", param=param)
