"""What workers tell each other through Redis: notices, the block list, the live routing strategy, open breakers.

A worker keeps snapshots, loaded on each connection and changed by notices, so that no call asks Redis for them; in an
outage they stay as they were. Everything comes over the connection that commands go over, in one order: no change falls
between a snapshot and the notices after it. Keys: `routeiq:blocked` (sorted by time, 2 h), `routeiq:strategy:active`
(the one key without an end), `routeiq:cb:NAME` (2 min).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from routeiq_appliance.state.shared.interface import Notice
from routeiq_appliance.state.shared.wire import Wire

__all__ = ["CHANNEL", "News"]

CHANNEL = "routeiq:notices"
_BLOCKED = "routeiq:blocked"
_STRATEGY = "routeiq:strategy:active"
_BREAKERS = "routeiq:breakers"
_KEPT_SECONDS = 2 * 3600
"""Longer than a key is remembered while the database is away; after it the database itself says that it is blocked."""
_BREAKER_SECONDS = 120

Command = tuple[Any, ...]


class News:
    """One per worker. What it decides to send is returned as commands; `RedisState` sends them."""

    def __init__(self, worker: str, forget_spend: Callable[[list[tuple[str, int]]], None]) -> None:
        self._worker = worker
        self._forget_spend = forget_spend
        self._listeners: list[Callable[[Notice], None]] = []
        self.blocked: set[str] = set()
        self.strategy: str | None = None

    def subscribe(self, listener: Callable[[Notice], None]) -> None:
        """Call `listener` for each notice; it must not raise."""
        self._listeners.append(listener)

    def publish(self, notice: Notice, now: int) -> list[Command]:
        """Tell this worker; return what tells the others."""
        self._hear(notice.kind, notice.value)
        commands: list[Command] = []
        if notice.kind == "strategy":
            commands.append(("SET", _STRATEGY, notice.value) if notice.value else ("DEL", _STRATEGY))
        elif notice.kind == "breaker":
            commands += _keep_breaker(notice.value, now)
        return [*commands, self._told(notice.kind, notice.value)]

    def block(self, key_id: str, now: int) -> list[Command]:
        """Put a key on the list; `now` in Unix seconds."""
        self._hear("block", key_id)
        return [
            ("ZADD", _BLOCKED, now, key_id),
            ("ZREMRANGEBYSCORE", _BLOCKED, "-inf", now - _KEPT_SECONDS),
            ("EXPIRE", _BLOCKED, _KEPT_SECONDS),
            self._told("block", key_id),
        ]

    def unblock(self, key_id: str) -> list[Command]:
        """Take a key off the list."""
        self._hear("unblock", key_id)
        return [("ZREM", _BLOCKED, key_id), self._told("unblock", key_id)]

    def release(self, pairs: Iterable[tuple[str, int]]) -> list[Command]:
        """Have all workers forget the spend of (scope, period)."""
        return [self._told("spend", f"{period} {name}") for name, period in pairs]

    async def load(self, wire: Wire) -> None:
        """Take the snapshots; raises as `Wire.ask`."""
        blocked: list[bytes] = await wire.ask(("ZRANGE", _BLOCKED, 0, -1))
        strategy: bytes | None = await wire.ask(("GET", _STRATEGY))
        self.blocked = {item.decode("utf-8", "replace") for item in blocked}
        self.strategy = strategy.decode("utf-8", "replace") if strategy else None
        # Changes to keys may have been missed: whatever is cached is read again.
        self._tell(Notice("key", "*"))
        for name in await wire.ask(("SMEMBERS", _BREAKERS)):
            kept: bytes | None = await wire.ask(("HGET", b"routeiq:cb:" + name, "notice"))
            if kept is not None:
                self._tell(Notice("breaker", kept.decode("utf-8", "replace")))

    def on_push(self, message: Sequence[Any]) -> None:
        """Take what was published; this worker's own it has heard already."""
        if len(message) != 3 or message[0] != b"message":
            return
        worker, _, rest = message[2].decode("utf-8", "replace").partition(" ")
        kind, _, value = rest.partition(" ")
        if worker != self._worker:
            self._hear(kind, value)

    def _told(self, kind: str, value: str) -> Command:
        return ("PUBLISH", CHANNEL, f"{self._worker} {kind} {value}")

    def _hear(self, kind: str, value: str) -> None:
        if kind == "key":
            self._tell(Notice("key", value))
        elif kind == "breaker":
            self._tell(Notice("breaker", value))
        elif kind == "strategy":
            self.strategy = value or None
            self._tell(Notice("strategy", value))
        elif kind == "block":
            self.blocked.add(value)
            self._tell(Notice("key", value))
        elif kind == "unblock":
            self.blocked.discard(value)
            self._tell(Notice("key", value))
        elif kind == "spend":
            period, _, name = value.partition(" ")
            self._forget_spend([(name, int(period))])

    def _tell(self, notice: Notice) -> None:
        for listener in self._listeners:
            listener(notice)


def _keep_breaker(value: str, now: int) -> list[Command]:
    """Return what keeps `WORKER/NAME=STATE` for workers that come later (H4)."""
    name, _, state = value.partition("/")[2].rpartition("=")
    if not name:
        return []
    key = f"routeiq:cb:{name}"
    if state.lower() == "closed":
        return [("DEL", key), ("SREM", _BREAKERS, name)]
    return [
        ("HSET", key, "state", state.upper(), "notice", value, "opened_at", now),
        ("EXPIRE", key, _BREAKER_SECONDS),
        ("SADD", _BREAKERS, name),
        ("EXPIRE", _BREAKERS, _BREAKER_SECONDS),
    ]
