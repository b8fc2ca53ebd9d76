"""The arithmetic of limits (`interface` has the rules): what one scope has used, and whether a call fits. Pure.

Times are Unix milliseconds, money is in pico-dollars. `redis` does the same in Lua (`admit.lua`, `settle.lua`); a
property test compares the two over any sequence of calls.

Beside the rules of `interface`:

1. A refused call changes nothing: only an admitted one begins a window.
2. When several limits refuse, the one that eases last is named: budgets before all, then the longest wait.
3. A clock that steps back by less than a window stays in the window; by more, the window is over.
4. A lease that ended gives everything back. Settled after that, its call counts in full; settled twice, once.
5. A settlement begins a window only when it has tokens to add.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from routeiq_appliance.state.shared.interface import Admission, Refusal, Scope, Standing

__all__ = ["WINDOW_MS", "Lease", "ScopeState", "is_limited", "refusal_of", "standing_of", "tightest"]

WINDOW_MS = 60_000
_LATE_MS = 3_600_000
"""How long a lease that ended is still known to its late settlement."""
_NEVER = 1 << 62
_PARALLEL_RETRY = 1.0


@dataclass(slots=True)
class Lease:
    """What one call under way holds of a scope."""

    ends_at: int
    window: int
    tokens: int
    cost: int


@dataclass(slots=True)
class ScopeState:
    """What is known of one scope."""

    window: int = 0
    """When the last window began; 0 before the first."""
    requests: int = 0
    tokens: int = 0
    """Settled and reserved in that window."""
    reserved: int = 0
    """Money of the calls under way; what was spent is kept apart, by period."""
    leases: dict[str, Lease] = field(default_factory=dict)
    late: dict[str, Lease] = field(default_factory=dict)
    """Leases that ended before they were settled."""
    next_end: int = _NEVER
    """No lease ends before."""

    def runs(self, now: int) -> bool:
        """Whether the last window is not over."""
        return -WINDOW_MS <= now - self.window < WINDOW_MS

    def advance(self, now: int) -> None:
        """Give back the leases that ended."""
        if now >= self.next_end:
            self._give_back(now)

    def take(self, admission: Admission, now: int) -> None:
        """Count an admitted call."""
        if self.runs(now):
            self.requests += 1
            self.tokens += admission.tokens
        else:
            self.window, self.requests, self.tokens = now, 1, admission.tokens
        self.reserved += admission.cost
        ends_at = now + int(admission.lease_seconds * 1000)
        self.next_end = min(self.next_end, ends_at)
        self.leases[admission.call_id] = Lease(ends_at, self.window, admission.tokens, admission.cost)

    def settle(self, call_id: str, *, tokens: int, now: int) -> bool:
        """Put what was used in the place of what was reserved; False when no lease is known: nothing counts."""
        lease = self.leases.pop(call_id, None)
        if lease is not None:
            self.reserved -= lease.cost
            counted = lease.tokens
        else:
            lease = self.late.pop(call_id, None)
            if lease is None:
                return False
            counted = 0  # given back, if its window still runs
        runs = self.runs(now)
        more = tokens - counted if runs and lease.window == self.window else max(0, tokens - lease.tokens)
        if runs:
            self.tokens += more
        elif more:
            self.window, self.requests, self.tokens = now, 0, more
        return True

    def is_idle(self, now: int) -> bool:
        """Whether nothing would be lost with it; the state is advanced."""
        return not self.runs(now) and not self.leases and not self.late

    def _give_back(self, now: int) -> None:
        for call_id in [name for name, lease in self.leases.items() if lease.ends_at <= now]:
            lease = self.late[call_id] = self.leases.pop(call_id)
            self.reserved -= lease.cost
            if lease.window == self.window:
                self.tokens -= lease.tokens
        for call_id in [name for name, lease in self.late.items() if lease.ends_at + _LATE_MS <= now]:
            del self.late[call_id]
        self.next_end = min((lease.ends_at for lease in self.leases.values()), default=_NEVER)
        if self.late:
            self.next_end = min(self.next_end, min(late.ends_at for late in self.late.values()) + _LATE_MS)


def is_limited(scope: Scope) -> bool:
    """Whether the scope has any limit: one without is neither counted nor kept."""
    return (
        scope.rpm is not None
        or scope.tpm is not None
        or scope.parallel is not None
        or scope.budget is not None
    )


def refusal_of(scope: Scope, state: ScopeState, spent: int, now: int) -> Refusal | None:
    """Return why a call does not fit, None when it does. `state` is advanced to `now`."""
    if scope.budget is not None and spent + state.reserved >= scope.budget:
        return Refusal(scope.name, "budget", scope.budget, None)
    refusal = None
    runs = state.runs(now)
    if scope.rpm is not None and (state.requests if runs else 0) >= scope.rpm:
        refusal = Refusal(scope.name, "requests", scope.rpm, _left(state, now) / 1000)
    elif scope.tpm is not None and (state.tokens if runs else 0) >= scope.tpm:
        refusal = Refusal(scope.name, "tokens", scope.tpm, _left(state, now) / 1000)
    if (
        scope.parallel is not None
        and len(state.leases) >= scope.parallel
        and (refusal is None or _wait(refusal) < _PARALLEL_RETRY)
    ):
        refusal = Refusal(scope.name, "parallel", scope.parallel, _PARALLEL_RETRY)
    return refusal


def tightest(refusals: Sequence[Refusal]) -> Refusal:
    """Return the refusal that eases last; the first of equals."""
    return max(refusals, key=_wait)


def standing_of(scope: Scope, state: ScopeState, now: int) -> Standing | None:
    """Return what is left of the scope's window, None without limits on one; a call was just taken."""
    if scope.rpm is None and scope.tpm is None:
        return None
    return Standing(
        scope.name,
        None if scope.rpm is None else max(0, scope.rpm - state.requests),
        None if scope.tpm is None else max(0, scope.tpm - state.tokens),
        _left(state, now) / 1000,
    )


def _wait(refusal: Refusal) -> float:
    return float("inf") if refusal.retry_after is None else refusal.retry_after


def _left(state: ScopeState, now: int) -> int:
    return min(WINDOW_MS, state.window + WINDOW_MS - now) if state.runs(now) else WINDOW_MS
