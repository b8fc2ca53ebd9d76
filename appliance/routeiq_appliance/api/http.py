"""One HTTP exchange over ASGI: reads a bounded body, finds the credential, writes JSON, notices a caller who leaves."""

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.admit import admit_size

__all__ = ["CallerLeftError", "Headers", "Receive", "Request", "Scope", "Send", "error_body"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


class CallerLeftError(Exception):
    """The caller closed the connection; nobody is there to be told."""


class Request:
    """One request; `id` is its own and its call's."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        self.id = request_id
        self.path: str = scope["path"]
        self.method: str = scope["method"]
        self.scope = scope
        self.receive = receive
        self.started = False
        self._send = send
        self._headers: Headers = scope["headers"]

    def header(self, name: bytes) -> str | None:
        """Return the first header of this (lower-case) name."""
        return next((value.decode("latin-1").strip() for key, value in self._headers if key == name), None)

    def credential(self, *, basic: bool = False) -> str | None:
        """Return the key that the request presents: a bearer token, or (for a browser) Basic's password."""
        scheme, _, value = (self.header(b"authorization") or "").partition(" ")
        if scheme.lower() == "bearer":
            return value.strip() or None
        if basic and scheme.lower() == "basic":
            try:
                return (
                    base64.b64decode(value.strip(), validate=True).decode("utf-8").partition(":")[2] or None
                )
            except (binascii.Error, UnicodeDecodeError):
                return None
        return None

    async def body(self, maximum: int) -> bytes:
        """Read the whole body; raises `CallError` 413 as soon as it is known to be too large."""
        announced = self.header(b"content-length")
        if announced is not None and announced.isascii() and announced.isdigit():
            admit_size(int(announced[:20]), maximum=maximum)
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise CallerLeftError
            chunk = message.get("body", b"")
            size += len(chunk)
            admit_size(size, maximum=maximum)
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)

    async def start(self, status: int, content_type: bytes, headers: Headers) -> None:
        """Send status and headers; the request id is always among them."""
        self.started = True
        own: Headers = [(b"content-type", content_type), (b"x-request-id", self.id.encode())]
        await self._send({"type": "http.response.start", "status": status, "headers": [*own, *headers]})

    async def write(self, data: bytes, *, last: bool = False) -> None:
        """Send a part of the body; waits while the caller reads slowly."""
        await self._send({"type": "http.response.body", "body": data, "more_body": not last})

    async def reply(self, status: int, value: Any, headers: Headers | None = None) -> None:
        """Send one JSON document."""
        data = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
        length = (b"content-length", str(len(data)).encode())
        await self.start(status, b"application/json", [length, *(headers or [])])
        await self.write(data, last=True)

    @asynccontextmanager
    async def while_caller_waits(self) -> AsyncIterator[None]:
        """Cancel the block when the caller leaves; raises `CallerLeftError`. The body must have been read."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine always runs in a task
        left = False

        async def watch() -> None:
            nonlocal left
            while (await self.receive())["type"] != "http.disconnect":
                pass
            left = True
            task.cancel()

        watcher = asyncio.create_task(watch())
        try:
            yield
        except asyncio.CancelledError:
            if not left:
                raise
            task.uncancel()
            raise CallerLeftError from None
        finally:
            watcher.cancel()


def error_body(error: CallError, request_id: str) -> dict[str, Any]:
    """Return OpenAI's error shape, with the request id."""
    return {
        "error": {
            "message": str(error),
            "type": error.kind,
            "param": error.param,
            "code": error.code,
            "request_id": request_id,
        }
    }
