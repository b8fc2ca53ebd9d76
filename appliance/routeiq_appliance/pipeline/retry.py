"""What is tried after a failed attempt: the same deployment, the next one, another group, or nothing. Pure.

Nothing is tried again once the caller has seen a byte; `pipeline.call` sees to that. A request that is at fault
itself is never tried again. A deadline that passed has used up its deployment; another one may still answer.
"""

from collections.abc import Sequence

from routeiq_appliance.config.policy import CallPolicy
from routeiq_appliance.errors import Fault

__all__ = ["FAILURES", "backoff_ceiling", "following_groups", "may_try_next", "may_try_same"]

FAILURES: frozenset[Fault] = frozenset({"unavailable", "broken", "timeout", "misconfigured"})
"""What counts against a deployment's breaker. A 429 does not: the upstream is well, and says when to come back."""

_SAME: frozenset[Fault] = frozenset({"unavailable", "broken"})
_NEXT: frozenset[Fault] = FAILURES | {"rate_limited", "unsupported"}
_BASE_SECONDS = 0.25
_MAX_SECONDS = 8.0


def may_try_same(fault: Fault) -> bool:
    """Whether the same deployment may be asked again, after a pause."""
    return fault in _SAME


def may_try_next(fault: Fault) -> bool:
    """Whether another deployment of the group may be asked, at once."""
    return fault in _NEXT


def backoff_ceiling(attempt: int) -> float:
    """Return the longest pause in seconds before `attempt` (1 for the first repeat).

    The pause is drawn evenly from zero to it ("full jitter": Brooker, Exponential Backoff And Jitter, 2015).
    """
    return min(_MAX_SECONDS, _BASE_SECONDS * 2.0 ** (attempt - 1))


def following_groups(
    fault: Fault, *, first: str, failed: str, ranking: Sequence[str], policy: CallPolicy
) -> tuple[str, ...]:
    """Return the groups to try after `failed`, in order; what was tried already is the caller's to leave out.

    `first`: the group decided for; `ranking`: all candidates of `auto`, best first, or nothing for an explicit group.
    """
    if fault == "context":
        return policy.after_too_long(failed)
    return (*ranking, *policy.after(first)) if fault in _NEXT else ()
