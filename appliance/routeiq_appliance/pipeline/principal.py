"""What the database knows of a key → the `Principal` that the other steps use, or why the key opens nothing.

Pure. A principal holds only until `Made.until`: then a budget's period begins, or the key expires.

Each call of a key counts in the scopes of all that the key belongs to: key, team, user, organization, and the user as
a member of the team where that has limits. A group may be used when all of their lists hold it; a user's list, as in
LiteLLM, is asked for keys without a team only.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.roles import rights_of
from routeiq_appliance.pipeline.types import ModelAllowance, Principal
from routeiq_appliance.state.records import UNLIMITED, Allowance, Holder, MemberRecord, period_end, period_of
from routeiq_appliance.state.shared.interface import Scope
from routeiq_router.errors import RouterError
from routeiq_router.objective import Objective, read_objective

__all__ = [
    "Made",
    "blocked_key",
    "member_scope",
    "principal_of",
    "require_usable",
    "routing_settings",
    "unauthorized",
]

_LONGEST_SCOPE = 192
"""Characters that `spend` keeps of a scope's name."""
_NOTHING = frozenset({""})
"""Lists that have nothing in common: no group is called so, and an empty list would mean all."""
_NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Made:
    """A principal and the instant, in Unix seconds, from which another one takes its place."""

    principal: Principal
    until: float


def unauthorized(message: str, *, code: str = "invalid_api_key") -> CallError:
    """Return a 401."""
    return CallError(401, message, kind="authentication_error", code=code)


def require_usable(holder: Holder, now: float) -> None:
    """Raise `CallError` 401 when the key or what it belongs to is blocked, or it expired at `now` (Unix s)."""
    key, team, user, organization = holder.key, holder.team, holder.user, holder.organization
    if key.allowance.blocked:
        raise blocked_key()
    if team is not None and team.allowance.blocked:
        raise unauthorized(f"the team `{team.id}` of this API key is blocked", code="team_blocked")
    if user is not None and user.allowance.blocked:
        raise unauthorized(f"the user `{user.id}` of this API key is blocked", code="user_blocked")
    if organization is not None and organization.allowance.blocked:
        raise unauthorized(
            f"the organization `{organization.id}` of this API key is blocked", code="organization_blocked"
        )
    if key.expires_at is not None and key.expires_at.timestamp() <= now:
        raise unauthorized("the API key has expired", code="expired_api_key")


def blocked_key() -> CallError:
    """Return the 401 of a blocked key."""
    return unauthorized("the API key is blocked", code="key_blocked")


def principal_of(holder: Holder, now: float, *, team_parallel: int | None = None) -> Made:
    """Return the principal at `now` (Unix seconds), its budgets in their current periods.

    What was named but never made has no limits; its spend is counted all the same. `team_parallel`: calls at once of a
    team that has no such limit of its own, made or not (G8).
    """
    key, team, user = holder.key, holder.team, holder.user
    named = list(_named(holder))
    ends: list[float | None] = [period_end(allowance, now) for _, allowance in named]
    ends.append(key.expires_at.timestamp() if key.expires_at is not None else None)
    strategy = routing_settings(key.metadata).get("strategy")
    if strategy is None and team is not None:
        strategy = routing_settings(team.metadata).get("strategy")
    objective = _objective(key.metadata)
    if objective is None and team is not None:
        objective = _objective(team.metadata)
    rights = rights_of(key.role, key.key_type, user.role if user is not None else None)
    principal = Principal(
        key.id,
        is_admin=rights.manages and rights.role == "admin",
        models=frozenset(key.models),
        team_models=_common(_lists(holder)),
        team_id=key.team_id,
        user_id=key.user_id,
        scopes=tuple(
            _scope(name, allowance, now, key.fail_closed, team_parallel if name.startswith("team:") else None)
            for name, allowance in named
        ),
        model_limits={group: ModelAllowance(**limits) for group, limits in key.model_limits.items()},
        strategy=strategy if isinstance(strategy, str) else None,
        organization_id=holder.organization_id,
        role=rights.role,
        calls=rights.calls,
        manages=rights.manages,
        key_alias=key.alias,
        team_alias=team.alias if team is not None else None,
        objective=objective,
    )
    return Made(principal, min((end for end in ends if end is not None), default=_NEVER))


def member_scope(member: MemberRecord) -> str:
    """Return the name under which a member's calls in a team are counted; no two members share one."""
    name = f"member:{len(member.owner_id)}:{member.owner_id}/{member.user_id}"
    if len(name) <= _LONGEST_SCOPE:
        return name
    return f"member:#{hashlib.sha256(name.encode()).hexdigest()}"


def routing_settings(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `metadata.routeiq`, empty when it is none."""
    found = metadata.get("routeiq")
    return found if isinstance(found, dict) else {}


def _objective(metadata: Mapping[str, Any]) -> Objective | None:
    """Return `metadata.routeiq.objective`; what the management API would refuse, in imported rows, is none."""
    value = routing_settings(metadata).get("objective")
    if value is None:
        return None
    try:
        return read_objective(value)
    except RouterError:
        return None


def _named(holder: Holder) -> Iterator[tuple[str, Allowance]]:
    """Yield the name of each scope of a key's calls, and what holds there."""
    key, organization_id = holder.key, holder.organization_id
    yield f"key:{key.id}", key.effective
    if key.team_id is not None:
        yield f"team:{key.team_id}", holder.team.effective if holder.team is not None else UNLIMITED
    if key.user_id is not None:
        yield f"user:{key.user_id}", holder.user.effective if holder.user is not None else UNLIMITED
    if organization_id is not None:
        found = holder.organization
        yield f"organization:{organization_id}", found.effective if found is not None else UNLIMITED
    # One scope less to ask for where it limits nothing.
    if holder.member is not None and holder.member.allowance != UNLIMITED:
        yield member_scope(holder.member), holder.member.allowance


def _lists(holder: Holder) -> Iterator[tuple[str, ...]]:
    """Yield the lists of groups beside the key's own."""
    if holder.team is not None:
        yield holder.team.models
    if holder.organization is not None:
        yield holder.organization.models
    if holder.user is not None and holder.key.team_id is None:
        yield holder.user.models


def _common(lists: Iterable[tuple[str, ...]]) -> frozenset[str]:
    """Return the names that all lists hold; an empty list is no restriction. `auto` is a name like any other."""
    common: frozenset[str] | None = None
    for each in lists:
        if each:
            common = frozenset(each) if common is None else common & frozenset(each)
    return frozenset() if common is None else common or _NOTHING


def _scope(name: str, allowance: Allowance, now: float, fail_closed: bool, parallel: int | None) -> Scope:
    return Scope(
        name,
        rpm=allowance.rpm_limit,
        tpm=allowance.tpm_limit,
        parallel=parallel if allowance.max_parallel_requests is None else allowance.max_parallel_requests,
        budget=allowance.max_budget,
        period=period_of(allowance, now),
        fail_closed=fail_closed,
    )
