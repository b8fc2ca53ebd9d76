"""What this worker sees of each deployment: calls under way, how fast they are, what they used this minute. Pure."""

import time
from collections.abc import Callable

__all__ = ["Board", "Numbers"]

_WEIGHT = 0.2
"""Of the newest call in the mean: the last ten or so count."""
_WINDOW_SECONDS = 60.0


class Numbers:
    """One deployment's."""

    __slots__ = ("latency", "requests", "running", "tokens", "window")

    def __init__(self) -> None:
        self.running = 0
        self.latency: float | None = None
        """Seconds per token of output, or per call without tokens; None until measured."""
        self.window = 0.0
        self.requests = 0
        self.tokens = 0


class Board:
    """One per worker."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._numbers: dict[str, Numbers] = {}

    def numbers(self, name: str) -> Numbers:
        """Return a deployment's numbers, the minute's as of now."""
        numbers = self._numbers.get(name)
        if numbers is None:
            numbers = self._numbers[name] = Numbers()
        now = self._clock()
        if now - numbers.window >= _WINDOW_SECONDS:
            numbers.window, numbers.requests, numbers.tokens = now, 0, 0
        return numbers

    def begin(self, name: str) -> None:
        """A call begins."""
        numbers = self.numbers(name)
        numbers.running += 1
        numbers.requests += 1

    def end(self, name: str, *, seconds: float, tokens: int, completion_tokens: int, failed: bool) -> None:
        """A call ended. A failure says nothing of speed: a quick refusal must not look fast."""
        numbers = self.numbers(name)
        numbers.running -= 1
        numbers.tokens += tokens
        if failed:
            return
        # Per token, as LiteLLM does: a long answer is not a slow deployment.
        measured = seconds / completion_tokens if completion_tokens else seconds
        before = numbers.latency
        numbers.latency = measured if before is None else before + _WEIGHT * (measured - before)
