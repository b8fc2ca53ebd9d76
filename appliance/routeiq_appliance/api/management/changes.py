"""Bodies → records and changes of columns. Pure: what a field means for the store is decided here."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from routeiq_appliance.api.management.base_schemas import LimitFields, Limits
from routeiq_appliance.api.management.fields import NO_END, parse_duration
from routeiq_appliance.api.management.schemas import KeyFields, RegenerateKey, UpdateKey
from routeiq_appliance.money import pico
from routeiq_appliance.state.records import Allowance, KeyRecord

__all__ = [
    "allowance_of",
    "fails_closed",
    "key_changes",
    "limit_changes",
    "model_limits_of",
    "unique",
]

_MODEL_LIMITS = {"model_rpm_limit": "rpm", "model_tpm_limit": "tpm", "model_max_budget": "budget"}


def allowance_of(body: Limits, now: datetime) -> Allowance:
    """Return what something new may use."""
    return Allowance(
        rpm_limit=body.rpm_limit,
        tpm_limit=body.tpm_limit,
        max_parallel_requests=body.max_parallel_requests,
        max_budget=None if body.max_budget is None else pico(body.max_budget),
        budget_duration=body.budget_duration,
        budget_anchor=now.replace(microsecond=0) if body.budget_duration is not None else None,
        blocked=isinstance(body, LimitFields) and bool(body.blocked),
    )


def limit_changes(body: Limits) -> dict[str, Any]:
    """Return the columns that a body changes, of those that all have alike."""
    changes: dict[str, Any] = {
        name: getattr(body, name)
        for name in ("rpm_limit", "tpm_limit", "max_parallel_requests", "budget_duration")
        if name in body.model_fields_set
    }
    if "max_budget" in body.model_fields_set:
        changes["max_budget"] = None if body.max_budget is None else pico(body.max_budget)
    if not isinstance(body, LimitFields):
        return changes
    if "budget_id" in body.model_fields_set:
        changes["budget_id"] = body.budget_id
    if body.blocked is not None:
        changes["blocked"] = body.blocked
    if "metadata" in body.model_fields_set:
        changes["metadata"] = body.metadata or {}
    return changes


def key_changes(body: UpdateKey | RegenerateKey, before: KeyRecord, now: datetime) -> dict[str, Any]:
    """Return the columns of `keys` that a body changes; raises `CallError` 400."""
    changes = limit_changes(body)
    given = body.model_fields_set
    if "key_alias" in given:
        changes["alias"] = body.key_alias
    if "models" in given:
        changes["models"] = unique(body.models)
    for name in ("team_id", "user_id", "organization_id", "role", "key_type"):
        if name in given:
            changes[name] = getattr(body, name)
    if body.duration == NO_END:
        changes["expires_at"] = None
    elif body.duration is not None:
        changes["expires_at"] = now + timedelta(seconds=parse_duration(body.duration))
    if "metadata" in given:
        changes["fail_closed"] = fails_closed(body.metadata)
    if given & _MODEL_LIMITS.keys():
        changes["model_limits"] = model_limits_of(body, before.model_limits)
    return changes


def model_limits_of(body: KeyFields, before: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Return group → limits: of the three kinds, those that the body names take the place of what was."""
    kinds = {kind for name, kind in _MODEL_LIMITS.items() if name in body.model_fields_set}
    limits = {
        group: {kind: value for kind, value in limit.items() if kind not in kinds}
        for group, limit in before.items()
    }
    for group, amount in (body.model_max_budget or {}).items():
        limits.setdefault(group, {})["budget"] = pico(amount)
    for group, count in (body.model_rpm_limit or {}).items():
        limits.setdefault(group, {})["rpm"] = count
    for group, count in (body.model_tpm_limit or {}).items():
        limits.setdefault(group, {})["tpm"] = count
    return {group: limit for group, limit in limits.items() if limit}


def fails_closed(metadata: Mapping[str, Any] | None) -> bool:
    """Return `metadata.routeiq.fail_closed`."""
    return bool(((metadata or {}).get("routeiq") or {}).get("fail_closed", False))


def unique(names: list[str] | None) -> list[str]:
    """Return the names once each, in their order."""
    return list(dict.fromkeys(names or ()))
