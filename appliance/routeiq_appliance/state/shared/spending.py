"""What scopes have spent, as far as this worker knows: from Redis, from its own calls, from the ledger.

The last known spend carries budgets through an outage, and covers what the ledger has not been told yet when Redis has
lost its data: spend is seeded with whichever is more.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from routeiq_appliance.errors import StateError
from routeiq_appliance.state.shared.interface import LoadSpend

__all__ = ["Pair", "Spending"]

Pair = tuple[str, int]
"""Scope name, period."""
_WAIT_SECONDS = 1.0
_AWAY_SECONDS = 5.0
_MAX_PAIRS = 100_000
_Told = Mapping[Pair, int] | None
_LEFT: Mapping[Pair, int] = MappingProxyType({})
"""Whoever asked has left without an answer."""


class Spending:
    """Pico-dollars by scope and period; one per worker. Asks the ledger at most every five seconds while it is away."""

    def __init__(self, load: LoadSpend, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._load = load
        self._clock = clock
        self._known: dict[Pair, int] = {}
        self._guessed: set[Pair] = set()
        """Nobody could tell: only what this worker spent itself is known."""
        self._away_until = 0.0
        self._flights: dict[tuple[Pair, ...], asyncio.Future[_Told]] = {}
        self._forgotten = 0

    def of(self, pair: Pair) -> int | None:
        """Return the last known spend; None when the ledger should be asked."""
        if self._guessed and pair in self._guessed:
            return None
        return self._known.get(pair)

    def at_least(self, pair: Pair) -> int:
        """Return the last known spend; of what nobody can tell, what this worker spent."""
        return self._known.get(pair, 0)

    def note(self, pair: Pair, spent: int) -> None:
        """Remember what is known to be right."""
        self._known[pair] = spent
        if self._guessed:
            self._guessed.discard(pair)
        if len(self._known) > _MAX_PAIRS:
            oldest = next(iter(self._known))
            del self._known[oldest]
            self._guessed.discard(oldest)

    def add(self, pair: Pair, cost: int) -> None:
        """Add what this worker spent."""
        known = self._known.get(pair)
        if known is not None:
            self._known[pair] = known + cost

    def forget(self, pairs: Iterable[Pair]) -> None:
        """Know nothing of these any more, nor of what is being read."""
        self._forgotten += 1
        self._flights.clear()
        for pair in pairs:
            self._known.pop(pair, None)
            self._guessed.discard(pair)

    async def learn(self, pairs: Sequence[Pair]) -> None:
        """Have an answer for each of `pairs`: what is known, else the ledger's word, else a guess."""
        told = await self.ledger(pairs)
        for pair in pairs:
            # While the ledger was read, another call may have learned it, and its cost been added since.
            if self.of(pair) is not None:
                continue
            mine = self._known.get(pair, 0)
            self.note(pair, mine if told is None else max(told[pair], mine))
            if told is None:
                self._guessed.add(pair)

    async def read(self, pairs: Sequence[Pair]) -> dict[Pair, int]:
        """Return the ledger's word or the last known spend, whichever is more; leaves out what nobody knows."""
        told = await self.ledger(pairs)
        found: dict[Pair, int] = {}
        for pair in pairs:
            known = self.of(pair)
            if told is not None:
                found[pair] = max(told[pair], known or 0)
            elif known is not None:
                found[pair] = known
        return found

    async def ledger(self, pairs: Sequence[Pair]) -> Mapping[Pair, int] | None:
        """Return what the ledger says, None while it does not answer. The same question at the same time is one."""
        asked = tuple(pairs)
        while (flight := self._flights.get(asked)) is not None:
            told = await asyncio.shield(flight)
            if told is not _LEFT:
                return told
        flight = self._flights[asked] = asyncio.get_running_loop().create_future()
        told = _LEFT
        try:
            told = await self._ask(asked)
        finally:
            if self._flights.get(asked) is flight:
                del self._flights[asked]
            flight.set_result(told)
        return told

    async def _ask(self, pairs: tuple[Pair, ...]) -> _Told:
        while self._clock() >= self._away_until:
            forgotten = self._forgotten
            try:
                async with asyncio.timeout(_WAIT_SECONDS):
                    told = await self._load(pairs)
            except (StateError, TimeoutError):
                self._away_until = self._clock() + _AWAY_SECONDS
                break
            if forgotten == self._forgotten:
                return {pair: told.get(pair, 0) for pair in pairs}
            # What was read may be from before it was reset.
        return None
