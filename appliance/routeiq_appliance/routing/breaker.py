"""Whether a deployment may be called: a circuit breaker each (G2), and a rest that its upstream asked for. Pure.

CLOSED → OPEN after so many failures in a row; after a while HALF_OPEN, where one call at a time probes; its success
closes the breaker, its failure opens it again. Every call holds the ticket that `begin` gave it, and its end counts
only while the breaker is as it was when the call began: a slow call from before the opening neither closes an open
breaker, nor ends another call's probe, nor fails what has recovered since. What counts as a failure is the caller's
to decide. Times are seconds on any clock that only goes forward; they are arguments.

Workers tell each other (H4): what opens or closes in one does so in all, and while one probes the others wait.
"""

from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum

__all__ = ["Breaker", "Health", "State", "read_change", "write_change"]

_MINUTE = 60.0


class State(Enum):
    """A breaker's state."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


class Breaker:
    """`failures` in a row open it for `seconds`."""

    __slots__ = ("_failures", "_probing", "_seconds", "_ticket", "in_a_row", "opened_at", "state")

    def __init__(self, *, failures: int, seconds: float) -> None:
        self.state = State.CLOSED
        self.opened_at = 0.0
        """When it opened last; 0 until it did."""
        self.in_a_row = 0
        """Failures since the last success."""
        self._failures = failures
        self._seconds = seconds
        self._ticket = 1
        self._probing = False

    def opens_again_in(self, now: float) -> float:
        """Return the seconds until a call may try; 0 when one may now."""
        if self.state is State.OPEN:
            return max(0.0, self.opened_at + self._seconds - now)
        # How long a probe takes nobody knows.
        return 1.0 if self._probing else 0.0

    def allows(self, now: float) -> bool:
        """Whether a call may begin."""
        return self.state is State.CLOSED or self.opens_again_in(now) == 0.0

    def begin(self, now: float) -> int:
        """Begin a call; returns its ticket, 0 for a call that `allows` would not let pass: its end never counts."""
        if self.state is State.CLOSED:
            return self._ticket
        if not self.allows(now):
            return 0
        self.state = State.HALF_OPEN
        self._probing = True
        self._ticket += 1
        return self._ticket

    def succeeded(self, ticket: int) -> None:
        """Count an answer."""
        if ticket == self._ticket and self.state is not State.OPEN:
            self.in_a_row = 0
            if self.state is State.HALF_OPEN:
                self.close()

    def failed(self, ticket: int, now: float) -> None:
        """Count a failure."""
        if ticket != self._ticket or self.state is State.OPEN:
            return
        self.in_a_row += 1
        if self.state is State.HALF_OPEN or self.in_a_row >= self._failures:
            self.open(now)

    def abandoned(self, ticket: int) -> None:
        """End a call that says nothing about the deployment: a probe's place is free for the next."""
        if ticket == self._ticket:
            self._probing = False

    def open(self, now: float) -> None:
        """Open it, or begin its wait anew."""
        self._become(State.OPEN)
        self.opened_at = now

    def close(self) -> None:
        """Close it, whatever it was."""
        self._become(State.CLOSED)
        self.in_a_row = 0

    def heard(self, state: State, now: float) -> bool:
        """Take another worker's transition; returns whether this breaker's state changed."""
        before = self.state
        if state is State.CLOSED:
            self.close()
        elif self._probing:
            return False  # the probe under way here knows better, and soon
        elif state is State.OPEN or before is State.OPEN:
            # Another worker's probe is ours too: wait for its result as long as for a probe of our own.
            self.open(now)
        return self.state is not before

    @property
    def ticket(self) -> int:
        """The ticket of the calls whose end counts now."""
        return self._ticket

    def _become(self, state: State) -> None:
        self.state = state
        self._probing = False
        self._ticket += 1


class _Breakers(dict[str, Breaker]):
    """By deployment. One that is gone gets another where a call that began before is still under way."""

    def __init__(self, failures: int, seconds: float) -> None:
        super().__init__()
        self._failures = failures
        self._seconds = seconds

    def __missing__(self, name: str) -> Breaker:
        """Return a breaker that nobody keeps."""
        return Breaker(failures=self._failures, seconds=self._seconds)

    def add(self, name: str) -> None:
        """Have a breaker for `name`, the one that is there if there is one."""
        if name not in self:
            self[name] = self[name]


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
        self.breakers = _Breakers(failures, seconds)
        for name in deployments:
            self.breakers.add(name)
        self._rests: dict[str, float] = {}
        self._allowed_fails = allowed_fails
        self._cooldown_seconds = cooldown_seconds
        self._failed_at: dict[str, deque[float]] = {}
        self._on_change = on_change

    def available(self, name: str, now: float) -> str | None:
        """Return None when a call may begin, else the reason."""
        if self._rests and self._rests.get(name, 0.0) > now:
            return "resting"
        breaker = self.breakers[name]
        return None if breaker.state is State.CLOSED or breaker.allows(now) else "breaker open"

    def shown(self, name: str, now: float) -> str:
        """Return what an operator is told: `resting`, else the breaker's state in small letters."""
        if self._rests.get(name, 0.0) > now:
            return "resting"
        breaker = self.breakers.get(name)
        return State.CLOSED.value.lower() if breaker is None else breaker.state.value.lower()

    def seconds_until_available(self, name: str, now: float) -> float:
        """Return how long a call has to wait, 0 when it need not."""
        return max(self._rests.get(name, 0.0) - now, self.breakers[name].opens_again_in(now), 0.0)

    def begin(self, name: str, now: float) -> int:
        """Begin a call that `available` let pass; returns the ticket to end it with."""
        breaker = self.breakers[name]
        if breaker.state is State.CLOSED:
            return breaker.ticket
        before = breaker.state
        ticket = breaker.begin(now)
        self._tell(name, before)
        return ticket

    def succeeded(self, name: str, ticket: int | None = None) -> None:
        """Count an answer. Without the call's ticket it counts for whatever the breaker is at."""
        breaker = self.breakers[name]
        before = breaker.state
        breaker.succeeded(breaker.ticket if ticket is None else ticket)
        if breaker.state is not before:
            self._failed_at.pop(name, None)
            self._on_change(name, breaker.state)

    def failed(self, name: str, now: float, *, may_rest: bool, ticket: int | None = None) -> None:
        """Count a failure. `may_rest`: others can take its calls."""
        breaker = self.breakers[name]
        before = breaker.state
        breaker.failed(breaker.ticket if ticket is None else ticket, now)
        self._tell(name, before)
        if self._allowed_fails is not None and may_rest:
            recent = self._failed_at.setdefault(name, deque(maxlen=self._allowed_fails + 1))
            recent.append(now)
            if len(recent) > self._allowed_fails and now - recent[0] <= _MINUTE:
                self.rest(name, self._cooldown_seconds, now)

    def abandoned(self, name: str, ticket: int | None = None) -> None:
        """End a call that says nothing."""
        breaker = self.breakers[name]
        breaker.abandoned(breaker.ticket if ticket is None else ticket)

    def rest(self, name: str, seconds: float, now: float) -> None:
        """Leave a deployment alone for a while; a longer rest that it has stays."""
        self._rests[name] = max(self._rests.get(name, 0.0), now + seconds)

    def keep(self, names: Iterable[str], *, changed: Iterable[str]) -> None:
        """Forget all deployments but `names`, and what is known of those that `changed`: they are others now."""
        wanted, anew = set(names), set(changed)
        gone = {
            name: breaker for name, breaker in self.breakers.items() if name not in wanted or name in anew
        }
        for name in gone:
            del self.breakers[name]
        for name in wanted:
            self.breakers.add(name)
        for kept in (self._rests, self._failed_at):
            for name in [name for name in kept if name not in wanted or name in anew]:
                del kept[name]
        for name, breaker in gone.items():
            if breaker.state is not State.CLOSED:
                self._on_change(name, State.CLOSED)

    def apply(self, value: str, now: float) -> tuple[str, State] | None:
        """Take another worker's transition (`write_change`); returns what it changed here, None for nothing.

        What is not one, or is of a deployment that this worker does not have, is ignored.
        """
        change = read_change(value)
        breaker = self.breakers.get(change[0]) if change else None
        if change is None or breaker is None or not breaker.heard(change[1], now):
            return None
        return change[0], breaker.state

    def _tell(self, name: str, before: State) -> None:
        state = self.breakers[name].state
        if state is not before:
            self._on_change(name, state)


def write_change(name: str, state: State) -> str:
    """Return a transition as workers tell it: `NAME=STATE`."""
    return f"{name}={state.value}"


def read_change(value: str) -> tuple[str, State] | None:
    """Return deployment and state of what `write_change` wrote; None for anything else."""
    name, separator, text = value.rpartition("=")
    state = State.__members__.get(text)
    return (name, state) if separator and state is not None else None
