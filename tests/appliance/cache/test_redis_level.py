"""Answers in a real Redis: shared by workers, worthless to whoever changes them there, and a miss in every outage."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from tests.appliance.cache.test_key import ANN, MEMBERS, call
from tests.appliance.redis_server import RedisServer, running_redis

from routeiq_appliance.cache.key import Keys
from routeiq_appliance.cache.memory import MemoryLevel
from routeiq_appliance.cache.redis import PREFIX, RedisLevel
from routeiq_appliance.cache.response import Bounds, Lookup, ResponseCache
from routeiq_appliance.cache.wish import CacheWish
from routeiq_appliance.pipeline.types import Call, Principal, Tally

pytestmark = pytest.mark.e2e

_ROOM = 100_000
_CALL = call(params={"messages": [{"role": "user", "content": "x"}], "temperature": 0})
_BODY = {
    "id": "u",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "hello " * 400}}],
}


class Counted:
    """Implements `Counter`."""

    def __init__(self) -> None:
        self.levels: list[str | None] = []

    def cached(self, model: str, team: str | None, level: str | None) -> None:
        del model, team
        self.levels.append(level)


@asynccontextmanager
async def worker(
    redis_server: RedisServer,
    *,
    scope: Any = "key",
    room: int = 1 << 20,
    ttl: float = 60,
    secret: bytes = b"s" * 32,
) -> AsyncIterator[ResponseCache]:
    redis = RedisLevel(redis_server.url, variable="ROUTEIQ_CACHE_REDIS_URL", max_entry_bytes=_ROOM)
    cache = ResponseCache(
        Keys(secret, scope), MemoryLevel(room), redis, Counted(), seal=secret, bounds=Bounds(ttl, _ROOM),
        when="temperature-zero",
    )  # fmt: skip
    await cache.start()
    yield cache
    await cache.close()


async def look(cache: ResponseCache, made: Call = _CALL, principal: Principal = ANN) -> Lookup:
    return await cache.look(made, principal, "small", MEMBERS)


async def keep(
    cache: ResponseCache, made: Call = _CALL, principal: Principal = ANN, body: dict[str, Any] = _BODY
) -> None:
    lookup = await look(cache, made, principal)
    lookup.take(body)
    lookup.keep(Tally(deployment=MEMBERS[0], prompt_tokens=7, completion_tokens=2))


async def arrived(redis_server: RedisServer, count: int = 1) -> list[str]:
    """Return the keys in Redis once there are so many: nobody waits for a write."""
    for _ in range(2000):
        names = redis_server.cli("KEYS", "*").split()
        if len(names) == count:
            return names
        await asyncio.sleep(0.005)
    raise AssertionError(f"{count} keys did not arrive")


def poison(redis_server: RedisServer, name: str, value: str) -> None:
    assert redis_server.cli("SET", name, value) == "OK"


async def test_another_worker_has_what_one_has_stored(redis_server: RedisServer) -> None:  # H10
    async with worker(redis_server) as one, worker(redis_server) as two:
        await keep(one)
        names = await arrived(redis_server)
        assert names[0].startswith(PREFIX.decode())
        assert 0 < int(redis_server.cli("PTTL", names[0])) <= 60_000
        found = await look(two)
        assert (found.level, found.entry and found.entry.body()) == ("redis", _BODY)
        record = found.record()
        assert record is not None
        assert record == {
            "level": "redis", "age": record["age"], "prompt_tokens": 7, "completion_tokens": 2,
        }  # fmt: skip
        # It has it by itself from now on, for as long as it holds.
        assert (await look(two)).level == "memory"


async def test_a_stream_comes_back_from_another_worker(redis_server: RedisServer) -> None:
    made = replace(_CALL, stream=True)
    events = [{"choices": [{"index": 0, "delta": {"content": "x"}}]},
              {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]  # fmt: skip

    async def stream() -> Any:
        for event in events:
            yield event

    async with worker(redis_server) as one, worker(redis_server) as two:
        lookup = await look(one, made)
        assert [event async for event in lookup.watch(stream())] == events
        lookup.keep(Tally(deployment=MEMBERS[0]))
        await arrived(redis_server)
        found = await look(two, made)
        assert [event async for event in found.replay()] == events
        assert (await look(two)).entry is None


async def test_no_team_reads_what_another_stored(redis_server: RedisServer) -> None:
    async with worker(redis_server, scope="team") as one, worker(redis_server, scope="team") as two:
        await keep(one, principal=Principal("a", team_id="blue"))
        await arrived(redis_server)
        assert (await look(two, principal=Principal("b", team_id="blue"))).entry is not None
        for other in (Principal("a", team_id="red"), Principal("a"), Principal("blue")):
            assert (await look(two, principal=other)).entry is None


async def test_the_names_and_answers_of_another_site_are_its_own(redis_server: RedisServer) -> None:
    async with worker(redis_server) as one, worker(redis_server, secret=b"t" * 32) as two:
        await keep(one)
        await arrived(redis_server)
        assert (await look(two)).entry is None
        assert two.refused == 0


async def test_a_poisoned_entry_is_a_miss(redis_server: RedisServer) -> None:
    async with worker(redis_server) as one, worker(redis_server, room=0) as two:
        await keep(one)
        victim = (await arrived(redis_server))[0]
        await keep(one, principal=Principal("eve"), body={**_BODY, "id": "evil"})
        evil = next(name for name in await arrived(redis_server, 2) if name != victim)
        # An entry that is ours, under another name; then anything else.
        assert redis_server.cli("COPY", evil, victim, "REPLACE") == "1"
        assert (await look(two)).entry is None
        for value in ("", "x", "RQC1", '{"choices": []}', "x" * 5000, "cos\nsystem\n(S'true'\ntR."):
            poison(redis_server, victim, value)
            assert (await look(two)).entry is None
        assert two.refused == 6  # an empty one counts as none
        redis_server.cli("DEL", victim)
        redis_server.cli("LPUSH", victim, "a list")
        assert (await look(two)).entry is None
        assert not (await _redis(two)).away


async def _redis(cache: ResponseCache) -> RedisLevel:
    assert cache.redis is not None
    return cache.redis


async def test_of_an_entry_that_is_too_large_no_more_is_read_than_an_entry_has(
    redis_server: RedisServer,
) -> None:
    async with worker(redis_server) as one, worker(redis_server) as two:
        await keep(one)
        name = (await arrived(redis_server))[0]
        redis_server.cli("SETRANGE", name, str(50 << 20), "x")
        raw = await (await _redis(two)).get(bytes.fromhex(name[len(PREFIX) :]))
        assert raw is not None
        assert len(raw) < _ROOM + 200
        assert (await look(two)).entry is None
        assert two.refused == 1


async def test_what_is_larger_than_the_bound_is_stored_nowhere(redis_server: RedisServer) -> None:
    async with worker(redis_server) as one:
        await keep(one, body={**_BODY, "id": "x" * _ROOM})
        await keep(one, made=replace(_CALL, params={**_CALL.params, "seed": 1}))
        assert len(one.memory) == 1
        await arrived(redis_server)


async def test_a_large_entry_is_zipped_beside_the_event_loop(redis_server: RedisServer) -> None:
    body = {**_BODY, "id": "word " * 15_000}
    async with worker(redis_server) as one, worker(redis_server) as two:
        await keep(one, body=body)
        name = (await arrived(redis_server))[0]
        assert int(redis_server.cli("STRLEN", name)) < 15_000
        found = await look(two)
        assert found.entry is not None
        assert found.entry.body() == body


async def test_an_entry_is_gone_when_its_time_is_over(redis_server: RedisServer) -> None:
    async with worker(redis_server) as one, worker(redis_server) as two:
        await keep(one, made=replace(_CALL, cache=CacheWish(ttl=5)))
        name = (await arrived(redis_server))[0]
        assert int(redis_server.cli("PTTL", name)) <= 5000
        redis_server.cli("PERSIST", name)  # a Redis that forgets to forget
        now = two.clock()
        two.clock = lambda: now + 5
        assert (await look(two)).entry is None
        assert len(two.memory) == 0


async def test_an_old_entry_here_does_not_hide_a_younger_one_there(redis_server: RedisServer) -> None:
    async with worker(redis_server) as one, worker(redis_server) as two:
        now = one.clock()
        one.clock = lambda: now - 20
        await keep(one)
        await arrived(redis_server)
        young = replace(_CALL, cache=CacheWish(max_age=10))
        assert (await look(two, young)).entry is None
        assert (await look(two)).level == "memory"
        one.clock = lambda: now
        await keep(one, made=young)
        while (await look(two, young)).level != "redis":  # noqa: ASYNC110 - the write is on its way
            await asyncio.sleep(0)


async def test_a_dead_redis_is_a_miss_and_memory_goes_on(mortal_redis: RedisServer) -> None:  # G4
    async with worker(mortal_redis) as one:
        await keep(one)
        await arrived(mortal_redis)
        mortal_redis.kill()
        other = replace(_CALL, params={**_CALL.params, "seed": 1})
        assert (await look(one, other)).entry is None
        await keep(one, made=other)
        assert (await look(one, other)).level == "memory"
        assert (await look(one)).level == "memory"
        assert (await _redis(one)).away
        mortal_redis.start()
        while (await _redis(one)).away:  # noqa: ASYNC110 - the session tells nobody
            await asyncio.sleep(0.01)
        await keep(one, made=replace(_CALL, params={**_CALL.params, "seed": 2}))
        await arrived(mortal_redis)


async def test_a_frozen_redis_holds_one_call_up_and_then_nobody(mortal_redis: RedisServer) -> None:
    async with worker(mortal_redis) as one:
        mortal_redis.freeze()
        # Ends by the level's own deadline: nothing else would end it.
        assert (await look(one)).entry is None
        assert (await _redis(one)).away
        for _ in range(100):
            assert (await look(one)).entry is None
        mortal_redis.thaw()
        while (await _redis(one)).away:  # noqa: ASYNC110 - the session tells nobody
            await asyncio.sleep(0.01)


async def test_a_worker_starts_without_redis(mortal_redis: RedisServer) -> None:
    mortal_redis.kill()
    async with worker(mortal_redis) as one:
        await keep(one)
        assert (await look(one)).level == "memory"


async def test_answers_take_no_room_from_what_a_redis_must_keep() -> None:  # H17
    with running_redis("--maxmemory", "30mb", "--maxmemory-policy", "noeviction") as redis_server:
        redis_server.cli("SETRANGE", "state", str(20 << 20), "x")
        async with worker(redis_server) as one:
            await keep(one)
            assert (await look(one)).level == "memory"
        assert redis_server.cli("KEYS", "*") == "state"
        redis_server.cli("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        async with worker(redis_server) as one:
            await keep(one)
            await arrived(redis_server, 2)
