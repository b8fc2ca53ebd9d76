"""Limits while Redis is away: this worker's share, budgets from the last known spend, and what is owed after."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from routeiq_appliance.state.shared.interface import Admission, Grant, Refusal, Scope, Settlement, Verdict
from routeiq_appliance.state.shared.limits import RETRY_SECONDS, LocalLimits
from routeiq_appliance.state.shared.spending import Pair, Spending

__all__ = ["Outage", "share_of"]

_BEATS = 5


class Outage:
    """One per worker, for all its outages: calls that began in one may end after it."""

    def __init__(self, spending: Spending, *, clock: Callable[[], float]) -> None:
        self._limits = LocalLimits(spending, clock=clock)
        self._workers: deque[int] = deque([1], maxlen=_BEATS)
        self.owed: Counter[Pair] = Counter()
        """What local calls cost that Redis was not told yet."""

    def saw(self, workers: int) -> None:
        """Remember how many workers live; the most of the last beats count, for a Redis that has just begun again."""
        self._workers.append(workers)

    async def admit(self, admission: Admission, limited: Sequence[Scope]) -> Verdict:
        """Admit by what this worker knows."""
        for scope in limited:
            if scope.fail_closed:
                return Verdict(None, Refusal(scope.name, "unknown", 0, RETRY_SECONDS), ())
        workers = max(self._workers)
        verdict = await self._limits.admit(admission, [share_of(scope, workers) for scope in limited])
        if verdict.grant is None:
            return verdict
        return Verdict(Grant(admission, local=True), None, verdict.standings)

    def settle(self, settlement: Settlement) -> None:
        """Settle what was admitted here; once."""
        if self._limits.settle(settlement) and settlement.cost:
            for scope in settlement.grant.admission.scopes:
                if scope.budget is not None:
                    self.owed[scope.name, scope.period] += settlement.cost


def share_of(scope: Scope, workers: int) -> Scope:
    """Return the scope with one worker's share of its limits, at least one; a budget is not divided."""

    def part(limit: int | None) -> int | None:
        return None if limit is None else min(limit, max(1, limit // workers))

    return replace(scope, rpm=part(scope.rpm), tpm=part(scope.tpm), parallel=part(scope.parallel))
