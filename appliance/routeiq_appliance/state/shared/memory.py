"""Shared state of a gateway with one worker: in memory, lost with it. Money is read again from the ledger."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from routeiq_appliance.state.shared.interface import (
    Admission,
    Grant,
    LoadSpend,
    Notice,
    Refusal,
    Scope,
    Settlement,
    Standing,
    Verdict,
)
from routeiq_appliance.state.shared.rules import ScopeState, refusal_of, standing_of
from routeiq_appliance.state.shared.spend_source import SpendSource

__all__ = ["RETRY_SECONDS", "MemoryState", "is_limited"]

RETRY_SECONDS = 5.0
"""When to come back to a scope that refuses what nobody can tell."""
_MAX_SCOPES = 100_000
_MAX_CONVERSATIONS = 50_000


class MemoryState:
    """Implements `SharedState`. Scopes without limits are neither counted nor kept."""

    def __init__(self, load_spend: LoadSpend, *, clock: Callable[[], float] = time.time) -> None:
        self._spend = SpendSource(load_spend)
        self._clock = clock
        self._scopes: OrderedDict[str, ScopeState] = OrderedDict()
        self._guesses: dict[str, int] = {}
        """Scopes whose spend the ledger could not tell, and what was taken for it."""
        self._conversations: OrderedDict[str, tuple[float, str]] = OrderedDict()
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
        unknown = [(s.name, s.period) for s in limited if s.budget is not None and not self._knows(s)]
        if unknown:
            found = await self._spend.load(unknown)
            if found is None:
                closed = next((s for s in limited if s.fail_closed), None)
                if closed is not None:
                    return Verdict(None, Refusal(closed.name, "unknown", 0, RETRY_SECONDS), ())
                for (name, period), spent in self._spend.last_known(unknown).items():
                    self._guess(name, period, spent)
            else:
                for (name, period), spent in found.items():
                    self._learn(name, period, spent)
        return self.decide(admission, limited)

    def decide(self, admission: Admission, limited: Sequence[Scope]) -> Verdict:
        """Admit to `limited` with what is known, at once."""
        now = self._clock()
        states = [self._state(scope.name) for scope in limited]
        for scope, state in zip(limited, states, strict=True):
            state.advance(now)
            refusal = refusal_of(scope, state, now)
            if refusal is not None:
                return Verdict(None, refusal, ())
        standings: list[Standing] = []
        for scope, state in zip(limited, states, strict=True):
            state.take(admission, now)
            standing = standing_of(scope, state, now)
            if standing is not None:
                standings.append(standing)
        return Verdict(Grant(admission), None, tuple(standings))

    def settle(self, settlement: Settlement) -> None:
        """See `SharedState.settle`."""
        admission = settlement.grant.admission
        for scope in admission.scopes:
            state = self._scopes.get(scope.name)
            if state is not None:
                state.settle(
                    admission,
                    tokens=settlement.tokens,
                    cost=settlement.cost,
                    period=scope.period,
                )

    async def release_budget(self, pairs: Sequence[tuple[str, int]]) -> None:
        """See `SharedState.release_budget`."""
        for name, period in pairs:
            state = self._scopes.get(name)
            if state is not None and state.period == period:
                state.spent = None

    async def recall(self, conversation: str) -> str | None:
        """See `SharedState.recall`."""
        kept = self._conversations.get(conversation)
        return kept[1] if kept is not None and kept[0] > self._clock() else None

    def remember(self, conversation: str, value: str, *, seconds: int) -> None:
        """See `SharedState.remember`."""
        self._conversations[conversation] = (self._clock() + seconds, value)
        self._conversations.move_to_end(conversation)
        if len(self._conversations) > _MAX_CONVERSATIONS:
            self._conversations.popitem(last=False)

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

    def _knows(self, scope: Scope) -> bool:
        state = self._scopes.get(scope.name)
        known = state is not None and state.spent is not None and state.period == scope.period
        return known and scope.name not in self._guesses

    def _learn(self, name: str, period: int, spent: int) -> None:
        state = self._state(name)
        guess = self._guesses.pop(name, None)
        if guess is not None and state.spent is not None and state.period == period:
            # What was spent since the guess may not be in the ledger yet.
            state.spent = spent + (state.spent - guess)
        elif state.spent is None or state.period != period:
            # While the ledger was read, another call may have learned it, and its cost been added since.
            state.period, state.spent = period, spent

    def _guess(self, name: str, period: int, spent: int) -> None:
        state = self._state(name)
        if state.spent is None or state.period != period:
            state.period, state.spent = period, spent
            self._guesses[name] = spent

    def _state(self, name: str) -> ScopeState:
        state = self._scopes.get(name)
        if state is None:
            state = self._scopes[name] = ScopeState()
            if len(self._scopes) > _MAX_SCOPES:
                self._drop_idle()
        return state

    def _drop_idle(self) -> None:
        """Forget the oldest scopes that no call holds; what they spent is in the ledger."""
        idle = [name for name, state in self._scopes.items() if not state.leases]
        for name in idle[: _MAX_SCOPES // 10]:
            del self._scopes[name]
            self._guesses.pop(name, None)


def is_limited(scope: Scope) -> bool:
    """Whether the scope has any limit: one without is not counted."""
    return (
        scope.rpm is not None
        or scope.tpm is not None
        or scope.parallel is not None
        or scope.budget is not None
    )
