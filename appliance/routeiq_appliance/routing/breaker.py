"""Whether a deployment may be called: a circuit breaker each (G2), and a rest that its upstream asked for. Pure.

CLOSED → OPEN after so many failures in a row; after a while HALF_OPEN, where one call at a time probes; its success
closes the breaker, its failure opens it again. What counts as a failure is the caller's to decide.
Times are seconds on any clock that only goes forward; they are arguments.
"""

from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum

__all__ = ["Breaker", "Health", "State"]


class State(Enum):
    """A breaker's state."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


class Breaker:
    """One deployment's. `failures` in a row open it for `seconds`."""

    __slots__ = ("_failures", "_in_a_row", "_probing", "_seconds", "opened_at", "state")

    def __init__(self, *, failures: int, seconds: float) -> None:
        self.state = State.CLOSED
        self.opened_at = 0.0
        self._failures = failures
        self._seconds = seconds
        self._in_a_row = 0
        self._probing = False

    def opens_again_in(self, now: float) -> float:
        """Return the seconds until a call may try; 0 when one may now."""
        if self.state is State.OPEN:
            return max(0.0, self.opened_at + self._seconds - now)
        return 1.0 if self.state is State.HALF_OPEN and self._probing else 0.0

    def allows(self, now: float) -> bool:
        """Whether a call may begin."""
        return self.state is State.CLOSED or self.opens_again_in(now) == 0.0

    def begin(self, now: float) -> None:
        """A call begins that `allows` let pass."""
        if self.state is State.OPEN and self.opens_again_in(now) == 0.0:
            self.state = State.HALF_OPEN
        if self.state is State.HALF_OPEN:
            self._probing = True

    def succeeded(self) -> None:
        """A call was answered."""
        self._in_a_row = 0
        self._probing = False
        self.state = State.CLOSED

    def failed(self, now: float) -> None:
        """A call failed."""
        self._in_a_row += 1
        self._probing = False
        if self.state is State.HALF_OPEN or (self.state is State.CLOSED and self._in_a_row >= self._failures):
            self.open(now)

    def abandoned(self) -> None:
        """A call ended that says nothing about the deployment."""
        self._probing = False

    def open(self, now: float) -> None:
        """Open it, whatever it was."""
        self.state = State.OPEN
        self.opened_at = now
        self._probing = False

    def close(self) -> None:
        """Close it, whatever it was."""
        self.succeeded()


class Health:
    """The breakers and rests of all deployments; one per worker.

    `allowed_fails` failures in a minute make a deployment rest for `cooldown_seconds` (LiteLLM's settings); None: the
    breaker alone decides. `on_change(deployment, state)` is told of transitions that began in this worker.
    """

    def __init__(
        self,
        deployments: Iterable[str],
        *,
        failures: int,
        seconds: float,
        allowed_fails: int | None = None,
        cooldown_seconds: float = 5.0,
        on_change: Callable[[str, State], None] = lambda _name, _state: None,
    ) -> None:
        self.breakers = {name: Breaker(failures=failures, seconds=seconds) for name in deployments}
        self._rests: dict[str, float] = {}
        self._allowed_fails = allowed_fails
        self._cooldown_seconds = cooldown_seconds
        self._failed_at: dict[str, deque[float]] = {}
        self._on_change = on_change

    def available(self, name: str, now: float) -> str | None:
        """Return None when a call may begin, else the reason."""
        if self._rests and self._rests.get(name, 0.0) > now:
            return "resting"
        return None if self.breakers[name].allows(now) else "breaker open"

    def seconds_until_available(self, name: str, now: float) -> float:
        """Return how long a call has to wait, 0 when it need not."""
        return max(self._rests.get(name, 0.0) - now, self.breakers[name].opens_again_in(now), 0.0)

    def begin(self, name: str, now: float) -> None:
        """A call begins."""
        breaker = self.breakers[name]
        if breaker.state is not State.CLOSED:
            before = breaker.state
            breaker.begin(now)
            self._tell(name, before)

    def succeeded(self, name: str) -> None:
        """A call was answered."""
        breaker = self.breakers[name]
        before = breaker.state
        breaker.succeeded()
        self._tell(name, before)

    def failed(self, name: str, now: float, *, may_rest: bool) -> None:
        """A call failed. `may_rest`: others can take its calls."""
        breaker = self.breakers[name]
        before = breaker.state
        breaker.failed(now)
        self._tell(name, before)
        if self._allowed_fails is not None and may_rest:
            recent = self._failed_at.setdefault(name, deque(maxlen=self._allowed_fails + 1))
            recent.append(now)
            if len(recent) > self._allowed_fails and now - recent[0] <= 60.0:
                self.rest(name, self._cooldown_seconds, now)

    def abandoned(self, name: str) -> None:
        """A call ended that says nothing."""
        self.breakers[name].abandoned()

    def rest(self, name: str, seconds: float, now: float) -> None:
        """Leave a deployment alone for a while."""
        self._rests[name] = max(self._rests.get(name, 0.0), now + seconds)

    def apply(self, value: str, now: float) -> None:
        """Take another worker's transition, `NAME=STATE`; what is not one is ignored."""
        name, _, state = value.rpartition("=")
        breaker = self.breakers.get(name)
        if breaker is None:
            return
        if state == State.OPEN.value and breaker.state is State.CLOSED:
            breaker.open(now)
        elif state == State.CLOSED.value and breaker.state is not State.CLOSED:
            breaker.close()

    def _tell(self, name: str, before: State) -> None:
        state = self.breakers[name].state
        if state is not before:
            self._on_change(name, state)
