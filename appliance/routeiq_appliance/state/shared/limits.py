"""Limits over plain state in this process: all of `memory`'s, and those of `redis` in an outage."""

from collections.abc import Callable, Sequence

from routeiq_appliance.state.shared.interface import (
    Admission,
    Grant,
    Refusal,
    Scope,
    Settlement,
    Standing,
    Verdict,
)
from routeiq_appliance.state.shared.rules import ScopeState, refusal_of, standing_of, tightest
from routeiq_appliance.state.shared.spending import Spending

__all__ = ["RETRY_SECONDS", "LocalLimits"]

RETRY_SECONDS = 5.0
"""When to come back to a scope that refuses what nobody can tell."""
_MAX_SCOPES = 100_000


class LocalLimits:
    """Decides at once, except that unknown spend is read first. Scopes that nobody uses are dropped beyond 100,000."""

    def __init__(self, spending: Spending, *, clock: Callable[[], float]) -> None:
        self._spending = spending
        self._clock = clock
        self._scopes: dict[str, ScopeState] = {}

    async def admit(self, admission: Admission, limited: Sequence[Scope]) -> Verdict:
        """Admit to `limited`. What nobody can tell was spent refuses only where that is `fail_closed`."""
        spending = self._spending
        for scope in limited:
            if scope.budget is not None and spending.of((scope.name, scope.period)) is None:
                refusal = await self._learn(limited)
                if refusal is not None:
                    return Verdict(None, refusal, ())
                break
        return self._decide(admission, limited)

    def settle(self, settlement: Settlement) -> bool:
        """Settle a call that was admitted here; False when it was settled before."""
        now = int(self._clock() * 1000)
        call_id = settlement.grant.admission.call_id
        counted = False
        for scope in settlement.grant.admission.scopes:
            state = self._scopes.get(scope.name)
            if state is not None and state.settle(call_id, tokens=settlement.tokens, now=now):
                counted = True
                if scope.budget is not None:
                    self._spending.add((scope.name, scope.period), settlement.cost)
        return counted

    def _decide(self, admission: Admission, limited: Sequence[Scope]) -> Verdict:
        now = int(self._clock() * 1000)
        scopes, at_least = self._scopes, self._spending.at_least
        states: list[ScopeState] = []
        refusals: list[Refusal] = []
        for scope in limited:
            state = scopes.get(scope.name)
            if state is None:
                state = self._new_state(scope.name, now)
            state.advance(now)
            spent = 0 if scope.budget is None else at_least((scope.name, scope.period))
            refusal = refusal_of(scope, state, spent, now)
            if refusal is not None:
                refusals.append(refusal)
            states.append(state)
        if refusals:
            return Verdict(None, tightest(refusals), ())
        standings: list[Standing] = []
        for scope, state in zip(limited, states, strict=True):
            state.take(admission, now)
            standing = standing_of(scope, state, now)
            if standing is not None:
                standings.append(standing)
        return Verdict(Grant(admission), None, tuple(standings))

    async def _learn(self, limited: Sequence[Scope]) -> Refusal | None:
        spending = self._spending
        wanted = [scope for scope in limited if scope.budget is not None]
        await spending.learn([pair for s in wanted if spending.of(pair := (s.name, s.period)) is None])
        for scope in wanted:
            if scope.fail_closed and spending.of((scope.name, scope.period)) is None:
                return Refusal(scope.name, "unknown", 0, RETRY_SECONDS)
        return None

    def _new_state(self, name: str, now: int) -> ScopeState:
        if len(self._scopes) >= _MAX_SCOPES:
            self._drop_idle(now)
        state = self._scopes[name] = ScopeState()
        return state

    def _drop_idle(self, now: int) -> None:
        """Forget the scopes that nobody uses; if all are in use, the oldest that no call holds."""
        free: list[str] = []
        idle: list[str] = []
        for name, state in self._scopes.items():
            state.advance(now)
            if not state.leases:
                free.append(name)
                if state.is_idle(now):
                    idle.append(name)
        for name in idle or free[: _MAX_SCOPES // 10]:
            del self._scopes[name]
