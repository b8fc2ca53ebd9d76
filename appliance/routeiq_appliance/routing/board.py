"""What this worker sees of each deployment: calls under way, how fast they are, what they used this minute. Pure.

Latency is the time of whole calls over the work done in them: a call is one unit, every token of output another. So a
long answer is no slow deployment, a short one no fast deployment, and calls without tokens (embeddings) compare as
well. The time to the first token alone would not do: it hides how slowly the rest comes, and an answer that is not
streamed has none.
"""

import time
from collections.abc import Callable

__all__ = ["Board", "Numbers"]

_WEIGHT = 0.2
"""Of the newest call in the mean: the last ten or so count."""
_MINUTE = 60.0
_STALE_SECONDS = 600.0
"""A measurement older than this says nothing: what was slow once must get its chance again."""


class Numbers:
    """One deployment's."""

    __slots__ = (
        "_measured_at", "_seconds", "_size", "_units", "_unknown_until", "requests", "running", "tokens", "window",
    )  # fmt: skip

    def __init__(self) -> None:
        self.running = 0
        """Calls under way."""
        self.requests = 0
        """Calls begun in this minute."""
        self.tokens = 0
        """Tokens, in and out, of the calls that ended in this minute."""
        self.window = 0.0
        """When the minute began."""
        self._seconds = self._units = self._size = 0.0
        self._measured_at: float | None = None
        self._unknown_until = 0.0

    @property
    def expected_tokens(self) -> float:
        """This minute's tokens, and what the calls under way will probably use."""
        return self.tokens + self.running * self._size

    def latency(self, now: float) -> float | None:
        """Return seconds per unit of work; None: not measured lately; infinite: tried just now, and it failed."""
        measured_at = self._measured_at
        if measured_at is None or now - measured_at > _STALE_SECONDS:
            return float("inf") if now < self._unknown_until else None
        return self._seconds / self._units

    def measure(self, seconds: float, tokens: int, completion_tokens: int, now: float) -> None:
        """Take an answered call into the means. Of sums, not of quotients: one short answer must not weigh most."""
        fresh = self._measured_at is None or now - self._measured_at > _STALE_SECONDS
        weight = 1.0 if fresh else _WEIGHT
        self._seconds += weight * (seconds - self._seconds)
        self._units += weight * (1.0 + completion_tokens - self._units)
        self._size += weight * (tokens - self._size)
        self._measured_at = now

    def missed(self, now: float) -> None:
        """Take a failed call: it says nothing of speed, but whoever looks for the unmeasured should look elsewhere."""
        self._unknown_until = now + _MINUTE


class Board:
    """One per worker. `clock` only goes forward, in seconds."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._numbers: dict[str, Numbers] = {}

    def numbers(self, name: str) -> Numbers:
        """Return a deployment's numbers, the minute's as of now."""
        return self._at(name, self.clock())

    def running(self, name: str) -> int:
        """Return a deployment's calls under way."""
        numbers = self._numbers.get(name)
        return 0 if numbers is None else numbers.running

    def begin(self, name: str) -> None:
        """A call begins."""
        numbers = self._at(name, self.clock())
        numbers.running += 1
        numbers.requests += 1

    def end(self, name: str, *, seconds: float, tokens: int, completion_tokens: int, failed: bool) -> None:
        """End a call that took `seconds` and used `tokens`, in and out. A quick refusal must not look fast."""
        now = self.clock()
        numbers = self._at(name, now)
        numbers.running -= 1
        numbers.tokens += tokens
        if failed:
            numbers.missed(now)
        else:
            numbers.measure(seconds, tokens, completion_tokens, now)

    def _at(self, name: str, now: float) -> Numbers:
        numbers = self._numbers.get(name)
        if numbers is None:
            numbers = self._numbers[name] = Numbers()
        if now - numbers.window >= _MINUTE:
            numbers.window, numbers.requests, numbers.tokens = now, 0, 0
        return numbers
