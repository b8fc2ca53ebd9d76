"""One connection to Redis: commands in order, those of one turn of the event loop in one write, pushed messages apart.

hiredis packs and parses. What redis-py would add for each command (a pool, a task's wake-up, retries, its own
parser's coroutines) costs more than all the rest of an admission, and retrying is decided elsewhere: a connection that
fails, or does not answer in time, is over, and everything unanswered is told so.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import hiredis

from routeiq_appliance.errors import ConfigError

__all__ = ["LOST", "Address", "Lost", "Wire", "WireError", "connect", "read_address"]

_GRACE = 0.02
"""A second look before a connection is given up: after a stall of this process, timers run before what was read."""
_LINGER = 0.002
"""How long a command that is not urgent waits for others."""
_OPTIONS = frozenset({"ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_keyfile"})


class WireError(Exception):
    """Redis refused a command; never shown to callers."""


class Lost:
    """What a command gets in the place of an answer when the connection ends; it may have been carried out."""


LOST = Lost()
OnReply = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Address:
    """Where Redis is, and how to log in."""

    host: str
    port: int
    database: int = 0
    username: str | None = None
    password: str | None = None
    tls: ssl.SSLContext | None = None


def read_address(url: str, variable: str = "REDIS_URL") -> Address:
    """Read `redis[s]://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE][?ssl_ca_certs=…]`; raises `ConfigError`."""
    wrong = ConfigError(f"{variable} is not `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`")
    try:
        parts = urlsplit(url)
        port = parts.port or 6379
        (parts.hostname or "").encode("idna")  # as connecting will, which would raise no OSError
    except ValueError:
        raise wrong from None
    if parts.scheme not in {"redis", "rediss"} or not parts.hostname:
        raise wrong
    options = dict(parse_qsl(parts.query))
    unknown = sorted(options.keys() - _OPTIONS)
    path = parts.path.strip("/")
    if path and not path.isdecimal():
        raise ConfigError(f"{variable} names a database that is not a number")
    if unknown:
        raise ConfigError(f"{variable} has unknown options: {', '.join(unknown)}")
    return Address(
        parts.hostname,
        port,
        int(path or "0"),
        unquote(parts.username) if parts.username else None,
        unquote(parts.password) if parts.password else None,
        _tls(options, variable) if parts.scheme == "rediss" else None,
    )


def _tls(options: dict[str, str], variable: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
        if "ssl_certfile" in options:
            context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    except OSError as error:
        raise ConfigError(f"{variable} names a certificate that cannot be read: {error.strerror}") from error
    if options.get("ssl_check_hostname", "true").lower() in {"false", "0", "no"}:
        context.check_hostname = False
    if options.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def connect(address: Address, *, timeout: float, on_push: Callable[[list[Any]], None]) -> "Wire":  # noqa: ASYNC109 - of each answer, for as long as the connection lives
    """Connect and log in; raises `OSError`, `TimeoutError` or `WireError`. `on_push` gets what is published."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(4 * timeout):
        _, wire = await loop.create_connection(
            lambda: Wire(timeout, on_push),
            address.host,
            address.port,
            ssl=address.tls,
        )
        try:
            login: list[Any] = []
            if address.password is not None:
                login = ["AUTH", address.username or "default", address.password]
            await wire.ask(("HELLO", "3", *login, "SETNAME", "routeiq"))
            if address.database:
                await wire.ask(("SELECT", address.database))
        except BaseException:
            wire.abort()
            raise
    return wire


class Wire(asyncio.Protocol):
    """`send` for a callback, `ask` for a coroutine; `lost` is done when the connection has ended."""

    def __init__(self, timeout: float, on_push: Callable[[list[Any]], None]) -> None:
        self._timeout = timeout
        self._on_push = on_push
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(notEnoughData=LOST)
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._waiting: deque[tuple[float, OnReply]] = deque()
        self._flushing = False
        self._lingering: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self.on_lost: Callable[[], None] = _nothing
        """Called at once when the connection ends, before anybody is told `LOST`."""

    def send(self, command: Sequence[Any], on_reply: OnReply, *, urgent: bool = True) -> None:
        """Send at the end of this turn, or soon; `on_reply` gets the answer, a `hiredis.ReplyError`, or `LOST`."""
        if self._transport is None:
            on_reply(LOST)
            return
        now = self._loop.time()
        self._out.append(hiredis.pack_command(tuple(command)))
        self._waiting.append((now, on_reply))
        if urgent:
            if not self._flushing:
                self._flushing = True
                self._loop.call_soon(self._flush)
        elif not self._flushing and self._lingering is None:
            self._lingering = self._loop.call_later(_LINGER, self._flush)
        if self._watch is None:
            self._watch = self._loop.call_at(now + self._timeout, self._check)

    async def ask(self, command: Sequence[Any]) -> Any:
        """Return the answer; raises `WireError` for a refusal, `ConnectionError` when the connection ends."""
        answer: asyncio.Future[Any] = self._loop.create_future()

        def answered(reply: Any) -> None:
            if not answer.done():
                answer.set_result(reply)

        self.send(command, answered)
        reply = await answer
        if reply is LOST:
            raise ConnectionError("redis: the connection ended")
        if isinstance(reply, hiredis.ReplyError):
            raise WireError(str(reply))
        return reply

    def subscribe(self, channel: str) -> None:
        """Have what is published on `channel` pushed, from before the next command on."""
        if self._transport is not None:
            self._out.append(hiredis.pack_command(tuple[Any, ...](("SUBSCRIBE", channel))))
            self._flush()

    def abort(self) -> None:
        """End the connection now."""
        if self._transport is not None:
            self._transport.abort()
        self._end()

    async def close(self) -> None:
        """Send what waits, read the answers, end the connection."""
        if self._transport is not None:
            with suppress(OSError, WireError):
                await self.ask(("PING",))
        self.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        reader, waiting = self._reader, self._waiting
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not LOST:
                if type(reply) is hiredis.PushNotification:
                    self._on_push(reply)
                elif waiting:
                    waiting.popleft()[1](reply)
        except hiredis.ProtocolError:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """See `asyncio.Protocol`."""
        self._end()

    def _flush(self) -> None:
        self._flushing = False
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        if self._out and self._transport is not None:
            out, self._out = self._out, []
            self._transport.write(b"".join(out))

    def _check(self, suspect: OnReply | None = None) -> None:
        self._watch = None
        if not self._waiting:
            return
        sent_at, on_reply = self._waiting[0]
        if self._loop.time() < sent_at + self._timeout:
            self._watch = self._loop.call_at(sent_at + self._timeout, self._check)
        elif suspect is on_reply:
            self.abort()
        else:
            self._watch = self._loop.call_later(_GRACE, self._check, on_reply)

    def _end(self) -> None:
        self._transport = None
        self._out.clear()
        for handle in (self._watch, self._lingering):
            if handle is not None:
                handle.cancel()
        if not self.lost.done():
            self.lost.set_result(None)
            self.on_lost()
        while self._waiting:
            self._waiting.popleft()[1](LOST)


def _nothing() -> None:
    pass
