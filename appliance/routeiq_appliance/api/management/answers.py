"""What the management API answers (`shapes`), and its JSON, in which money is an exact number."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from starlette.responses import Response

from routeiq_appliance.money import dollars
from routeiq_appliance.state.records import (
    Allowance,
    BudgetRecord,
    KeyRecord,
    MemberRecord,
    OrganizationRecord,
    TeamRecord,
    UserRecord,
    period_end,
)

__all__ = [
    "answer",
    "budget_info",
    "key_info",
    "limits_info",
    "member_info",
    "organization_info",
    "page",
    "team_info",
    "to_json",
    "user_info",
]


def answer(value: Any) -> Response:
    """Return a response that no cache keeps."""
    data = to_json(value).encode("utf-8", "replace")
    return Response(data, headers={"cache-control": "no-store"}, media_type="application/json")


def page(rows: Sequence[dict[str, Any]], limit: int, offset: int) -> Response:
    """Return the first `limit` rows; where there is one more, a header says at which offset."""
    response = answer(rows[:limit])
    if len(rows) > limit:
        response.headers["x-routeiq-next-offset"] = str(offset + limit)
    return response


def to_json(value: Any) -> str:
    """Return JSON; a `Decimal` is a number with all its digits, an instant RFC 3339 in UTC."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{_text(str(name))}:{to_json(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(to_json, value)) + "]"
    if isinstance(value, Decimal):
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, datetime):
        return _text(value.astimezone(UTC).isoformat().replace("+00:00", "Z"))
    return json.dumps(value, ensure_ascii=False)


def key_info(key: KeyRecord, *, spend: int, now: datetime) -> dict[str, Any]:
    """Return `KeyInfo`; `spend` in pico-dollars."""
    return {
        "token_id": key.id,
        "key_name": key.hint,
        "key_alias": key.alias,
        "models": list(key.models),
        "expires": key.expires_at,
        "team_id": key.team_id,
        "user_id": key.user_id,
        "organization_id": key.organization_id,
        "role": key.role,
        "key_type": key.key_type,
        "created_by": key.created_by,
        "updated_at": key.updated_at,
        "model_rpm_limit": _of_models(key.model_limits, "rpm"),
        "model_tpm_limit": _of_models(key.model_limits, "tpm"),
        "model_max_budget": {
            group: dollars(amount) for group, amount in _of_models(key.model_limits, "budget").items()
        },
        **_standing(key, spend, now),
    }


def team_info(
    team: TeamRecord, *, spend: int, now: datetime, members: Sequence[MemberRecord] = ()
) -> dict[str, Any]:
    """Return `TeamInfo`; `spend` in pico-dollars."""
    return {
        "team_id": team.id,
        "team_alias": team.alias,
        "models": list(team.models),
        "organization_id": team.organization_id,
        "members_with_roles": [{"user_id": member.user_id, "role": member.role} for member in members],
        **_standing(team, spend, now),
    }


def user_info(
    user: UserRecord, *, spend: int, now: datetime, members: Sequence[MemberRecord] = ()
) -> dict[str, Any]:
    """Return `UserInfo`; `spend` in pico-dollars, `members` the user's memberships."""
    return {
        "user_id": user.id,
        "user_alias": user.alias,
        "user_email": user.email,
        "user_role": user.role,
        "models": list(user.models),
        "teams": [member.owner_id for member in members if member.kind == "team"],
        **_standing(user, spend, now),
    }


def organization_info(
    organization: OrganizationRecord,
    *,
    spend: int,
    now: datetime,
    members: Sequence[MemberRecord] = (),
    teams: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Return `OrganizationInfo`; `spend` in pico-dollars, `teams` as `team_info` shows them."""
    return {
        "organization_id": organization.id,
        "organization_alias": organization.alias,
        "models": list(organization.models),
        "members": [member_info(member, now=now) for member in members],
        "teams": list(teams),
        **_standing(organization, spend, now),
        "litellm_budget_table": {
            "budget_id": organization.budget_id,
            **limits_info(organization.effective, now),
        },
    }


def member_info(member: MemberRecord, *, now: datetime, spend: int | None = None) -> dict[str, Any]:
    """Return a membership as LiteLLM shows it; `spend` in pico-dollars, of members with limits."""
    role = "role" if member.kind == "team" else "user_role"
    shown: dict[str, Any] = {
        "user_id": member.user_id,
        f"{member.kind}_id": member.owner_id,
        role: member.role,
        "created_at": member.created_at,
        "litellm_budget_table": limits_info(member.allowance, now),
    }
    return shown if spend is None else {**shown, "spend": dollars(spend)}


def budget_info(budget: BudgetRecord, *, now: datetime) -> dict[str, Any]:
    """Return a named budget."""
    return {
        "budget_id": budget.id,
        **limits_info(budget.allowance, now),
        "created_at": budget.created_at,
        "updated_at": budget.updated_at,
    }


def limits_info(allowance: Allowance, now: datetime) -> dict[str, Any]:
    """Return `LimitsInfo`."""
    end = period_end(allowance, now.timestamp())
    return {
        "max_budget": None if allowance.max_budget is None else dollars(allowance.max_budget),
        "budget_duration": allowance.budget_duration,
        "budget_reset_at": None if end is None else datetime.fromtimestamp(end, UTC),
        "rpm_limit": allowance.rpm_limit,
        "tpm_limit": allowance.tpm_limit,
        "max_parallel_requests": allowance.max_parallel_requests,
    }


def _standing(
    record: KeyRecord | TeamRecord | UserRecord | OrganizationRecord, spend: int, now: datetime
) -> dict[str, Any]:
    named = record.budget
    end = period_end(record.effective, now.timestamp())
    return {
        "spend": dollars(spend),
        **limits_info(record.allowance, now),
        # Of the budget that holds, also where that is the named one.
        "budget_reset_at": None if end is None else datetime.fromtimestamp(end, UTC),
        "budget_id": record.budget_id,
        "litellm_budget_table": None
        if named is None
        else {"budget_id": record.budget_id, **limits_info(named, now)},
        "blocked": record.allowance.blocked,
        "metadata": record.metadata,
        "created_at": record.created_at,
    }


def _of_models(limits: Mapping[str, Mapping[str, int]], kind: str) -> dict[str, int]:
    return {group: limit[kind] for group, limit in limits.items() if kind in limit}


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
