"""One HTTP exchange over ASGI: reads a bounded body, finds the credential, writes JSON, notices a caller who leaves."""

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, MutableMapping
from types import TracebackType
from typing import Any

from pydantic_core import to_json

from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.admit import admit_size

__all__ = [
    "CallerLeftError",
    "CallerWatch",
    "Headers",
    "Receive",
    "Request",
    "Scope",
    "Send",
    "error_body",
    "json_bytes",
]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
_TRACE_HEADERS = frozenset({
    b"traceparent", b"tracestate", b"b3", b"x-b3-traceid", b"x-b3-spanid", b"x-b3-parentspanid", b"x-b3-sampled",
    b"x-b3-flags",
})  # fmt: skip


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
        self._headers: dict[bytes, bytes] = dict(scope["headers"])

    def header(self, name: bytes) -> str | None:
        """Return the header of this (lower-case) name; the last one, when it is given more than once."""
        value = self._headers.get(name)
        return None if value is None else value.decode("latin-1").strip()

    def trace_headers(self) -> dict[str, str]:
        """Return the caller's trace context (W3C, B3), as it came; mostly empty."""
        headers = self._headers
        return {name.decode(): headers[name].decode("latin-1") for name in _TRACE_HEADERS if name in headers}

    def credential(self, *, basic: bool = False) -> str | None:
        """Return the key that is presented: `x-api-key`, a bearer, Basic's password (for a browser), `api-key`."""
        given = self.header(b"x-api-key")  # Anthropic's clients
        if given:
            return given
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
        return self.header(b"api-key") or None  # Azure's clients

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
        data = json_bytes(value)
        length = (b"content-length", b"%d" % len(data))
        await self.start(status, b"application/json", [length, *headers] if headers else [length])
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    def while_caller_waits(self) -> "CallerWatch":
        """Return a context that is cancelled when the caller leaves. The body must have been read."""
        return CallerWatch(self.receive)


class CallerWatch:
    """Cancels the block when the caller leaves; it then raises `CallerLeftError`.

    The watch begins a moment later than the block: for an answer that comes at once a task would be wasted.
    """

    _AFTER_SECONDS = 0.02

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._left = False
        self._watcher: asyncio.Task[None] | None = None

    def __enter__(self) -> "CallerWatch":
        """Start the clock."""
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(self._AFTER_SECONDS, self._begin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop watching; tell a caller who left from any other cancellation."""
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if self._left and self._task is not None:
            self._task.uncancel()
            if kind is not None and issubclass(kind, asyncio.CancelledError):
                raise CallerLeftError from None

    def _begin(self) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._left = True
        if self._task is not None:
            self._task.cancel()


def json_bytes(value: Any) -> bytes:
    """Return compact JSON; what cannot be UTF-8 (a lone surrogate of an upstream) is replaced, and 1e999 is null."""
    try:
        return to_json(value, inf_nan_mode="null")
    except (ValueError, UnicodeError):
        return to_json(_clean(value), inf_nan_mode="null")


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    return [_clean(item) for item in value] if isinstance(value, list) else value


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
