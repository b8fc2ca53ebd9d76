"""Step 1: a presented key → a principal, or 401. Decides nothing about what the principal may do.

Rules:

1. The master key is compared in constant time. Generated keys are looked up by digest, off the event loop.
2. What was found is remembered for ten seconds; a notice about a key, or about anything that it belongs to (team,
   user, organization, named budget), forgets it at once, and the block list is asked on every call.
3. While the database is away, keys seen within the last hour keep working; others are answered 503, not 401. It is
   asked again every five seconds, by one call, which waits one second at most when it has something to go on with.
4. Look-ups of one key at the same time are one query.
"""

import asyncio
import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from routeiq_appliance.errors import CallError, StateError
from routeiq_appliance.limits import Limits
from routeiq_appliance.pipeline.principal import blocked_key, principal_of, require_usable, unauthorized
from routeiq_appliance.pipeline.types import Principal
from routeiq_appliance.state.keys import KeyStore
from routeiq_appliance.state.records import Holder
from routeiq_appliance.state.shared.interface import Notice, SharedState

__all__ = ["MASTER_KEY_ID", "Authenticator", "Patience"]

MASTER_KEY_ID = "master"

_UNKNOWN_ENTRIES = 1_000
"""Wrong keys remembered: apart from the others, so that a flood of them pushes out no key that works."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How an outage of the database is met; seconds."""

    stale: float = 3600.0
    """How long a key works after the database was last heard of it."""
    retry: float = 5.0
    """Between two questions to a database that did not answer."""
    refresh: float = 1.0
    """How long a call waits for news of a key that it has old news of."""
    lookup: float = 5.0
    """How long a call waits for a key never seen."""


_PATIENCE = Patience()


@dataclass(slots=True)
class _Entry:
    """What is known of one key. Times on the monotonic clock."""

    holder: Holder
    read_at: float
    principal: Principal | None = None
    """None: the key is not usable, and why is decided on each call."""
    good_until: float = 0.0
    """Until when `principal` is handed out without a further thought."""
    until: float = 0.0
    """Until when `principal` is right: Unix seconds."""


class Authenticator:
    """Holds the cache; one per worker. `team_parallel`: calls at once of a team without a limit of its own."""

    def __init__(
        self,
        store: KeyStore,
        master_key: str,
        executor: Executor,
        limits: Limits,
        *,
        shared: SharedState | None = None,
        team_parallel: int | None = None,
        patience: Patience = _PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        # Digests have one length, so that the comparison tells nothing about the key's.
        self._master = hashlib.sha256(master_key.encode()).digest()
        self._admin = Principal(MASTER_KEY_ID, is_admin=True)
        self._executor = executor
        self._limits = limits
        self._team_parallel = team_parallel
        self._patience = patience
        self._clock = clock
        self._wall = wall
        self._is_blocked: Callable[[str], bool] = shared.is_blocked if shared is not None else _nobody
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._unknown: OrderedDict[bytes, float] = OrderedDict()
        self._flights: dict[bytes, asyncio.Future[Holder | None]] = {}
        self._evictions = 0
        self.away = False
        """Whether the database did not answer when it was last asked."""
        self._retry_at = 0.0
        if shared is not None:
            shared.subscribe(self._on_notice)

    def cached(self, key: str | None) -> Principal | None:
        """Return who holds `key` when that is known already; None says nothing: ask `authenticate`."""
        if key is None:
            return None
        entry = self._entries.get(hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest())
        if entry is None or entry.good_until <= self._clock():
            return None
        principal = entry.principal
        if principal is None or self._is_blocked(principal.key_id):
            return None
        return principal

    async def authenticate(self, key: str | None) -> Principal:
        """Return who holds `key`; raises `CallError` 401, or 503 when the key store does not answer."""
        if not key:
            raise unauthorized("no API key given: send `Authorization: Bearer KEY`")
        if len(key) > self._limits.credential_bytes:
            raise unauthorized("the API key is not valid")
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
        if hmac.compare_digest(digest, self._master):
            return self._admin
        entry = await self._look_up(key, digest)
        if entry is None:
            raise unauthorized("the API key is not valid")
        if self._is_blocked(entry.holder.key.id):
            raise blocked_key()
        return self._principal(entry)

    async def _look_up(self, key: str, digest: bytes) -> _Entry | None:
        now = self._clock()
        entry = self._entries.get(digest)
        if entry is not None and now < entry.read_at + self._limits.key_cache_seconds:
            return entry
        if self._unknown.get(digest, 0.0) > now:
            return None
        stale = entry if entry is not None and now < entry.read_at + self._patience.stale else None
        if self.away:
            if now < self._retry_at:
                return self._go_on(stale)
            # This call asks; those that come meanwhile do not.
            self._retry_at = now + self._patience.retry
        flight = self._flights.get(digest) or self._take_off(key, digest)
        seconds = self._patience.refresh if stale is not None else self._patience.lookup
        try:
            # Shielded: others wait for the same flight, and late news are news.
            async with asyncio.timeout(seconds):
                holder = await asyncio.shield(flight)
        except (StateError, TimeoutError):
            self.away, self._retry_at = True, self._clock() + self._patience.retry
            return self._go_on(stale)
        # Not from the cache: a notice may have emptied it while the query ran, and this call began before.
        return None if holder is None else self._entries.get(digest) or _Entry(holder, self._clock())

    def _take_off(self, key: str, digest: bytes) -> asyncio.Future[Holder | None]:
        flight = asyncio.get_running_loop().run_in_executor(self._executor, self._store.find, key)
        evictions = self._evictions
        self._flights[digest] = flight

        def land(done: asyncio.Future[Holder | None]) -> None:
            self._flights.pop(digest, None)
            if done.cancelled() or done.exception() is not None:
                return
            self.away = False
            # What was read before a notice came may be what the notice is about.
            if evictions == self._evictions:
                self._remember(digest, done.result())

        flight.add_done_callback(land)
        return flight

    def _remember(self, digest: bytes, holder: Holder | None) -> None:
        now = self._clock()
        self._entries.pop(digest, None)
        if holder is None:
            self._unknown[digest] = now + self._limits.key_cache_seconds
            self._unknown.move_to_end(digest)
            if len(self._unknown) > _UNKNOWN_ENTRIES:
                self._unknown.popitem(last=False)
            return
        self._entries[digest] = _Entry(holder, now)
        if len(self._entries) > self._limits.key_cache_entries:
            self._entries.popitem(last=False)

    def _go_on(self, stale: _Entry | None) -> _Entry:
        if stale is None:
            raise CallError(
                503,
                "the key store does not answer",
                kind="server_error",
                code="key_store_unavailable",
                retry_after=int(self._patience.retry),
            )
        return stale

    def _principal(self, entry: _Entry) -> Principal:
        """Return the entry's principal, made anew when a period began; raises `CallError` 401."""
        now, wall = self._clock(), self._wall()
        principal = entry.principal
        if principal is None or wall >= entry.until:
            require_usable(entry.holder, wall)
            made = principal_of(entry.holder, wall, team_parallel=self._team_parallel)
            principal, entry.until = made.principal, made.until
        fresh = entry.read_at + self._limits.key_cache_seconds
        # Old news are good until the database is asked again.
        until = fresh if now < fresh else min(self._retry_at, entry.read_at + self._patience.stale)
        entry.principal = principal
        entry.good_until = min(until, now + (entry.until - wall))
        return principal

    def _on_notice(self, notice: Notice) -> None:
        if notice.kind != "key":
            return
        self._evictions += 1
        self._unknown.clear()
        if notice.value == "*":
            # Notices may have been missed. Old news are kept: the database may be away.
            for entry in self._entries.values():
                entry.good_until = 0.0
                entry.read_at = min(entry.read_at, self._clock() - self._limits.key_cache_seconds)
            return
        kind, separator, identity = notice.value.partition(":")
        if not separator:
            kind, identity = "key", notice.value
        gone = [digest for digest, entry in self._entries.items() if entry.holder.concerns(kind, identity)]
        for digest in gone:
            del self._entries[digest]


def _nobody(_key_id: str) -> bool:
    return False
