"""What workers tell each other through Redis: notices, the block list, the live routing strategy, open breakers.

A worker keeps snapshots, loaded on each connection and changed by notices, so that no call asks Redis for them; in an
outage they stay as they were. Everything comes over the connection that commands go over, in one order: no change falls
between a snapshot and the notices after it. A message is `WORKER KIND VALUE`, or `KIND VALUE` from elsewhere.

Keys: `routeiq:blocked` (sorted by time, 2 h), `routeiq:cb:NAME` (2 min), and the one without an end,
`routeiq:strategy:active`. That one, and the mark in `routeiq:blocked`, stay when nothing is set or blocked any more:
where they are missing Redis has lost its data, and the first worker to come back gives it its own snapshots.
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
_MARK = ""
"""Where it is missing, the block list is."""
_KINDS = frozenset({"block", "breaker", "key", "models", "spend", "strategy", "unblock"})

Command = tuple[Any, ...]


class News:
    """One per worker. What it decides to send is returned as commands; `RedisState` sends them."""

    def __init__(self, worker: str, forget_spend: Callable[[list[tuple[str, int]]], None]) -> None:
        self._worker = worker
        self._forget_spend = forget_spend
        self._listeners: list[Callable[[Notice], None]] = []
        self.blocked: set[str] = set()
        self.strategy: str | None = None
        self._said: list[tuple[str, str]] = []
        """Said here while snapshots are loaded."""
        self._loading = False

    def subscribe(self, listener: Callable[[Notice], None]) -> None:
        """Call `listener` for each notice; it must not raise."""
        self._listeners.append(listener)

    def publish(self, notice: Notice, now: int) -> list[Command]:
        """Tell this worker; return what tells the others."""
        self._say(notice.kind, notice.value)
        commands: list[Command] = []
        if notice.kind == "strategy":
            commands.append(("SET", _STRATEGY, notice.value))
        elif notice.kind == "breaker":
            commands += _keep_breaker(notice.value, now)
        return [*commands, self._told(notice.kind, notice.value)]

    def block(self, key_id: str, now: int) -> list[Command]:
        """Put a key on the list; `now` in Unix seconds."""
        self._say("block", key_id)
        return [
            ("ZADD", _BLOCKED, now, _MARK, now, key_id),
            ("ZREMRANGEBYSCORE", _BLOCKED, "-inf", now - _KEPT_SECONDS),
            ("EXPIRE", _BLOCKED, _KEPT_SECONDS),
            self._told("block", key_id),
        ]

    def unblock(self, key_id: str) -> list[Command]:
        """Take a key off the list."""
        self._say("unblock", key_id)
        return [("ZREM", _BLOCKED, key_id), self._told("unblock", key_id)]

    def release(self, pairs: Iterable[tuple[str, int]]) -> list[Command]:
        """Have all workers forget the spend of (scope, period)."""
        return [self._told("spend", f"{period} {name}") for name, period in pairs]

    def restore(self, sha: str, now: int) -> list[Command]:
        """Return what gives a Redis that lost its data this worker's snapshots; `sha` is `restore.lua`'s."""
        commands: list[Command] = []
        if self.blocked:
            commands.append(("EVALSHA", sha, 1, _BLOCKED, _KEPT_SECONDS, now, _MARK, *sorted(self.blocked)))
        if self.strategy is not None:
            commands.append(("SET", _STRATEGY, self.strategy, "NX"))
        return commands

    async def load(self, wire: Wire) -> None:
        """Take the snapshots; raises as `Wire.ask`."""
        self._loading = True
        # Taken as they arrive: a notice right behind must find them, not be overwritten by them.
        wire.send(("ZRANGE", _BLOCKED, 0, -1), self._take_blocked)
        wire.send(("GET", _STRATEGY), self._take_strategy)
        try:
            breakers: list[bytes] = await wire.ask(("SMEMBERS", _BREAKERS))
        finally:
            self._loading = False
            self._said.clear()
        # Changes to keys may have been missed: whatever is cached is read again.
        self._tell(Notice("key", "*"))
        self._tell(Notice("models", "*"))
        for name in breakers:
            kept: bytes | None = await wire.ask(("HGET", b"routeiq:cb:" + name, "notice"))
            if kept is not None:
                self._tell(Notice("breaker", kept.decode("utf-8", "replace")))

    def on_push(self, message: Sequence[Any]) -> None:
        """Take what was published; this worker's own it has heard already."""
        if len(message) != 3 or message[0] != b"message":
            return
        kind, _, value = message[2].decode("utf-8", "replace").partition(" ")
        if kind not in _KINDS:
            if kind == self._worker:
                return
            kind, _, value = value.partition(" ")
        self._hear(kind, value)

    def _take_blocked(self, reply: Any) -> None:
        if type(reply) is not list:
            return
        self.blocked = {item.decode("utf-8", "replace") for item in reply}
        self.blocked.discard(_MARK)
        for kind, value in self._said:
            if kind == "block":
                self.blocked.add(value)
            elif kind == "unblock":
                self.blocked.discard(value)

    def _take_strategy(self, reply: Any) -> None:
        if reply is not None and type(reply) is not bytes:
            return
        said = [value for kind, value in self._said if kind == "strategy"]
        self.strategy = (said[-1] if said else (reply or b"").decode("utf-8", "replace")) or None

    def _say(self, kind: str, value: str) -> None:
        if self._loading:
            self._said.append((kind, value))
        self._hear(kind, value)

    def _told(self, kind: str, value: str) -> Command:
        return ("PUBLISH", CHANNEL, f"{self._worker} {kind} {value}")

    def _hear(self, kind: str, value: str) -> None:
        if kind == "key":
            self._tell(Notice("key", value))
        elif kind == "models":
            self._tell(Notice("models", value))
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
            if period.isdecimal():
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
