"""What a caller says about the cache: the header `cache-control` (RFC 9111) and LiteLLM's body field `cache`. Pure.

The header's unknown directives are ignored, as the RFC wants; an unknown name in the body is a mistake. Where both
speak, the stricter one holds.
"""

import math
from dataclasses import dataclass
from typing import Any

from routeiq_appliance.errors import CallError

__all__ = ["CacheWish", "cache_wish"]

_MAX_NAMESPACE = 128
_AGES = ("s-maxage", "s-max-age")
_FLAGS = ("no-cache", "no-store", "use-cache")
_NAMES = (*_FLAGS, *_AGES, "namespace", "ttl")


@dataclass(frozen=True, slots=True)
class CacheWish:
    """Seconds are None where the caller names none."""

    no_cache: bool = False
    """Do not read."""
    no_store: bool = False
    """Do not write."""
    only_if_cached: bool = False
    use_cache: bool = False
    """Keep and take the answer even where it is drawn by chance (`routeiq.cache.when`)."""
    max_age: float | None = None
    """How old an answer may be."""
    ttl: float | None = None
    """How long this answer may be kept; the configured time is the most."""
    namespace: str = ""
    """Sets entries apart within the scope; it never widens it."""


_NONE = CacheWish()


def cache_wish(header: str | None, field: Any) -> CacheWish:
    """Return the wish of a `cache-control` header and a `cache` field; raises `CallError` 400 for the field."""
    if header is None and field is None:
        return _NONE
    told = _directives(header or "")
    body = _checked(field)
    ages = [age for age in (_age(told), *(body.get(name) for name in _AGES)) if age is not None]
    return CacheWish(
        no_cache="no-cache" in told or body.get("no-cache") is True,
        no_store="no-store" in told or body.get("no-store") is True,
        only_if_cached="only-if-cached" in told,
        use_cache=body.get("use-cache") is True,
        max_age=min(ages, default=None),
        ttl=body.get("ttl"),
        namespace=body.get("namespace") or "",
    )


def _directives(header: str) -> dict[str, str]:
    parts = (part.partition("=") for part in header.lower().split(","))
    return {name.strip(): value.strip().strip('"') for name, _, value in parts}


def _age(told: dict[str, str]) -> float | None:
    if "max-age" not in told:
        return None
    value = told["max-age"]
    # What is no age at all says that something is wrong: nothing is fresh enough.
    return float(value) if value.isascii() and value.isdigit() and len(value) < 12 else 0.0


def _checked(field: Any) -> dict[str, Any]:
    if field is None:
        return {}
    if not isinstance(field, dict):
        raise _bad("`cache` must be an object", "cache")
    for name, value in field.items():
        where = f"cache.{name[:64]}"
        if name not in _NAMES:
            raise _bad(f"unknown field `{where}`: known are {', '.join(_NAMES)}", where, "unknown_parameter")
        if value is None:
            continue
        if name in _FLAGS:
            if not isinstance(value, bool):
                raise _bad(f"`{where}` must be true or false", where)
        elif name == "namespace":
            if not isinstance(value, str) or len(value) > _MAX_NAMESPACE:
                raise _bad(f"`{where}` must be a string of at most {_MAX_NAMESPACE} characters", where)
        elif not _is_seconds(value):
            raise _bad(f"`{where}` must be a number of seconds from 0", where)
    return field


def _is_seconds(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and 0 <= value < 1e11
        and math.isfinite(value)
    )


def _bad(message: str, param: str, code: str = "invalid_value") -> CallError:
    return CallError(400, message, code=code, param=param)
