"""Keeps a silent stream alive: an SSE comment whenever nothing was sent for a while, so that no proxy cuts it.

Each comment is a frame of its own and is written in one piece, so it never falls inside another one.
"""

import asyncio
from types import TracebackType

from routeiq_appliance.api.http import Request

__all__ = ["KeepAlive"]

_COMMENT = b": keep-alive\n\n"


class KeepAlive:
    """Set `written` with each frame; `seconds` 0 switches it off."""

    def __init__(self, request: Request, seconds: float) -> None:
        self.written = False
        self._request = request
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    def __enter__(self) -> "KeepAlive":
        """Start the clock."""
        if self._seconds:
            self._arm()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        if self._timer is not None:
            self._timer.cancel()
        if self._writing is not None:
            self._writing.cancel()  # one that still waits would come after the last byte

    def _arm(self) -> None:
        self.written = False
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._tick)

    def _tick(self) -> None:
        # A comment that still waits behind a slow caller says enough.
        if not self.written and (self._writing is None or self._writing.done()):
            self._writing = asyncio.get_running_loop().create_task(self._request.write(_COMMENT))
        self._arm()
