"""What shared state is: admission and settlement of limits, breakers, affinity, and what one worker tells the others.

A `Scope` is whoever holds limits: a key, its team, its user, a key on one model, a deployment. All scopes of a call
are admitted in one atomic step or none is.

Rules, the same for every implementation (`rules` holds the arithmetic):

1. Requests and tokens count in windows of 60 s; a scope's window begins with its first request.
2. A request is admitted while `requests < rpm`, `tokens + reserved < tpm`, `running < parallel` and
   `spent + reserved < budget`: so a limit is overshot by at most the last call's own estimate.
3. Admission takes a lease per scope: one running call, its token estimate, its cost estimate. Settlement gives the
   lease back and adds what was used. A lease whose holder died ends by itself.
4. Tokens are settled in the window that the call was admitted in; when it is over, only what exceeds the estimate is
   added to the current one.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

__all__ = [
    "Admission",
    "Grant",
    "LimitKind",
    "LoadSpend",
    "Notice",
    "Refusal",
    "Scope",
    "Settlement",
    "SharedState",
    "Standing",
    "Verdict",
]

LimitKind = Literal["requests", "tokens", "parallel", "budget", "unknown"]
"""`unknown`: nobody can tell, and the scope wants to be refused then."""


@dataclass(frozen=True, slots=True)
class Scope:
    """One holder of limits; None is no limit. `name` is `key:ID`, `team:ID`, `user:ID`, `key:ID/model:GROUP`, …"""

    name: str
    rpm: int | None = None
    tpm: int | None = None
    parallel: int | None = None
    budget: int | None = None
    """Pico-dollars that may be spent in a period."""
    period: int = 0
    """Start of the budget's current period, Unix seconds; 0 when the budget has no period."""
    fail_closed: bool = False
    """Refuse, rather than go on with last known numbers, while the shared state is away."""


@dataclass(slots=True)  # not frozen: made per call, and that would cost a microsecond
class Admission:
    """A call that asks to start. `tokens` and `cost` (pico-dollars) are estimates from above."""

    call_id: str
    scopes: tuple[Scope, ...]
    tokens: int
    cost: int
    lease_seconds: float
    """When the lease ends by itself: the call's deadline and 60 s."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Which limit of which scope refused; `retry_after` in seconds, None when waiting does not help."""

    scope: str
    kind: LimitKind
    limit: int
    retry_after: float | None


@dataclass(slots=True)  # not frozen: made per call, and that would cost a microsecond
class Standing:
    """How a scope stands after the admission; for `x-ratelimit-*`. None: no such limit."""

    scope: str
    remaining_requests: int | None
    remaining_tokens: int | None
    reset_seconds: float
    """Until the window ends."""


@dataclass(slots=True)  # not frozen: made per call, and that would cost a microsecond
class Grant:
    """What settlement needs of an admission; opaque to callers."""

    admission: Admission
    local: bool = False
    """Granted by this worker alone, while the shared state was away."""


@dataclass(slots=True)  # not frozen: made per call, and that would cost a microsecond
class Verdict:
    """The answer to an admission: exactly one of `grant` and `refusal`."""

    grant: Grant | None
    refusal: Refusal | None
    standings: tuple[Standing, ...]


@dataclass(slots=True)  # not frozen: made per call, and that would cost a microsecond
class Settlement:
    """What a granted call used: `tokens` in all, `cost` in pico-dollars."""

    grant: Grant
    tokens: int
    cost: int


@dataclass(frozen=True, slots=True)
class Notice:
    """What one worker tells all: `value` is up to the kind.

    `key`: what is known of a key (its id), of `team:ID`, `user:ID`, `organization:ID`, `budget:ID`, or of all (`*`) is
    not true any more.
    `models`: stored models may be others than those that are served; the value is the store's generation, or `*`.
    """

    kind: Literal["key", "models", "strategy", "breaker"]
    value: str


LoadSpend = Callable[[Sequence[tuple[str, int]]], Awaitable[Mapping[tuple[str, int], int]]]
"""Reads spend from the ledger: (scope name, period) → pico-dollars; a missing pair has spent nothing."""


class SharedState(Protocol):
    """One per worker. Never raises for an outage of its backend: it degrades, and says so in `degraded`."""

    @property
    def degraded(self) -> bool:
        """Whether limits are this worker's alone at the moment."""

    async def start(self) -> None:
        """Connect, load snapshots; returns also when the backend is away."""

    async def close(self) -> None:
        """Send what waits, then disconnect."""

    async def admit(self, admission: Admission) -> Verdict:
        """Admit a call to all its scopes, or to none."""

    def settle(self, settlement: Settlement) -> None:
        """Give the lease back and add what was used; never blocks, is applied soon and in order."""

    async def release_budget(self, pairs: Sequence[tuple[str, int]]) -> None:
        """Forget what is known of the spend of these (scope, period): it is read from the ledger again."""

    async def recall(self, conversation: str) -> str | None:
        """Return what `remember` kept for a conversation (H5); None when nothing, or in an outage."""

    def remember(self, conversation: str, value: str, *, seconds: int) -> None:
        """Keep a conversation's deployment for `seconds`; never blocks."""

    def publish(self, notice: Notice) -> None:
        """Tell all workers, this one too; never blocks."""

    def subscribe(self, listener: Callable[[Notice], None]) -> None:
        """Call `listener` for each notice; before `start`. Notices missed in an outage are not repeated."""

    async def block(self, key_id: str) -> None:
        """Put a key on the block list, at once for all workers."""

    async def unblock(self, key_id: str) -> None:
        """Take a key off the block list."""

    def is_blocked(self, key_id: str) -> bool:
        """Whether the key is on the block list, from this worker's snapshot (frozen in an outage)."""

    def active_strategy(self) -> str | None:
        """The live routing strategy (H1), from this worker's snapshot; None when none is set."""
