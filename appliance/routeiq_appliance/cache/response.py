"""The cache as a call meets it: looked up once after routing, kept once after the caller has its last byte.

What is kept is what the caller was sent, as JSON, made while it passes: nobody who changes the answer later changes
the entry. An answer of another group than the one decided on (a fallback) is kept by nobody: it would outlive the
fault that it stood in for.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pydantic_core import to_json

from routeiq_appliance.cache.entry import Entry, pack, unpack
from routeiq_appliance.cache.key import Keys, is_cold
from routeiq_appliance.cache.memory import MemoryLevel
from routeiq_appliance.cache.redis import RedisLevel
from routeiq_appliance.cache.rules import KINDS, MAX_REQUEST_BYTES, When
from routeiq_appliance.cache.wish import CacheWish
from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.types import Call, Deployment, Principal, Tally

__all__ = ["Bounds", "Counter", "Level", "Lookup", "ResponseCache"]

Level = Literal["memory", "redis"]
_NONE = CacheWish()
_MIN_SECONDS = 0.001
_SMALL = 32 << 10
"""Bytes that are zipped in under a millisecond."""


class Counter(Protocol):
    """Who counts hits and misses."""

    def cached(self, model: str, team: str | None, level: Level | None) -> None:
        """Count a hit of this level; None is a miss."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Times in seconds."""

    ttl: float
    max_entry_bytes: int


class ResponseCache:
    """One per worker. `seal`: the secret that entries in Redis are bound to their keys with."""

    def __init__(
        self,
        keys: Keys,
        memory: MemoryLevel,
        redis: RedisLevel | None,
        counter: Counter,
        *,
        seal: bytes,
        bounds: Bounds,
        when: When,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.memory = memory
        self.redis = redis
        self.bounds = bounds
        self.clock = clock
        self.refused = 0
        """Entries of Redis that are not ours: changed, moved, or of another secret."""
        self._keys = keys
        self._counter = counter
        self._seal = seal
        self._all = when == "all"

    async def start(self) -> None:
        """Connect; an absent Redis is no error."""
        if self.redis is not None:
            await self.redis.start()

    async def close(self) -> None:
        """Disconnect."""
        if self.redis is not None:
            await self.redis.close()

    async def look(
        self, call: Call, principal: Principal, name: str, members: Sequence[Deployment]
    ) -> "Lookup":
        """Look for the answer of group `name`; raises `CallError` 504 when only a cached one is wanted."""
        wish = call.cache or _NONE
        key = self._key(call, principal, name, members, wish)
        found: tuple[Entry, Level] | None = None
        if key is not None and not wish.no_cache:
            found = await self._find(key, call.stream, wish)
            self._counter.cached(name, principal.team_id, found[1] if found else None)
        if found is None and wish.only_if_cached:
            raise CallError(
                504, "the answer is not cached, and only a cached one is wanted", kind="cache_error", code="not_cached"
            )  # fmt: skip
        read = key is not None and not wish.no_cache
        return Lookup(self, call, name, None if wish.no_store else key, found, read=read)

    def keep(self, key: bytes, entry: Entry) -> None:
        """Put an answer into both levels."""
        self.memory.put(key, entry)
        if self.redis is None or self.redis.away:
            return
        if len(entry.payload) <= _SMALL:
            self._send(key, entry, pack(entry, key, self._seal))
            return

        def packed(done: asyncio.Future[bytes]) -> None:
            if not done.cancelled():
                self._send(key, entry, done.result())

        # Zipping it would take milliseconds of the event loop.
        packing = asyncio.get_running_loop().run_in_executor(None, pack, entry, key, self._seal)
        packing.add_done_callback(packed)

    def _send(self, key: bytes, entry: Entry, raw: bytes) -> None:
        if self.redis is not None:
            self.redis.put(key, raw, entry.until - self.clock())

    def _key(
        self, call: Call, principal: Principal, name: str, members: Sequence[Deployment], wish: CacheWish
    ) -> bytes | None:
        kind = KINDS.get(call.kind)
        if kind is None or call.request_bytes > MAX_REQUEST_BYTES:
            return None
        group = self._keys.group(name, members)
        if kind.drawn and not (self._all or wish.use_cache or is_cold(call, group)):
            return None
        return self._keys.key(call, principal, name, group, wish.namespace)

    async def _find(self, key: bytes, stream: bool, wish: CacheWish) -> tuple[Entry, Level] | None:
        now = self.clock()
        entry = self.memory.get(key, now)
        if entry is not None and _is_fresh(entry, now, wish):
            return entry, "memory"
        if self.redis is None:
            return None
        raw = await self.redis.get(key)
        if raw is None:
            return None
        entry = unpack(raw, key, self._seal, stream=stream, max_bytes=self.bounds.max_entry_bytes)
        if entry is None:
            self.refused += 1
            return None
        now = self.clock()
        if entry.until <= now:
            return None
        self.memory.put(key, entry)
        return (entry, "redis") if _is_fresh(entry, now, wish) else None


class Lookup:
    """What became of one look-up, and the answer on its way to be kept."""

    __slots__ = (
        "_cache",
        "_call",
        "_collected",
        "_key",
        "_name",
        "_size",
        "_whole",
        "entry",
        "level",
        "read",
    )

    def __init__(
        self, cache: ResponseCache, call: Call, name: str, key: bytes | None, found: tuple[Entry, Level] | None,
        *, read: bool,
    ) -> None:  # fmt: skip
        self._cache = cache
        self._call = call
        self._name = name
        self._key = key if found is None else None
        self._collected: list[bytes] = []
        self._size = 0
        self._whole = False
        self.entry: Entry | None = found[0] if found else None
        self.level: Level | None = found[1] if found else None
        self.read = read

    @property
    def age(self) -> float:
        """Seconds since the entry was made; clocks of hosts differ, so it is never below 0."""
        return 0.0 if self.entry is None else max(0.0, self._cache.clock() - self.entry.made_at)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return what the caller is told."""
        if self.entry is not None:
            return [(b"x-routeiq-cache", b"hit"), (b"age", b"%d" % self.age)]
        return [(b"x-routeiq-cache", b"miss" if self.read else b"bypass")]

    def record(self) -> dict[str, Any] | None:
        """Return what the ledger's decision says of a hit: what was saved, and how old it is."""
        if self.entry is None:
            return None
        return {
            "level": self.level,
            "age": round(self.age, 3),
            "prompt_tokens": self.entry.prompt_tokens,
            "completion_tokens": self.entry.completion_tokens,
        }

    async def replay(self) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the events of the entry that was found."""
        if self.entry is not None:
            for event in self.entry.events():
                yield event

    def take(self, body: dict[str, Any]) -> None:
        """Note a whole answer."""
        if self._key is not None and KINDS[self._call.kind].is_whole(body):
            self._add(body)
            self._whole = True

    async def watch(
        self, events: AsyncGenerator[dict[str, Any], None]
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the events and note them."""
        async with aclosing(events):
            if self._key is None:
                async for event in events:
                    yield event
                return
            async for event in events:
                self._add(event)
                yield event
        self._whole = self._key is not None

    def keep(self, tally: Tally) -> None:
        """Keep what was noted, if it is whole and fits, and the group that was decided on has answered."""
        key, self._key = self._key, None
        deployment = tally.deployment
        if key is None or not self._whole or deployment is None or deployment.group != self._name:
            return
        payload = b"[" + b",".join(self._collected) + b"]" if self._call.stream else self._collected[0]
        cache, wish = self._cache, self._call.cache or _NONE
        now = cache.clock()
        ttl = cache.bounds.ttl if wish.ttl is None else min(wish.ttl, cache.bounds.ttl)
        entry = Entry(
            payload, self._call.stream, now, now + ttl, tally.prompt_tokens, tally.completion_tokens
        )
        if ttl < _MIN_SECONDS or len(payload) > cache.bounds.max_entry_bytes:
            return
        if entry.stream and not KINDS[self._call.kind].is_whole_stream(entry.events()):
            return
        cache.keep(key, entry)

    def _add(self, value: dict[str, Any]) -> None:
        if self._key is None:
            return
        try:
            raw = to_json(value, inf_nan_mode="null")
        except ValueError:  # a lone surrogate of the upstream's: the caller gets another text than was said
            raw = b""
        self._size += len(raw)
        if not raw or self._size > self._cache.bounds.max_entry_bytes:
            self._key = None
            self._collected.clear()
        else:
            self._collected.append(raw)


def _is_fresh(entry: Entry, now: float, wish: CacheWish) -> bool:
    return wish.max_age is None or max(0.0, now - entry.made_at) <= wish.max_age
