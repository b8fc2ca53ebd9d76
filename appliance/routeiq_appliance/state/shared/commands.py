"""Sends commands to Redis in batches: all that were asked for in one turn of the event loop, in one write.

One connection, one batch under way; what comes meanwhile makes up the next one. So the cost of a write, a read and a
wake-up is shared by all calls of a turn, and commands keep their order.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import hiredis
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import RedisError

__all__ = ["AwayError", "Commands", "Script"]

Reply = Any


class AwayError(Exception):
    """Redis did not answer. `sent`: the command may have been carried out all the same."""

    def __init__(self, *, sent: bool) -> None:
        super().__init__("redis does not answer")
        self.sent = sent


class Script:
    """A Lua script and, once loaded, its digest."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = b""


class Commands:
    """One per worker. `connect` first; after an `AwayError` again."""

    def __init__(self, url: str, scripts: Sequence[Script], *, seconds: float) -> None:
        # redis-py speaks the protocol of connecting (TLS, AUTH, SELECT); a pool of it would wake up once per command.
        self._pool = ConnectionPool.from_url(
            url, socket_timeout=None, socket_connect_timeout=seconds, health_check_interval=0
        )
        self._scripts = scripts
        self._seconds = seconds
        self._connection: AbstractConnection | None = None
        self._queue: list[tuple[tuple[Any, ...], asyncio.Future[Reply]]] = []
        self._sending: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether commands are taken."""
        return self._connection is not None

    async def connect(self) -> None:
        """Connect and load the scripts; raises `AwayError`."""
        await self._drop()
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            async with asyncio.timeout(self._seconds * 4):
                await connection.connect()  # type: ignore[no-untyped-call]
                for script in self._scripts:
                    await connection.send_command("SCRIPT", "LOAD", script.text)
                    script.sha = await connection.read_response()
        except (RedisError, OSError, TimeoutError):
            with suppress(RedisError, OSError):
                await connection.disconnect(nowait=True)
            raise AwayError(sent=False) from None
        self._connection = connection

    def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Any]) -> asyncio.Future[Reply]:
        """Ask for a script; the future raises `AwayError`, or `RedisError` for a mistake of ours."""
        return self.ask("EVALSHA", script.sha, len(keys), *keys, *arguments)

    def ask(self, *command: Any) -> asyncio.Future[Reply]:
        """Ask for any command."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Reply] = loop.create_future()
        if self._connection is None:
            answer.set_exception(AwayError(sent=False))
            return answer
        self._queue.append((command, answer))
        if self._sending is None:
            self._sending = loop.create_task(self._send())
        return answer

    async def flush(self) -> None:
        """Wait until what was asked for is answered."""
        while self._sending is not None:
            await asyncio.wait([self._sending])

    async def close(self) -> None:
        """Send what waits, then disconnect."""
        await self.flush()
        await self._drop()

    async def _send(self) -> None:
        try:
            while self._queue and self._connection is not None:
                batch, self._queue = self._queue, []
                if not await self._exchange(self._connection, batch):
                    await self._drop()
        finally:
            self._sending = None
            self._fail(self._queue, sent=False)
            self._queue = []

    async def _exchange(
        self, connection: AbstractConnection, batch: list[tuple[tuple[Any, ...], asyncio.Future[Reply]]]
    ) -> bool:
        answered = 0
        try:
            async with asyncio.timeout(self._seconds):
                packed = b"".join(hiredis.pack_command(command) for command, _ in batch)
                await connection.send_packed_command([packed], check_health=False)
                for _, answer in batch:
                    reply = await connection.read_response(disconnect_on_error=False)
                    answered += 1
                    if not answer.done():
                        answer.set_result(reply)
        except (RedisError, OSError, TimeoutError):
            # An error reply too: what Redis says of our scripts (NOSCRIPT, OOM, LOADING, READONLY) ends the connection,
            # and the next one loads them again.
            self._fail(batch[answered:], sent=True)
            return False
        return True

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(RedisError, OSError):
                await connection.disconnect(nowait=True)

    @staticmethod
    def _fail(batch: list[tuple[tuple[Any, ...], asyncio.Future[Reply]]], *, sent: bool) -> None:
        for _, answer in batch:
            if not answer.done():
                answer.set_exception(AwayError(sent=sent))
                answer.exception()  # looked at: settlements have nobody who waits for them
