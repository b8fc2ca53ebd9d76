"""Keeps a silent stream alive: an SSE comment whenever nothing was sent for a while, so that no proxy cuts it.

Each comment is a frame of its own, written in one piece; none begins while another frame is being written. One at most
waits behind a slow caller.
"""

import asyncio
from types import TracebackType

from routeiq_appliance.api.http import Request

__all__ = ["KeepAlive"]

_COMMENT = b": keep-alive\n\n"


class KeepAlive:
    """Set `writing` while a frame is written, then `written`; `seconds` 0 switches it off."""

    def __init__(self, request: Request, seconds: float) -> None:
        self.writing = False
        self.written = False
        self._request = request
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None
        self._comment: asyncio.Task[None] | None = None

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
        if self._comment is not None:
            self._comment.cancel()  # one that still waits would come after the last byte

    def _arm(self) -> None:
        self.written = False
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._tick)

    def _tick(self) -> None:
        # A frame, or a comment, that still waits behind a slow caller says enough.
        if not (self.written or self.writing) and (self._comment is None or self._comment.done()):
            self._comment = asyncio.get_running_loop().create_task(self._say())
        self._arm()

    async def _say(self) -> None:
        try:
            await self._request.write(_COMMENT)
        except (OSError, RuntimeError):
            # The connection is gone, or at its end: the stream's own writer is told the same.
            return
