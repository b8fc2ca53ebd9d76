"""A caller of an ASGI application that reads when it likes and leaves when it likes; no socket, no clock."""

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any

__all__ = ["AsgiCaller"]


class AsgiCaller:
    """One request, under way from the moment it is made. `trail` gets `head`, `part` and `last` as they are sent.

    `parts` holds what was sent of the body; while `reading` is not set, sending waits, as it does behind a full socket.
    """

    def __init__(
        self, app: Any, path: str, body: Any, headers: dict[str, str], *, trail: list[str] | None = None
    ) -> None:
        self.trail: list[str] = [] if trail is None else trail
        self.status = 0
        self.headers: dict[str, str] = {}
        self.parts: list[bytes] = []
        self.waiting = 0
        """How many sends wait for the caller to read."""
        self.reading = asyncio.Event()
        self.reading.set()
        self._sent = asyncio.Event()
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._inbox.put_nowait({"type": "http.request", "body": json.dumps(body).encode()})
        scope = {
            "type": "http", "path": path, "method": "POST",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }  # fmt: skip
        self.task = asyncio.create_task(app(scope, self._inbox.get, self._send))

    @property
    def body(self) -> bytes:
        """What was sent of the body so far."""
        return b"".join(self.parts)

    def leave(self) -> None:
        """Close the connection."""
        self._inbox.put_nowait({"type": "http.disconnect"})

    async def sent(self, parts: int) -> None:
        """Return when so many parts of the body were sent, or the request has ended."""
        while len(self.parts) < parts and not self.task.done():
            self._sent.clear()
            waiter = asyncio.create_task(self._sent.wait())
            await asyncio.wait({waiter, self.task}, return_when=asyncio.FIRST_COMPLETED)
            waiter.cancel()

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        if not self.reading.is_set():
            self.waiting += 1
            self._sent.set()
            try:
                await self.reading.wait()
            finally:
                self.waiting -= 1
        if message["type"] == "http.response.start":
            assert not self.status, "a second head"
            self.trail.append("head")
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.trail.append("part" if message.get("more_body") else "last")
            self.parts.append(message.get("body", b""))
        self._sent.set()
