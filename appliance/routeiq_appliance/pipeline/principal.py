"""What the database knows of a key → the `Principal` that the other steps use, or why the key opens nothing.

Pure. A principal holds only until `Made.until`: then a budget's period begins, or the key expires.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.types import ModelAllowance, Principal
from routeiq_appliance.state.records import Allowance, Holder, period_end, period_of
from routeiq_appliance.state.shared.interface import Scope

__all__ = ["Made", "blocked_key", "principal_of", "require_usable", "routing_settings", "unauthorized"]

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
    """Raise `CallError` 401 when the key, its team or its user is blocked, or the key expired at `now` (Unix s)."""
    key, team, user = holder.key, holder.team, holder.user
    if key.allowance.blocked:
        raise blocked_key()
    if team is not None and team.allowance.blocked:
        raise unauthorized(f"the team `{team.id}` of this API key is blocked", code="team_blocked")
    if user is not None and user.allowance.blocked:
        raise unauthorized(f"the user `{user.id}` of this API key is blocked", code="user_blocked")
    if key.expires_at is not None and key.expires_at.timestamp() <= now:
        raise unauthorized("the API key has expired", code="expired_api_key")


def blocked_key() -> CallError:
    """Return the 401 of a blocked key."""
    return unauthorized("the API key is blocked", code="key_blocked")


def principal_of(holder: Holder, now: float, *, team_parallel: int | None = None) -> Made:
    """Return the principal at `now` (Unix seconds), its budgets in their current periods.

    A team or user that was named but never made has no limits; its spend is counted all the same. `team_parallel`:
    calls at once of a team that has no such limit of its own, made or not (G8).
    """
    key, team, user = holder.key, holder.team, holder.user
    named = [(f"key:{key.id}", key.allowance)]
    if key.team_id is not None:
        named.append((f"team:{key.team_id}", team.allowance if team is not None else Allowance()))
    if key.user_id is not None:
        named.append((f"user:{key.user_id}", user.allowance if user is not None else Allowance()))
    ends: list[float | None] = [period_end(allowance, now) for _, allowance in named]
    ends.append(key.expires_at.timestamp() if key.expires_at is not None else None)
    strategy = routing_settings(key.metadata).get("strategy")
    if strategy is None and team is not None:
        strategy = routing_settings(team.metadata).get("strategy")
    principal = Principal(
        key.id,
        models=frozenset(key.models),
        team_models=frozenset(team.models) if team is not None else frozenset(),
        team_id=key.team_id,
        user_id=key.user_id,
        scopes=tuple(
            _scope(name, allowance, now, key.fail_closed, team_parallel if name.startswith("team:") else None)
            for name, allowance in named
        ),
        model_limits={group: ModelAllowance(**limits) for group, limits in key.model_limits.items()},
        strategy=strategy if isinstance(strategy, str) else None,
        key_alias=key.alias,
        team_alias=team.alias if team is not None else None,
    )
    return Made(principal, min((end for end in ends if end is not None), default=_NEVER))


def routing_settings(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `metadata.routeiq`, empty when it is none."""
    found = metadata.get("routeiq")
    return found if isinstance(found, dict) else {}


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
