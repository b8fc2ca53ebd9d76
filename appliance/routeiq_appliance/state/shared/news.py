"""What workers tell each other through Redis: notices, the block list, the live routing strategy.

A worker keeps snapshots of the last two, loaded on each connection and changed by notices, so no call asks Redis for
them. In an outage they stay as they were.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from routeiq_appliance.state.shared.commands import AwayError, Commands
from routeiq_appliance.state.shared.interface import Notice

__all__ = ["News"]

_LOG = logging.getLogger(__name__)
_CHANNEL = "routeiq:notices"
_BLOCKED = "routeiq:blocked"
_STRATEGY = "routeiq:strategy:active"
_KINDS = frozenset({"key", "strategy", "breaker", "block", "unblock"})
_KEPT_SECONDS = 2 * 3600
"""Longer than a key is remembered while the database is away; after it the database itself says that it is blocked."""
_MAX_PAUSE_SECONDS = 2.0


class News:
    """One per worker."""

    def __init__(self, url: str) -> None:
        self.blocked: set[str] = set()
        self.strategy: str | None = None
        self._redis = Redis.from_url(url, socket_connect_timeout=1.0)
        self._listeners: list[Callable[[Notice], None]] = []
        self._listening: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    def subscribe(self, listener: Callable[[Notice], None]) -> None:
        """Call `listener` for each notice."""
        self._listeners.append(listener)

    async def start(self) -> None:
        """Listen; returns once the snapshots are loaded, or after a second without Redis."""
        self._listening = asyncio.create_task(self._listen())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._ready.wait()

    async def close(self) -> None:
        """Stop listening."""
        if self._listening is not None:
            self._listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listening
        with contextlib.suppress(RedisError, OSError):
            await self._redis.aclose()

    def publish(self, notice: Notice, commands: Commands) -> None:
        """Tell everybody, this worker at once."""
        self._hear(notice.kind, notice.value)
        if notice.kind == "strategy":
            command = ("SET", _STRATEGY, notice.value) if notice.value else ("DEL", _STRATEGY)
            commands.ask(*command)
        commands.ask("PUBLISH", _CHANNEL, f"{notice.kind} {notice.value}")

    async def block(self, key_id: str, commands: Commands, *, now: float) -> None:
        """Put a key on the list."""
        self._hear("block", key_id)
        with contextlib.suppress(AwayError):  # the database has it; this worker knows it
            commands.ask("ZADD", _BLOCKED, int(now), key_id)
            commands.ask("ZREMRANGEBYSCORE", _BLOCKED, "-inf", int(now) - _KEPT_SECONDS)
            commands.ask("EXPIRE", _BLOCKED, _KEPT_SECONDS)
            await commands.ask("PUBLISH", _CHANNEL, f"block {key_id}")

    async def unblock(self, key_id: str, commands: Commands) -> None:
        """Take a key off the list."""
        self._hear("unblock", key_id)
        with contextlib.suppress(AwayError):
            commands.ask("ZREM", _BLOCKED, key_id)
            await commands.ask("PUBLISH", _CHANNEL, f"unblock {key_id}")

    async def _listen(self) -> None:
        pause = 0.1
        while True:
            pubsub = self._redis.pubsub(ignore_subscribe_messages=True)
            try:
                await pubsub.subscribe(_CHANNEL)
                await self._load()
                pause = 0.1
                await self._follow(pubsub)
            except (RedisError, OSError):
                await asyncio.sleep(random.uniform(0.0, pause))  # noqa: S311 - spreads workers, guards nothing
                pause = min(_MAX_PAUSE_SECONDS, pause * 2)
            finally:
                with contextlib.suppress(RedisError, OSError):
                    await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def _load(self) -> None:
        """Take the snapshots; what changes meanwhile comes as a notice."""
        blocked: Any = await self._redis.zrange(_BLOCKED, 0, -1)
        strategy: Any = await self._redis.get(_STRATEGY)
        self.blocked = {item.decode("utf-8", "replace") for item in blocked}
        self.strategy = strategy.decode("utf-8", "replace") if strategy else None
        self._ready.set()
        # Changes to keys may have been missed: whatever is cached is read again.
        self._tell(Notice("key", "*"))

    async def _follow(self, pubsub: PubSub) -> None:
        async for message in pubsub.listen():
            data = message.get("data")
            if isinstance(data, bytes):
                kind, _, value = data.decode("utf-8", "replace").partition(" ")
                if kind in _KINDS:
                    self._hear(kind, value)

    def _hear(self, kind: str, value: str) -> None:
        if kind == "block":
            self.blocked.add(value)
            self._tell(Notice("key", value))
        elif kind == "unblock":
            self.blocked.discard(value)
            self._tell(Notice("key", value))
        elif kind == "strategy":
            self.strategy = value or None
            self._tell(Notice("strategy", value))
        elif kind == "breaker":
            self._tell(Notice("breaker", value))
        else:
            self._tell(Notice("key", value))

    def _tell(self, notice: Notice) -> None:
        for listener in self._listeners:
            listener(notice)
