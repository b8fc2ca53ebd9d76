"""Limits, budgets and models as LiteLLM keeps them → ours. Pure.

LiteLLM keeps what was spent since the last reset, and when the next one is due; here a period has a start. So the
period that ends at `budget_reset_at` is the one that `spend` belongs to.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from routeiq_appliance.moving.values import UnfitError, Values
from routeiq_appliance.state.records import Allowance, duration_seconds, merged, period_of

__all__ = ["PATTERN_CHANGE", "Limits", "groups_of", "limits_of"]

PATTERN_CHANGE = "a pattern in `models` stands for no group here: name the groups"
_ALL = frozenset({"*", "all-proxy-models", "all-team-models"})


@dataclass(frozen=True, slots=True)
class Limits:
    """What the row itself allows, what is spent, and since when: Unix seconds, 0 without a period."""

    allowance: Allowance
    spent: int
    period: int


def limits_of(values: Values, now: datetime, budget: Values | None = None) -> Limits:
    """Return the limits of a row that names the budget `budget`; raises `UnfitError`."""
    own = _allowance(values, now)
    named = _allowance(budget, now) if budget is not None else None
    if named is not None and (own.max_budget is None) != (own.budget_duration is None):
        # LiteLLM takes the amount from one and the period from the other; here both are one wish, and the row's.
        both = merged(Allowance(), named)
        if own.max_budget is None:
            own = replace(own, max_budget=both.max_budget)
        else:
            own = replace(own, budget_duration=both.budget_duration, budget_anchor=both.budget_anchor)
    anchor = merged(own, named).budget_anchor
    period = 0 if anchor is None else period_of(merged(own, named), anchor.timestamp())
    return Limits(own, values.dollars("spend") or 0, period)


def groups_of(names: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Return the groups that LiteLLM's list of models means, none for every group, and what changes.

    A name that stands for nothing here stays: without it the list could become empty, and that means all.
    """
    if not _ALL.isdisjoint(names):
        return (), []
    if len(names) > 1_000:
        raise UnfitError("models: more than 1000")
    for name in names:
        if len(name) > 256 or not name.isprintable():
            raise UnfitError("models: a name that no group can have")
    return tuple(names), [PATTERN_CHANGE] if any("*" in name for name in names) else []


def _allowance(values: Values, now: datetime) -> Allowance:
    duration, anchor = values.text("budget_duration"), None
    if duration is not None:
        seconds = duration_seconds(duration)
        if seconds is None or len(duration) > 16:
            raise UnfitError("budget_duration: not a duration that is known here")
        reset = values.instant("budget_reset_at")
        anchor = (reset - timedelta(seconds=seconds) if reset is not None else now).replace(microsecond=0)
    return Allowance(
        rpm_limit=values.count("rpm_limit"),
        tpm_limit=values.count("tpm_limit"),
        max_parallel_requests=values.count("max_parallel_requests", parallel=True),
        max_budget=values.dollars("max_budget"),
        budget_duration=duration,
        budget_anchor=anchor,
        blocked=values.flag("blocked"),
    )
