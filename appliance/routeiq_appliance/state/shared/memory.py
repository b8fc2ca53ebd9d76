"""Shared state of a gateway with one worker: in memory, lost with it. Money is read again from the ledger."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from routeiq_appliance.state.shared.interface import Admission, Grant, LoadSpend, Notice, Settlement, Verdict
from routeiq_appliance.state.shared.limits import LocalLimits
from routeiq_appliance.state.shared.rules import is_limited
from routeiq_appliance.state.shared.spending import Spending

__all__ = ["Conversations", "MemoryState"]

_MAX_CONVERSATIONS = 50_000


class MemoryState:
    """Implements `SharedState`. Scopes without limits are neither counted nor kept."""

    def __init__(self, load_spend: LoadSpend, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._spending = Spending(load_spend)
        self._limits = LocalLimits(self._spending, clock=clock)
        self._conversations = Conversations(clock)
        self._listeners: list[Callable[[Notice], None]] = []
        self._blocked: set[str] = set()
        self._strategy: str | None = None

    @property
    def degraded(self) -> bool:
        """See `SharedState.degraded`: there is no backend to lose."""
        return False

    async def start(self) -> None:
        """See `SharedState.start`."""

    async def close(self) -> None:
        """See `SharedState.close`."""

    async def admit(self, admission: Admission) -> Verdict:
        """See `SharedState.admit`."""
        limited = [scope for scope in admission.scopes if is_limited(scope)]
        if not limited:
            return Verdict(Grant(admission), None, ())
        return await self._limits.admit(admission, limited)

    def settle(self, settlement: Settlement) -> None:
        """See `SharedState.settle`."""
        self._limits.settle(settlement)

    async def release_budget(self, pairs: Sequence[tuple[str, int]]) -> None:
        """See `SharedState.release_budget`."""
        self._spending.forget(pairs)

    async def recall(self, conversation: str) -> str | None:
        """See `SharedState.recall`."""
        return self._conversations.recall(conversation)

    def remember(self, conversation: str, value: str, *, seconds: int) -> None:
        """See `SharedState.remember`."""
        self._conversations.remember(conversation, value, seconds=seconds)

    def publish(self, notice: Notice) -> None:
        """See `SharedState.publish`."""
        if notice.kind == "strategy":
            self._strategy = notice.value or None
        for listener in self._listeners:
            listener(notice)

    def subscribe(self, listener: Callable[[Notice], None]) -> None:
        """See `SharedState.subscribe`."""
        self._listeners.append(listener)

    async def block(self, key_id: str) -> None:
        """See `SharedState.block`."""
        self._blocked.add(key_id)
        self.publish(Notice("key", key_id))

    async def unblock(self, key_id: str) -> None:
        """See `SharedState.unblock`."""
        self._blocked.discard(key_id)
        self.publish(Notice("key", key_id))

    def is_blocked(self, key_id: str) -> bool:
        """See `SharedState.is_blocked`."""
        return key_id in self._blocked

    def active_strategy(self) -> str | None:
        """See `SharedState.active_strategy`."""
        return self._strategy


class Conversations:
    """What is remembered of conversations; the oldest are dropped beyond 50,000."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, str]] = OrderedDict()

    def remember(self, conversation: str, value: str, *, seconds: int) -> None:
        """Keep `value` for `seconds`."""
        self._kept[conversation] = (self._clock() + seconds, value)
        self._kept.move_to_end(conversation)
        if len(self._kept) > _MAX_CONVERSATIONS:
            self._kept.popitem(last=False)

    def recall(self, conversation: str) -> str | None:
        """Return what is kept, None when nothing is or its time is over."""
        kept = self._kept.get(conversation)
        return kept[1] if kept is not None and kept[0] > self._clock() else None

    def take_all(self) -> list[tuple[str, str, int]]:
        """Return (conversation, value, seconds left) of all, and keep none."""
        now = self._clock()
        kept, self._kept = self._kept, OrderedDict()
        return [(name, value, int(end - now)) for name, (end, value) in kept.items() if end - now >= 1]
