"""Composes the cache from settings and configuration; without `ROUTEIQ_CACHE_ENABLED` there is none."""

import hmac

from routeiq_appliance.cache.key import Keys
from routeiq_appliance.cache.memory import MemoryLevel
from routeiq_appliance.cache.redis import RedisLevel
from routeiq_appliance.cache.response import Bounds, ResponseCache
from routeiq_appliance.config.routeiq_section import CacheSection
from routeiq_appliance.settings import Settings
from routeiq_appliance.telemetry.metrics import Metrics

__all__ = ["open_cache"]

_NAMES = b"routeiq cache 1: names"
_SEALS = b"routeiq cache 1: seals"


def open_cache(
    settings: Settings, section: CacheSection, pepper: bytes, metrics: Metrics
) -> ResponseCache | None:
    """Return the cache, not yet connected; raises `ConfigError` for an address that is none.

    `pepper`: the site's secret. What the cache is keyed with follows from it, so replicas share entries exactly
    where they share the pepper, and no value of the one tells the other.
    """
    if not settings.cache_enabled:
        return None
    url, variable = settings.cache_redis_url, "ROUTEIQ_CACHE_REDIS_URL"
    if url is None:
        url, variable = settings.redis_url, "REDIS_URL"
    redis = None
    if url is not None:
        redis = RedisLevel(url.get_secret_value(), variable=variable, max_entry_bytes=section.max_entry_bytes)
    cache = ResponseCache(
        Keys(hmac.digest(pepper, _NAMES, "sha256"), section.scope),
        MemoryLevel(section.max_bytes),
        redis,
        metrics,
        seal=hmac.digest(pepper, _SEALS, "sha256"),
        bounds=Bounds(section.ttl, section.max_entry_bytes),
        when=section.when,
    )
    metrics.watch("gateway_cache_bytes", "Bytes of cached answers in memory", lambda: cache.memory.bytes)
    metrics.watch("gateway_cache_entries", "Cached answers in memory", lambda: len(cache.memory))
    metrics.watch("gateway_cache_refused", "Entries of Redis that are not ours", lambda: cache.refused)
    if redis is not None:
        metrics.watch("gateway_cache_redis_up", "1 while the cache's Redis answers", lambda: int(not redis.away),
                      combine="min")  # fmt: skip
    return cache
