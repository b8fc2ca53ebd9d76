"""What callers say about the cache, by header and by LiteLLM's field."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeiq_appliance.cache.wish import CacheWish, cache_wish
from routeiq_appliance.errors import CallError


@pytest.mark.parametrize(
    ("header", "field", "wish"),
    [
        (None, None, CacheWish()),
        ("", {}, CacheWish()),
        ("no-cache", None, CacheWish(no_cache=True)),
        ("No-Cache, NO-STORE", None, CacheWish(no_cache=True, no_store=True)),
        ('max-age="30"', None, CacheWish(max_age=30)),
        ("only-if-cached, max-age=5", None, CacheWish(only_if_cached=True, max_age=5)),
        ("max-age=soon", None, CacheWish(max_age=0)),
        ("max-age=-1", None, CacheWish(max_age=0)),
        ("max-age", None, CacheWish(max_age=0)),
        ("private, immutable, x=1", None, CacheWish()),
        (None, {"no-cache": True, "no-store": False}, CacheWish(no_cache=True)),
        (None, {"ttl": 5, "s-maxage": 1.5}, CacheWish(ttl=5, max_age=1.5)),
        (None, {"s-max-age": 9, "s-maxage": 7}, CacheWish(max_age=7)),
        (None, {"use-cache": True, "namespace": "tests"}, CacheWish(use_cache=True, namespace="tests")),
        (None, {"ttl": None, "namespace": None, "no-cache": None}, CacheWish()),
        # The stricter of both holds.
        ("max-age=60", {"s-maxage": 5}, CacheWish(max_age=5)),
        ("max-age=5", {"s-maxage": 60}, CacheWish(max_age=5)),
        ("no-store", {"no-store": False, "no-cache": True}, CacheWish(no_cache=True, no_store=True)),
    ],
)
def test_a_wish_is_read(header: str | None, field: object, wish: CacheWish) -> None:
    assert cache_wish(header, field) == wish


@pytest.mark.parametrize(
    ("field", "param"),
    [
        ([], "cache"),
        (True, "cache"),
        ({"ttl": "5"}, "cache.ttl"),
        ({"ttl": -1}, "cache.ttl"),
        ({"ttl": True}, "cache.ttl"),
        ({"ttl": 10**400}, "cache.ttl"),
        ({"s-maxage": []}, "cache.s-maxage"),
        ({"no-cache": 1}, "cache.no-cache"),
        ({"namespace": 5}, "cache.namespace"),
        ({"namespace": "x" * 129}, "cache.namespace"),
        ({"supported_call_types": []}, "cache.supported_call_types"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(field: object, param: str) -> None:
    with pytest.raises(CallError, match="cache") as caught:
        cache_wish(None, field)
    assert (caught.value.status, caught.value.param) == (400, param)


@given(st.text(max_size=80))
def test_no_header_is_an_error(header: str) -> None:
    wish = cache_wish(header, None)
    assert wish.max_age is None or wish.max_age >= 0
