"""Step 1: a presented key → a principal, or 401. Decides nothing about what the principal may do.

The master key is compared in constant time. Generated keys are looked up by digest, off the event loop, and
remembered for ten seconds, found or not: so long may a key that was blocked elsewhere still work.
"""

import asyncio
import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import UTC, datetime

from routeiq_appliance.errors import CallError, StateError
from routeiq_appliance.limits import Limits
from routeiq_appliance.pipeline.types import Principal
from routeiq_appliance.state.keys import KeyRecord, KeyStore

__all__ = ["MASTER_KEY_ID", "Authenticator"]

MASTER_KEY_ID = "master"


def _now() -> datetime:
    return datetime.now(UTC)


class Authenticator:
    """Holds the cache; one per worker."""

    def __init__(
        self,
        store: KeyStore,
        master_key: str,
        executor: Executor,
        limits: Limits,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._store = store
        # Digests have one length, so that the comparison tells nothing about the key's.
        self._master = hashlib.sha256(master_key.encode()).digest()
        self._executor = executor
        self._limits = limits
        self._clock = clock
        self._now = now
        self._cache: OrderedDict[bytes, tuple[float, KeyRecord | None]] = OrderedDict()

    async def authenticate(self, key: str | None) -> Principal:
        """Return who holds `key`; raises `CallError` 401, or 503 when the key store does not answer."""
        if not key:
            raise _unauthorized("no API key given: send `Authorization: Bearer KEY`")
        if len(key) > self._limits.credential_bytes:
            raise _unauthorized("the API key is not valid")
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
        if hmac.compare_digest(digest, self._master):
            return Principal(MASTER_KEY_ID, is_admin=True)
        record = await self._find(key, digest)
        if record is None or record.blocked:
            raise _unauthorized("the API key is not valid")
        if record.expires_at is not None and record.expires_at <= self._now():
            raise _unauthorized("the API key has expired", code="expired_api_key")
        return Principal(record.id, models=frozenset(record.models))

    async def _find(self, key: str, digest: bytes) -> KeyRecord | None:
        cached = self._cache.get(digest)
        if cached is not None and cached[0] > self._clock():
            return cached[1]
        try:
            record = await asyncio.get_running_loop().run_in_executor(self._executor, self._store.find, key)
        except StateError as error:
            raise CallError(
                503, str(error), kind="server_error", code="key_store_unavailable", retry_after=1
            ) from error
        self._cache[digest] = (self._clock() + self._limits.key_cache_seconds, record)
        self._cache.move_to_end(digest)
        while len(self._cache) > self._limits.key_cache_entries:
            self._cache.popitem(last=False)
        return record


def _unauthorized(message: str, *, code: str = "invalid_api_key") -> CallError:
    return CallError(401, message, kind="authentication_error", code=code)
