"""What a worker still has to tell Redis, and which spend the ledger should put right. Plain data; `redis` sends it."""

import itertools
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass

from routeiq_appliance.state.shared.interface import Settlement
from routeiq_appliance.state.shared.spending import Pair

__all__ = ["Backlog", "Debt", "Unsent"]

_MAX_SETTLEMENTS = 20_000
_MAX_AT_ONCE = 500
_CHECKS = (10.0, 60.0)
"""Seconds after which doubtful spend is compared with the ledger: by then its shipper has caught up."""


@dataclass(frozen=True, slots=True)
class Unsent:
    """A settlement that Redis may not know. `since`: when Redis was last heard of, in its ms."""

    settlement: Settlement
    since: int


@dataclass(frozen=True, slots=True)
class Debt:
    """What local calls cost; `marker` makes sure that it counts once."""

    marker: str
    costs: tuple[tuple[Pair, int], ...]
    since: int


class Backlog:
    """One per worker. Bounded: beyond 20,000 settlements the oldest are left to the ends of their leases."""

    def __init__(self, worker: str) -> None:
        self.seen = 0
        """Redis's time when it was last heard of, ms."""
        self.settlements: deque[Unsent] = deque()
        self.debts: deque[Debt] = deque()
        self._markers = (f"routeiq:owed:{worker}:{number}" for number in itertools.count(1))
        self._doubtful: dict[Pair, tuple[float, int]] = {}

    def keep(self, settlement: Settlement) -> None:
        """Keep a settlement for Redis's return."""
        if len(self.settlements) >= _MAX_SETTLEMENTS:
            self.settlements.popleft()
        self.settlements.append(Unsent(settlement, self.seen))

    def owe(self, owed: Counter[Pair]) -> None:
        """Take over what is owed; `owed` is empty after that."""
        if owed:
            self.debts.append(Debt(next(self._markers), tuple(owed.items()), self.seen))
            owed.clear()

    def doubt(self, pairs: Iterable[Pair], now: float) -> None:
        """Have the spend of these compared with the ledger, twice."""
        soon = now + _CHECKS[0]
        for pair in pairs:
            at, _ = self._doubtful.get(pair, (soon, 1))
            # New doubts must not put a check off for ever; the second one covers them.
            self._doubtful[pair] = (min(at, soon), 1)

    def due(self, now: float) -> list[Pair]:
        """Return what should be compared now."""
        found = (pair for pair, (at, _) in self._doubtful.items() if at <= now)
        return list(itertools.islice(found, _MAX_AT_ONCE))

    def checked(self, pairs: Iterable[Pair], now: float) -> None:
        """Note that these were compared."""
        for pair in pairs:
            _, checks = self._doubtful.pop(pair)
            if checks < len(_CHECKS):
                self._doubtful[pair] = (now + _CHECKS[checks], checks + 1)
