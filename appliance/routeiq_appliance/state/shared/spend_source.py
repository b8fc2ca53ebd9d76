"""Asks the ledger what scopes have spent, without letting an outage of the database hold up calls."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from routeiq_appliance.errors import StateError
from routeiq_appliance.state.shared.interface import LoadSpend

__all__ = ["SpendSource"]

_WAIT_SECONDS = 1.0
_AWAY_SECONDS = 5.0
_KEPT = 100_000


class SpendSource:
    """Keeps the last known spend of each (scope, period) for the time when nobody else knows."""

    def __init__(self, load: LoadSpend, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._load = load
        self._clock = clock
        self._away_until = 0.0
        self._known: OrderedDict[tuple[str, int], int] = OrderedDict()

    def note(self, name: str, period: int, spent: int) -> None:
        """Remember what was seen last."""
        self._known[name, period] = spent
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)

    def add(self, name: str, period: int, cost: int) -> None:
        """Add what this worker spent itself."""
        if (name, period) in self._known:
            self._known[name, period] += cost

    async def load(self, pairs: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], int] | None:
        """Return what the ledger says; None while it does not answer."""
        if self._clock() < self._away_until:
            return None
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                found = await self._load(pairs)
        except (StateError, TimeoutError):
            self._away_until = self._clock() + _AWAY_SECONDS
            return None
        complete = {pair: found.get(pair, 0) for pair in pairs}
        for (name, period), spent in complete.items():
            self.note(name, period, spent)
        return complete

    def last_known(self, pairs: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Return what was seen last, zero for what never was."""
        return {pair: self._known.get(pair, 0) for pair in pairs}
