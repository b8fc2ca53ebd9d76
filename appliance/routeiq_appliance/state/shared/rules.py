"""The arithmetic of limits (`interface` has the rules): what one scope has used, and whether a call fits. Pure.

`redis` does the same in Lua; a property test compares the two over any sequence of calls.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from routeiq_appliance.state.shared.interface import Admission, LimitKind, Refusal, Scope, Standing

__all__ = ["WINDOW_SECONDS", "Lease", "ScopeState", "refusal_of", "standing_of"]

WINDOW_SECONDS = 60.0


@dataclass(slots=True)
class Lease:
    """What one call under way holds of a scope."""

    ends_at: float
    window: float
    tokens: int
    cost: int


@dataclass(slots=True)
class ScopeState:
    """What is known of one scope. Times in Unix seconds, money in pico-dollars."""

    window: float = 0.0
    """When the window began."""
    requests: int = 0
    tokens: int = 0
    """Settled and reserved in this window."""
    reserved: int = 0
    """Money of the calls under way."""
    period: int = 0
    spent: int | None = None
    """In `period`; None while the ledger was not asked."""
    leases: dict[str, Lease] = field(default_factory=dict)

    def advance(self, now: float) -> None:
        """Begin a new window when the last is over, and give back the leases that ended."""
        if now >= self.window + WINDOW_SECONDS or now < self.window:
            self.window, self.requests, self.tokens = now, 0, 0
        if self.leases:
            first = next(iter(self.leases.values()))
            if first.ends_at <= now:
                for call_id in [name for name, lease in self.leases.items() if lease.ends_at <= now]:
                    self._give_back(self.leases.pop(call_id))

    def take(self, admission: Admission, now: float) -> None:
        """Count an admitted call."""
        self.requests += 1
        self.tokens += admission.tokens
        self.reserved += admission.cost
        self.leases[admission.call_id] = Lease(
            now + admission.lease_seconds, self.window, admission.tokens, admission.cost
        )

    def settle(self, admission: Admission, *, tokens: int, cost: int, period: int) -> None:
        """Put what was used in the place of what was reserved. A lease that ended was given back already."""
        lease = self.leases.pop(admission.call_id, None)
        if lease is not None:
            self.reserved -= lease.cost
            if lease.window == self.window:
                self.tokens += tokens - lease.tokens
            else:
                self.tokens += max(0, tokens - lease.tokens)
        else:
            self.tokens += tokens
        if self.spent is not None and self.period == period:
            self.spent += cost

    def _give_back(self, lease: Lease) -> None:
        self.reserved -= lease.cost
        if lease.window == self.window:
            self.tokens -= lease.tokens


def refusal_of(scope: Scope, state: ScopeState, now: float) -> Refusal | None:
    """Return why a call does not fit, None when it does. `state` is advanced to `now`."""
    left = state.window + WINDOW_SECONDS - now
    checks: Iterable[tuple[LimitKind, int | None, int, float | None]] = (
        ("requests", scope.rpm, state.requests, left),
        ("tokens", scope.tpm, state.tokens, left),
        ("parallel", scope.parallel, len(state.leases), 1.0),
        ("budget", scope.budget, (state.spent or 0) + state.reserved, None),
    )
    for kind, limit, used, retry_after in checks:
        if limit is not None and used >= limit:
            return Refusal(scope.name, kind, limit, retry_after)
    return None


def standing_of(scope: Scope, state: ScopeState, now: float) -> Standing | None:
    """Return what is left of the scope's window, None without limits on one."""
    if scope.rpm is None and scope.tpm is None:
        return None
    return Standing(
        scope.name,
        None if scope.rpm is None else max(0, scope.rpm - state.requests),
        None if scope.tpm is None else max(0, scope.tpm - state.tokens),
        max(0.0, state.window + WINDOW_SECONDS - now),
    )
