"""`/team/member_*` and `/organization/member_*`: who is in which. A member's limits count in the keys of that team."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from routeiq_appliance.api.management.answers import (
    answer,
    member_info,
    organization_info,
    team_info,
    user_info,
)
from routeiq_appliance.api.management.context import Context
from routeiq_appliance.api.management.group_schemas import (
    AddOrganizationMember,
    AddTeamMember,
    OrganizationMember,
    RemoveOrganizationMember,
    RemoveTeamMember,
    UpdateOrganizationMember,
    UpdateTeamMember,
)
from routeiq_appliance.api.management.schemas import Member
from routeiq_appliance.errors import CallError
from routeiq_appliance.money import pico
from routeiq_appliance.pipeline.principal import member_scope
from routeiq_appliance.state.records import (
    UNLIMITED,
    Allowance,
    MemberKind,
    MemberRecord,
    OrganizationRecord,
    TeamRecord,
    UserRecord,
)

__all__ = ["add_members", "member_routes", "memberships"]


def member_routes(context: Context) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["members"], dependencies=[Depends(context.admins_only)])

    @router.post("/team/member_add", response_model=dict[str, Any])
    async def add_to_team(body: AddTeamMember) -> Response:
        return await _add_to_team(context, body)

    @router.post("/team/member_update", response_model=dict[str, Any])
    async def update_in_team(body: UpdateTeamMember) -> Response:
        return await _update_in_team(context, body)

    @router.post("/team/member_delete", response_model=dict[str, Any])
    async def remove_from_team(body: RemoveTeamMember) -> Response:
        return await _remove_from_team(context, body)

    @router.post("/organization/member_add", response_model=dict[str, Any])
    async def add_to_organization(body: AddOrganizationMember) -> Response:
        return await _add_to_organization(context, body)

    @router.patch("/organization/member_update", response_model=dict[str, Any])
    async def update_in_organization(body: UpdateOrganizationMember) -> Response:
        return await _update_in_organization(context, body)

    @router.delete("/organization/member_delete", response_model=dict[str, Any])
    async def remove_from_organization(body: RemoveOrganizationMember) -> Response:
        return await _remove_from_organization(context, body)

    return router


async def _add_to_team(context: Context, body: AddTeamMember) -> Response:
    now = context.now()
    wanted = body.member if isinstance(body.member, list) else [body.member]
    allowance = Allowance(
        max_budget=None if body.max_budget_in_team is None else pico(body.max_budget_in_team),
        budget_duration=body.budget_duration,
        budget_anchor=now.replace(microsecond=0) if body.budget_duration is not None else None,
    )

    def write() -> dict[str, Any]:
        team = context.teams.get(body.team_id)
        if team is None:
            raise _unknown("team")
        users, added = add_members(context, "team", team.id, wanted, allowance, now)
        return {
            **_team(context, team, now),
            "updated_users": [_user(context, user, now) for user in users],
            "updated_team_memberships": memberships(context, added, now),
        }

    shown = await context.run(write)
    context.changed(f"team:{body.team_id}")
    return answer(shown)


async def _update_in_team(context: Context, body: UpdateTeamMember) -> Response:
    given = body.model_fields_set
    changes: dict[str, Any] = {
        name: getattr(body, name) for name in ("tpm_limit", "rpm_limit", "budget_duration") if name in given
    }
    if body.role is not None:
        changes["role"] = body.role
    if "max_budget_in_team" in given:
        changes["max_budget"] = None if body.max_budget_in_team is None else pico(body.max_budget_in_team)
    member = await _update(context, "team", body.team_id, body, changes)
    budget = member.allowance.max_budget
    return answer({
        "team_id": member.owner_id,
        "user_id": member.user_id,
        "user_email": body.user_email,
        "role": member.role,
        "max_budget_in_team": None if budget is None else member_info(member, now=context.now())
        ["litellm_budget_table"]["max_budget"],
        "tpm_limit": member.allowance.tpm_limit,
        "rpm_limit": member.allowance.rpm_limit,
        "budget_duration": member.allowance.budget_duration,
    })  # fmt: skip


async def _remove_from_team(context: Context, body: RemoveTeamMember) -> Response:
    await _remove(context, "team", body.team_id, body)

    def read() -> dict[str, Any]:
        team = context.teams.get(body.team_id)
        if team is None:
            raise _unknown("team")
        return _team(context, team, context.now())

    return answer(await context.run(read))


async def _add_to_organization(context: Context, body: AddOrganizationMember) -> Response:
    now = context.now()
    wanted = body.member if isinstance(body.member, list) else [body.member]

    def write() -> dict[str, Any]:
        organization = context.organizations.get(body.organization_id)
        if organization is None:
            raise _unknown("organization")
        users, added = add_members(context, "organization", organization.id, wanted, UNLIMITED, now)
        return {
            "organization_id": organization.id,
            "updated_users": [_user(context, user, now) for user in users],
            "updated_organization_memberships": memberships(context, added, now),
        }

    return answer(await context.run(write))


async def _update_in_organization(context: Context, body: UpdateOrganizationMember) -> Response:
    member = await _update(context, "organization", body.organization_id, body, {"role": body.role})
    return answer(member_info(member, now=context.now()))


async def _remove_from_organization(context: Context, body: RemoveOrganizationMember) -> Response:
    await _remove(context, "organization", body.organization_id, body)

    def read() -> dict[str, Any]:
        organization = context.organizations.get(body.organization_id)
        if organization is None:
            raise _unknown("organization")
        return _organization(context, organization, context.now())

    return answer(await context.run(read))


def add_members(
    context: Context,
    kind: MemberKind,
    owner_id: str,
    wanted: Sequence[Member | OrganizationMember],
    allowance: Allowance,
    now: datetime,
) -> tuple[list[UserRecord], list[MemberRecord]]:
    """Add users to a team or an organization, and make those that do not exist, as LiteLLM does. Blocking.

    Raises `CallError` 400 for an address that several users have, `TakenError` for who is a member already.
    """
    named = [(_somebody(context, each.user_id, each.user_email, now), each.role) for each in wanted]
    # Once each: who is named twice has the role that is said last.
    added = {user.id: MemberRecord(kind, owner_id, user.id, role, now, allowance) for user, role in named}
    context.members.add(list(added.values()))
    return list({user.id: user for user, _ in named}.values()), list(added.values())


def memberships(context: Context, members: Sequence[MemberRecord], now: datetime) -> list[dict[str, Any]]:
    """Return memberships with what was spent in them; it is counted for members with limits only. Blocking."""
    scopes = {member_scope(member): member.allowance for member in members if member.allowance != UNLIMITED}
    spent = context.spend_of(scopes)
    return [member_info(member, now=now, spend=spent.get(member_scope(member), 0)) for member in members]


async def _update(
    context: Context,
    kind: MemberKind,
    owner_id: str,
    body: UpdateTeamMember | UpdateOrganizationMember,
    changes: dict[str, Any],
) -> MemberRecord:
    def write() -> MemberRecord | None:
        identity = _user_id(context, body.user_id, body.user_email)
        if identity is None:
            return None
        return context.members.update(kind, owner_id, identity, changes, now=context.now())

    member = await context.run(write)
    if member is None:
        raise _unknown("member")
    context.changed(f"{kind}:{owner_id}")
    return member


async def _remove(
    context: Context, kind: MemberKind, owner_id: str, body: RemoveTeamMember | RemoveOrganizationMember
) -> None:
    def write() -> bool:
        identity = _user_id(context, body.user_id, body.user_email)
        return identity is not None and context.members.remove(kind, owner_id, identity)

    if not await context.run(write):
        raise _unknown("member")
    context.changed(f"{kind}:{owner_id}")


def _somebody(context: Context, user_id: str | None, email: str | None, now: datetime) -> UserRecord:
    """Return the user that is named, made if need be."""
    identity = _user_id(context, user_id, email)
    found = None if identity is None else context.users.get(identity)
    if found is not None:
        return found
    return context.users.create(UserRecord(identity or str(uuid.uuid4()), None, {}, now, email=email))


def _user_id(context: Context, user_id: str | None, email: str | None) -> str | None:
    if user_id is not None or email is None:
        return user_id
    found = context.users.with_email(email)
    if len(found) > 1:
        raise CallError(
            400,
            "`user_email`: several users have it: name one by its `user_id`",
            code="invalid_value",
            param="user_email",
        )
    return found[0].id if found else None


def _team(context: Context, team: TeamRecord, now: datetime) -> dict[str, Any]:
    name = f"team:{team.id}"
    members = context.members.of_owners("team", [team.id])[team.id]
    return team_info(team, spend=context.spend_of({name: team.effective})[name], now=now, members=members)


def _organization(context: Context, organization: OrganizationRecord, now: datetime) -> dict[str, Any]:
    name = f"organization:{organization.id}"
    members = context.members.of_owners("organization", [organization.id])[organization.id]
    spent = context.spend_of({name: organization.effective})[name]
    return organization_info(organization, spend=spent, now=now, members=members)


def _user(context: Context, user: UserRecord, now: datetime) -> dict[str, Any]:
    name = f"user:{user.id}"
    spent = context.spend_of({name: user.effective})[name]
    return user_info(user, spend=spent, now=now, members=context.members.of_users([user.id])[user.id])


def _unknown(what: str) -> CallError:
    param = "user_id" if what == "member" else f"{what}_id"
    return CallError(404, f"`{param}`: there is no such {what}", code=f"{what}_not_found", param=param)
