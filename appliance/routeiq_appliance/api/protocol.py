"""uvicorn's HTTP protocol with bounds on what a peer may send before anybody knows who it is.

uvicorn bounds neither the size of a request's head nor the time that head and body may take, nor how long an answer may
wait for a caller who does not read. One clock per connection looks every few seconds, so that a request pays for none.
What is refused here has no request id: it never became a request.
"""

import asyncio
import json
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from routeiq_appliance.limits import DEFAULT_LIMITS

__all__ = ["BoundedProtocol"]


class BoundedProtocol(HttpToolsProtocol):
    """431 for a head that is too large, 408 for a peer that is too slow, 400 for what is not HTTP."""

    limits = DEFAULT_LIMITS

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol.connection_made`."""
        super().connection_made(_Gathering(transport, self.loop))  # type: ignore[arg-type]
        self._phase = "head"
        self._head_bytes = 0
        self._began_at = self._heard_at = self._took_at = self.loop.time()
        self._waiting = 0
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol.connection_lost`."""
        self._clock.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol.data_received`."""
        now = self._heard_at = self.loop.time()
        if self._phase == "idle":
            self._phase, self._began_at, self._head_bytes = "head", now, 0
        if self._phase == "head":
            self._head_bytes += len(data)
        super().data_received(data)
        if self._phase == "head" and self._head_bytes > self.limits.request_head_bytes:
            self._refuse(431, "the request's headers are too large")

    def on_headers_complete(self) -> None:
        """See `httptools`."""
        self._phase, self._began_at = "body", self._heard_at
        if len(self.headers) > self.limits.request_headers:
            raise ValueError("too many headers")  # the parser makes a 400 of it
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """See `httptools`."""
        self._phase = "idle"
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, in the dialect of the data plane."""
        self._refuse(400, msg[:1].lower() + msg[1:].rstrip("."))

    def _watch(self) -> None:
        self._clock = self.loop.call_later(self.limits.request_clock_seconds, self._look)

    def _look(self) -> None:
        now = self.loop.time()
        slow_head = self._phase == "head" and now - self._began_at > self.limits.request_head_seconds
        slow_body = self._phase == "body" and (
            now - self._heard_at > self.limits.request_idle_seconds
            or now - self._began_at > self.limits.request_body_seconds
        )
        # Reading is paused while a large body is taken in: then the wait is ours.
        if (slow_head or slow_body) and not self.flow.read_paused:
            self._refuse(408, "the request did not arrive in time")
        if self._takes_nothing(now):
            self.transport.abort()  # its call ends as with any caller who leaves
        else:
            self._watch()

    def _takes_nothing(self, now: float) -> bool:
        """Whether what waits for the caller has not moved for too long."""
        waiting = self.transport.get_write_buffer_size()
        if not waiting or waiting != self._waiting:
            self._waiting, self._took_at = waiting, now
        return now - self._took_at > self.limits.response_idle_seconds

    def _refuse(self, status: int, message: str) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(_answer(status, message))
        self.transport.close()


class _Gathering:
    """A transport that writes once per turn of the event loop what uvicorn writes in pieces: head, then body.

    What would be much is written at once: only then does the transport say that the peer reads too slowly.
    """

    __slots__ = ("_flushing", "_loop", "_pieces", "_size", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._pieces: list[bytes] = []
        self._size = 0
        self._flushing = False

    def write(self, data: bytes) -> None:
        """Keep `data` until the turn ends."""
        self._pieces.append(data)
        self._size += len(data)
        if self._size > HIGH_WATER_LIMIT:
            self._flush()
        elif not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Write what is kept, then close."""
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        self._flushing, self._size = False, 0
        pieces, self._pieces = self._pieces, []
        if pieces:
            self._transport.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))


def _answer(status: int, message: str) -> bytes:
    error: dict[str, Any] = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    body = json.dumps({"error": error}).encode()
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
