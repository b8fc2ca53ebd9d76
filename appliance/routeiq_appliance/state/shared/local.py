"""Limits while the shared state is away: this worker's share of them, and budgets from the last known spend."""

from collections.abc import Callable, Sequence

from routeiq_appliance.state.shared.interface import Admission, Grant, Refusal, Scope, Settlement, Verdict
from routeiq_appliance.state.shared.memory import RETRY_SECONDS, MemoryState
from routeiq_appliance.state.shared.spend_source import SpendSource

__all__ = ["LocalShare", "share_of"]


class LocalShare:
    """`workers`: how many were last seen alive."""

    def __init__(self, spend: SpendSource, *, clock: Callable[[], float]) -> None:
        self.workers = 1
        self._spend = spend
        self._clock = clock
        self._state = self._fresh()

    async def admit(self, admission: Admission, limited: Sequence[Scope]) -> Verdict:
        """Admit by what this worker knows."""
        closed = next((scope for scope in limited if scope.fail_closed), None)
        if closed is not None:
            return Verdict(None, Refusal(closed.name, "unknown", 0, RETRY_SECONDS), ())
        shares = tuple(share_of(scope, self.workers) for scope in limited)
        local = Admission(
            admission.call_id, shares, admission.tokens, admission.cost, admission.lease_seconds
        )
        verdict = await self._state.admit(local)
        if verdict.grant is None:
            return verdict
        return Verdict(Grant(admission, local=True), None, verdict.standings)

    def settle(self, settlement: Settlement) -> None:
        """Settle what was admitted here."""
        self._state.settle(settlement)

    def forget(self) -> None:
        """Begin anew: the shared state decides again."""
        self._state = self._fresh()

    def _fresh(self) -> MemoryState:
        async def known(pairs: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
            # What no worker of this process ever saw is asked of the ledger, if that is there.
            return dict(await self._spend.load(pairs) or self._spend.last_known(pairs))

        return MemoryState(known, clock=self._clock)


def share_of(scope: Scope, workers: int) -> Scope:
    """Return the scope with a worker's share of its limits, never less than one; a budget is not divided."""

    def part(limit: int | None) -> int | None:
        return None if limit is None else min(limit, max(1, limit // workers))

    return Scope(
        scope.name, part(scope.rpm), part(scope.tpm), part(scope.parallel), scope.budget, scope.period
    )
