"""Limits, budgets and models as LiteLLM keeps them → ours. Pure.

LiteLLM keeps what was spent since the last reset, and when the next one is due; here a period has a start. So the
period that ends at `budget_reset_at` is the one that `spend` belongs to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from routeiq_appliance.moving.values import UnfitError, Values
from routeiq_appliance.state.records import Allowance, duration_seconds, period_of

__all__ = ["PATTERN_CHANGE", "Limits", "groups_of", "limits_of"]

PATTERN_CHANGE = "a pattern in `models` stands for no group here: name the groups"
_ALL = frozenset({"*", "all-proxy-models", "all-team-models"})


@dataclass(frozen=True, slots=True)
class Limits:
    """What is allowed, what of it is spent, and since when: Unix seconds, 0 without a period."""

    allowance: Allowance
    spent: int
    period: int


def limits_of(values: Values, now: datetime, budget: Values | None = None) -> Limits:
    """Return the limits of a row, those of its budget's row where it has none of its own; raises `UnfitError`."""
    own = [values] if budget is None else [values, budget]
    duration = _first(own, "budget_duration")
    anchor = None
    if duration is not None:
        seconds = duration_seconds(duration)
        if seconds is None:
            raise UnfitError("budget_duration: not a duration that is known here")
        reset = next((at for at in (item.instant("budget_reset_at") for item in own) if at is not None), None)
        anchor = (reset - timedelta(seconds=seconds) if reset is not None else now).replace(microsecond=0)
    allowance = Allowance(
        rpm_limit=_count(own, "rpm_limit"),
        tpm_limit=_count(own, "tpm_limit"),
        max_parallel_requests=_count(own, "max_parallel_requests", parallel=True),
        max_budget=next(
            (amount for amount in (item.dollars("max_budget") for item in own) if amount is not None), None
        ),
        budget_duration=duration,
        budget_anchor=anchor,
        blocked=values.flag("blocked"),
    )
    period = 0 if anchor is None else period_of(allowance, anchor.timestamp())
    return Limits(allowance, values.dollars("spend") or 0, period)


def groups_of(names: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Return the groups that LiteLLM's list of models means, none for every group, and what changes.

    A name that stands for nothing here stays: without it the list could become empty, and that means all.
    """
    if not _ALL.isdisjoint(names):
        return (), []
    for name in names:
        if len(name) > 256 or not name.isprintable():
            raise UnfitError("models: a name that no group can have")
    return tuple(names), [PATTERN_CHANGE] if any("*" in name for name in names) else []


def _first(rows: Sequence[Values], column: str) -> str | None:
    return next((text for text in (row.text(column) for row in rows) if text is not None), None)


def _count(rows: Sequence[Values], column: str, *, parallel: bool = False) -> int | None:
    counts = (row.count(column, parallel=parallel) for row in rows)
    return next((count for count in counts if count is not None), None)
