"""`/team/*`: makes, shows and changes teams."""

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from routeiq_appliance.api.management.answers import TeamAnswer, TeamInfo, answer, key_info, team_info
from routeiq_appliance.api.management.changes import allowance_of, limit_changes, unique
from routeiq_appliance.api.management.context import KEYS_SHOWN, Context
from routeiq_appliance.api.management.schemas import NewTeam, UpdateTeam
from routeiq_appliance.errors import CallError
from routeiq_appliance.state.records import TeamRecord

__all__ = ["team_routes"]


def team_routes(context: Context) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["teams"], dependencies=[Depends(context.admins_only)])

    @router.post("/team/new", response_model=TeamInfo)
    async def new(body: NewTeam) -> Response:
        _check_names(context, body)
        now = context.now()
        team = TeamRecord(
            body.team_id or str(uuid.uuid4()),
            body.team_alias,
            tuple(unique(body.models)),
            body.metadata or {},
            now,
            allowance_of(body, now),
        )
        await context.run(lambda: context.teams.create(team))
        # Keys may have named it before it was made.
        context.changed(f"team:{team.id}")
        return answer(team_info(team, spend=await context.run(lambda: _spend(context, team)), now=now))

    @router.post("/team/update", response_model=TeamInfo)
    async def update(body: UpdateTeam) -> Response:
        _check_names(context, body)
        now = context.now()
        changes = limit_changes(body)
        if "team_alias" in body.model_fields_set:
            changes["alias"] = body.team_alias
        if "models" in body.model_fields_set:
            changes["models"] = unique(body.models)
        team = await context.run(lambda: context.teams.update(body.team_id, changes, now=now))
        if team is None:
            raise _unknown()
        context.changed(f"team:{team.id}")
        shown = team_info(team, spend=await context.run(lambda: _spend(context, team)), now=now)
        # LiteLLM's answer has the team under `data`.
        return answer({**shown, "data": shown})

    @router.get("/team/info", response_model=TeamAnswer)
    async def info(team_id: Annotated[str, Query(min_length=1, max_length=128)]) -> Response:
        now = context.now()

        def read() -> dict[str, Any] | None:
            team = context.teams.get(team_id)
            if team is None:
                return None
            keys = context.keys.held_by(team_id=team_id, limit=KEYS_SHOWN)
            scopes = {f"key:{key.id}": key.allowance for key in keys}
            spent = context.spend_of({f"team:{team.id}": team.allowance, **scopes})
            shown = team_info(team, spend=spent[f"team:{team.id}"], now=now)
            return {
                "team_id": team.id,
                "spend": shown["spend"],
                "team_info": shown,
                "keys": [key_info(key, spend=spent[f"key:{key.id}"], now=now) for key in keys],
            }

        found = await context.run(read)
        if found is None:
            raise _unknown()
        return answer(found)

    return router


def _spend(context: Context, team: TeamRecord) -> int:
    return context.spend_of({f"team:{team.id}": team.allowance})[f"team:{team.id}"]


def _check_names(context: Context, body: NewTeam | UpdateTeam) -> None:
    context.require_groups(body.models or [], "models")
    context.require_strategy(body.metadata)


def _unknown() -> CallError:
    return CallError(404, "`team_id`: there is no such team", code="team_not_found", param="team_id")
