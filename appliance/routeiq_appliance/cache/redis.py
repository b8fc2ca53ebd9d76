"""The second level: answers in a Redis that all workers and replicas share.

Nothing here fails: a Redis that is away, slow or full is one that has no answer. A connection that does not answer in
time is given up, so no call waits for a Redis that is known to be away.

The Redis may be the one that holds limits and reservations, and refuses to forget anything: then nothing is
written while more than half of its memory is in use, so that answers never take the room of what must be kept (H17).
"""

from collections.abc import Callable
from typing import Any

from routeiq_appliance.cache.entry import OVERHEAD
from routeiq_appliance.state.shared.session import Session
from routeiq_appliance.state.shared.wire import Wire, WireError, read_address

__all__ = ["PREFIX", "RedisLevel"]

PREFIX = b"routeiq:cache:1:"
_SHARE = 0.5


class RedisLevel:
    """One per worker. `timeout`: seconds until an answer counts as missing."""

    def __init__(self, url: str, *, variable: str, max_entry_bytes: int, timeout: float = 0.05) -> None:
        self._last = OVERHEAD + max_entry_bytes
        """One byte more than we have ever written: enough to know that something is not ours."""
        self._full = False
        self._session = Session(
            read_address(url, variable),
            timeout=timeout,
            set_up=self._set_up,
            beat=self._look,
            on_push=_ignore,
            away="the cache's redis is away: answers are shared no more",
            back="the cache's redis is back",
        )

    @property
    def away(self) -> bool:
        """Whether there is no connection."""
        return self._session.wire is None

    async def start(self) -> None:
        """Connect; returns also when that failed, and goes on trying."""
        await self._session.start()

    async def close(self) -> None:
        """Send what waits, disconnect."""
        await self._session.close()

    async def get(self, key: bytes) -> bytes | None:
        """Return what is kept under `key`: anybody's bytes, but not more of them than an entry has."""
        wire = self._session.wire
        if wire is None:
            return None
        try:
            found = await wire.ask(("GETRANGE", _name(key), 0, self._last))
        except (OSError, WireError):
            return None
        return found if isinstance(found, bytes) and found else None

    def put(self, key: bytes, raw: bytes, seconds: float) -> None:
        """Send it; nobody waits for the answer."""
        wire = self._session.wire
        milliseconds = int(seconds * 1000)
        if wire is not None and not self._full and milliseconds > 0:
            wire.send(("SET", _name(key), raw, "PX", milliseconds), _ignore, urgent=False)

    async def _set_up(self, wire: Wire) -> Callable[[], None]:
        await self._look(wire)
        return _nothing

    async def _look(self, wire: Wire) -> None:
        try:
            found = await wire.ask(("INFO", "memory"))
        except WireError:  # an ACL may forbid it
            self._full = False
            return
        self._full = _is_full(found)


def _is_full(info: Any) -> bool:
    if not isinstance(info, bytes | str):
        return False
    text = info.decode("latin-1") if isinstance(info, bytes) else info
    told = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    if told.get("maxmemory_policy") != "noeviction":
        return False
    try:
        return 0 < int(told["maxmemory"]) * _SHARE < int(told["used_memory"])
    except (KeyError, ValueError):
        return False


def _name(key: bytes) -> bytes:
    return PREFIX + key.hex().encode()


def _ignore(reply: Any) -> None:
    del reply


def _nothing() -> None:
    return
