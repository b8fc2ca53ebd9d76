"""Shared state on a real Redis: the same rules as in memory, over several workers, and through its outages."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.appliance.redis_server import RedisServer, running_redis

from routeiq_appliance.errors import ConfigError, StateError
from routeiq_appliance.state.shared.backlog import Debt
from routeiq_appliance.state.shared.interface import (
    Admission,
    Grant,
    Notice,
    Refusal,
    Scope,
    Settlement,
    Verdict,
)
from routeiq_appliance.state.shared.memory import MemoryState
from routeiq_appliance.state.shared.redis import RedisState
from routeiq_appliance.state.shared.wire import read_address

_NAMES = itertools.count(1)


class Ledger:
    def __init__(self) -> None:
        self.spent: dict[tuple[str, int], int] = {}
        self.asked = 0
        self.away = False

    async def __call__(self, pairs: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], int]:
        self.asked += 1
        if self.away:
            raise StateError("the ledger does not answer")
        return {pair: self.spent[pair] for pair in pairs if pair in self.spent}


class Clock:
    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def worker(
    redis_server: RedisServer, ledger: Ledger | None = None, **options: Any
) -> AsyncIterator[RedisState]:
    # Long enough for a loaded machine: no test waits for it, except those that say so.
    options.setdefault("timeout", 5.0)
    state = RedisState(redis_server.url, ledger or Ledger(), worker_id=f"w{next(_NAMES)}", **options)
    await state.start()
    try:
        yield state
    finally:
        await state.close()


@asynccontextmanager
async def workers(redis_server: RedisServer, count: int) -> AsyncIterator[list[RedisState]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(worker(redis_server)) for _ in range(count)]


def call(name: object, *scopes: Scope, tokens: int = 10, cost: int = 10, lease: float = 600.0) -> Admission:
    return Admission(f"call-{name}", scopes, tokens, cost, lease)


def granted(verdict: Verdict) -> Grant:
    assert verdict.refusal is None
    assert verdict.grant is not None
    return verdict.grant


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until `condition` holds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what happens is another process's
            await asyncio.sleep(0.005)


async def settled(state: RedisState) -> None:
    """Wait until Redis has all that was sent."""
    await state._tell([])


# ---- the same rules as in memory

# Few values, so that limits, ends of windows and ends of leases are often hit exactly.
_SCOPES = (
    Scope("key:a", rpm=3, tpm=100),
    Scope("key:b", tpm=60, parallel=2, budget=400),
    Scope("team:t", rpm=8, tpm=200, parallel=3, budget=900, period=86_400),
    Scope("user:u", budget=250),
    Scope("user:free"),
    Scope("key:none", rpm=0),
)
_WAITS = (-61_000, -1, 1, 1_000, 29_000, 30_000, 31_000, 59_000, 60_000)
_ADMIT = st.tuples(
    st.just("admit"),
    st.sampled_from([(0,), (1,), (2,), (3,), (0, 2), (1, 2, 3), (2, 1), (1, 2, 4), (0, 2, 5)]),
    st.sampled_from([0, 20, 50]),
    st.sampled_from([0, 50, 100]),
    st.sampled_from([1.0, 30.0, 60.0, 600.0]),
)
_SETTLE = st.tuples(
    st.just("settle"), st.integers(0, 5), st.sampled_from([0, 20, 50, 80]), st.sampled_from([0, 50, 150])
)
_WAIT = st.tuples(st.just("wait"), st.sampled_from(_WAITS))


@pytest.mark.e2e
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.one_of(_ADMIT, _ADMIT, _SETTLE, _WAIT), min_size=10, max_size=60))
def test_memory_and_redis_decide_alike(shared_redis: RedisServer, steps: list[tuple[Any, ...]]) -> None:
    asyncio.run(_drive(shared_redis, steps))


async def _drive(redis_server: RedisServer, steps: list[tuple[Any, ...]]) -> None:
    clock, ledger = Clock(), Ledger()
    ledger.spent = {("key:b", 0): 100, ("team:t", 86_400): 300}
    memory = MemoryState(ledger, clock=clock)
    async with worker(redis_server, ledger, clock=clock) as redis:
        await redis._tell([("FLUSHALL",)])
        grants: list[tuple[Grant, Grant]] = []
        for number, step in enumerate(steps):
            if step[0] == "admit":
                _, scopes, tokens, cost, lease = step
                asked = call(number, *(_SCOPES[i] for i in scopes), tokens=tokens, cost=cost, lease=lease)
                here, there = await memory.admit(asked), await redis.admit(asked)
                assert here == there
                if here.grant is not None and there.grant is not None:
                    grants.append((here.grant, there.grant))
            elif step[0] == "settle" and grants:
                # Any of the last, also one that was settled before, or whose lease ended.
                mine, theirs = grants[-1 - step[1] % len(grants)]
                memory.settle(Settlement(mine, step[2], step[3]))
                redis.settle(Settlement(theirs, step[2], step[3]))
            elif step[0] == "wait":
                clock.now += step[1] / 1000


# ---- several workers (C7)


@pytest.mark.e2e
async def test_two_hundred_calls_over_four_workers_get_exactly_the_fifty_that_the_limit_allows(
    redis_server: RedisServer,
) -> None:
    scope = Scope("key:a", rpm=50)
    async with workers(redis_server, 4) as states:
        verdicts = await asyncio.gather(
            *(states[number % 4].admit(call(number, scope)) for number in range(200))
        )
    assert sum(verdict.grant is not None for verdict in verdicts) == 50
    assert {verdict.refusal.kind for verdict in verdicts if verdict.refusal} == {"requests"}


@pytest.mark.e2e
async def test_a_budget_over_workers_is_overshot_by_one_estimate(redis_server: RedisServer) -> None:
    scope = Scope("team:t", budget=1000)
    async with workers(redis_server, 4) as states:
        verdicts = await asyncio.gather(
            *(states[number % 4].admit(call(number, scope, cost=99)) for number in range(100))
        )
        grants = [verdict.grant for verdict in verdicts if verdict.grant is not None]
        assert len(grants) == 11
        for number, grant in enumerate(grants):
            states[(number + 1) % 4].settle(Settlement(grant, 1, 7))  # any worker may settle
        for state in states:
            await settled(state)
    assert redis_server.cli("HGET", "routeiq:spend:team:t:0", "amount") == "77"
    assert redis_server.cli("HGET", "routeiq:limit:team:t", "reserved") == "0"


@pytest.mark.e2e
async def test_a_slot_given_back_is_free_for_another_worker(redis_server: RedisServer) -> None:
    scope = Scope("key:a", parallel=1)
    async with workers(redis_server, 2) as (one, two):
        grant = granted(await one.admit(call(1, scope)))
        assert (await two.admit(call(2, scope))).refusal == Refusal("key:a", "parallel", 1, 1.0)
        one.settle(Settlement(grant, 1, 1))
        await settled(one)
        granted(await two.admit(call(3, scope)))


@pytest.mark.e2e
async def test_money_beyond_two_to_the_53_stays_exact(redis_server: RedisServer) -> None:
    huge = 9_007_199_254_740_993  # a double cannot hold it
    ledger = Ledger()
    ledger.spent = {("key:a", 0): huge}
    async with worker(redis_server, ledger) as state:
        grant = granted(await state.admit(call(1, Scope("key:a", budget=10 * huge), cost=huge)))
        assert redis_server.cli("HGET", "routeiq:limit:key:a", "reserved") == str(huge)
        state.settle(Settlement(grant, 1, huge + 1))
        await settled(state)
    assert redis_server.cli("HGET", "routeiq:spend:key:a:0", "amount") == str(2 * huge + 1)


@pytest.mark.e2e
async def test_unknown_spend_is_read_once_and_seeded_only_if_absent(redis_server: RedisServer) -> None:
    first, second = Ledger(), Ledger()
    first.spent = {("key:a", 0): 90}
    scope = Scope("key:a", budget=100)
    async with worker(redis_server, first) as one, worker(redis_server, second) as two:
        granted(await one.admit(call(1, scope)))
        assert (await two.admit(call(2, scope))).refusal == Refusal("key:a", "budget", 100, None)
        assert (first.asked, second.asked) == (1, 0)


@pytest.mark.e2e
async def test_a_released_budget_is_read_again_by_all_workers(redis_server: RedisServer) -> None:
    ledger = Ledger()
    ledger.spent = {("key:a", 0): 100}
    scope = Scope("key:a", budget=100)
    async with worker(redis_server, ledger) as one, worker(redis_server, ledger) as two:
        assert (await one.admit(call(1, scope))).refusal is not None
        ledger.spent.clear()
        await two.release_budget([("key:a", 0)])
        granted(await one.admit(call(2, scope)))


@pytest.mark.e2e
async def test_while_the_ledger_is_away_only_fail_closed_scopes_are_refused(
    redis_server: RedisServer,
) -> None:
    ledger = Ledger()
    ledger.away = True
    async with worker(redis_server, ledger) as state:
        closed = Scope("key:b", budget=100, fail_closed=True)
        assert (await state.admit(call(1, closed))).refusal == Refusal("key:b", "unknown", 0, 5.0)
        open_, team = Scope("key:a", rpm=1, budget=100), Scope("team:t", rpm=9)
        granted(await state.admit(call(2, open_, team)))
        # The other limits hold.
        assert (await state.admit(call(3, open_, team))).refusal is not None
    assert redis_server.cli("EXISTS", "routeiq:spend:key:a:0") == "0"


@pytest.mark.e2e
async def test_a_caller_who_leaves_while_asking_holds_no_slot(redis_server: RedisServer) -> None:
    scope = Scope("key:a", parallel=1)
    async with worker(redis_server) as state:
        leaving = asyncio.create_task(state.admit(call(1, scope)))
        await asyncio.sleep(0)
        leaving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await leaving
        await settled(state)
        granted(await state.admit(call(2, scope)))


@pytest.mark.e2e
async def test_spend_is_raised_to_what_the_ledger_says_and_never_lowered(redis_server: RedisServer) -> None:
    clock, ledger = Clock(), Ledger()
    ledger.spent = {("key:a", 0): 100, ("key:b", 0): 100}
    async with worker(redis_server, ledger, clock=clock) as state:
        granted(await state.admit(call(1, Scope("key:a", budget=999), Scope("key:b", budget=999))))
        # A row that another worker's shipper had not sent when spend was seeded.
        for told, raised in ((250, "250"), (99, "250"), (249, "250"), (1000, "1000")):
            ledger.spent = {("key:a", 0): told, ("key:b", 0): 20}
            state._limits._backlog.doubt([("key:a", 0), ("key:b", 0)], clock.now)
            clock.now += 10.0
            await state._beat(_wire(state))
            assert redis_server.cli("HGET", "routeiq:spend:key:a:0", "amount") == raised
    assert redis_server.cli("HGET", "routeiq:spend:key:b:0", "amount") == "100"


@pytest.mark.e2e
async def test_spend_read_from_the_ledger_since_is_not_added_to(redis_server: RedisServer) -> None:
    """What a worker sends late, after an outage of its own, the ledger may have told others already."""
    clock, scope = Clock(), Scope("key:a", budget=9999)
    pair = ("key:a", 0)
    async with worker(redis_server, clock=clock) as state:
        grant = granted(await state.admit(call(1, scope)))
        limits, plan = state._limits, state._limits._plan((scope,))
        for since, amount in ((clock.now * 1000 - 1, "0"), (clock.now * 1000, "70")):
            state._spending.note(pair, 0)
            limits._backlog._doubtful.clear()
            limits._backlog.debts.append(Debt(f"routeiq:owed:{since}", ((pair, 70),), int(since)))
            limits.pay(_wire(state))
            limits._backlog.debts.append(Debt(f"routeiq:owed:{since}", ((pair, 70),), int(since)))
            limits.pay(_wire(state))  # sent twice counts once
            await settled(state)
            assert redis_server.cli("HGET", "routeiq:spend:key:a:0", "amount") == amount
            assert bool(limits._backlog._doubtful) is (amount == "0")
        limits._backlog._doubtful.clear()
        limits._send_settlement(plan, Settlement(grant, 1, 30), int(clock.now * 1000) - 1)
        await settled(state)
        assert redis_server.cli("HGET", "routeiq:spend:key:a:0", "amount") == "70"
        assert limits._backlog._doubtful


@pytest.mark.e2e
async def test_every_key_ends_but_the_strategy(redis_server: RedisServer) -> None:
    async with worker(redis_server) as state:
        scopes = (Scope("key:a", rpm=9, tpm=99, parallel=9, budget=999), Scope("team:t", rpm=9))
        granted(await state.admit(call(1, *scopes)))
        state.settle(Settlement(granted(await state.admit(call(2, *scopes, tokens=1))), 99, 1))
        state.remember("c", "small", seconds=60)
        state.publish(Notice("strategy", "knn"))
        state.publish(Notice("breaker", "me/small-1=OPEN"))
        await state.block("k1")
        keys = redis_server.cli("KEYS", "*").split()
        endless = {key for key in keys if redis_server.cli("PTTL", key) == "-1"}
    assert len(keys) >= 9
    assert endless == {"routeiq:strategy:active"}


# ---- what workers tell each other


@pytest.mark.e2e
async def test_notices_blocks_and_strategy_reach_every_worker(redis_server: RedisServer) -> None:
    heard: list[list[Notice]] = [[], []]
    async with contextlib.AsyncExitStack() as stack:
        states = []
        for notices in heard:
            state = RedisState(redis_server.url, Ledger(), worker_id="w", timeout=5.0)
            state.subscribe(notices.append)
            await state.start()
            stack.push_async_callback(state.close)
            states.append(state)
        one, two = states
        for notices in heard:
            assert notices == [
                Notice("key", "*"),
                Notice("models", "*"),
            ]  # notices may have been missed before
            notices.clear()
        await one.block("k 1")
        one.publish(Notice("strategy", "knn"))
        one.publish(Notice("breaker", "me/small-1=OPEN"))
        one.publish(Notice("key", "team:t"))
        await until(lambda: len(heard[1]) == 4)
        assert heard[0] == heard[1]
        assert two.is_blocked("k 1")
        assert two.active_strategy() == "knn"  # H1
        await two.unblock("k 1")
        await until(lambda: not one.is_blocked("k 1"))


@pytest.mark.e2e
async def test_a_notice_from_elsewhere_is_taken_and_nonsense_is_not(redis_server: RedisServer) -> None:
    async with worker(redis_server) as state:
        for message in ("", "x", "no kind", "spend never key:a", "key", "strategy knn"):
            redis_server.cli("PUBLISH", "routeiq:notices", message)
        await until(lambda: state.active_strategy() == "knn")
        assert not state.degraded


@pytest.mark.e2e
async def test_a_worker_that_comes_later_takes_the_snapshots(redis_server: RedisServer) -> None:
    async with worker(redis_server) as one:
        await one.block("k1")
        one.publish(Notice("strategy", "knn"))
        one.publish(Notice("breaker", "me/small-1=OPEN"))
        one.publish(Notice("breaker", "me/small-2=OPEN"))
        one.publish(Notice("breaker", "me/small-2=CLOSED"))
        await settled(one)
        two, heard = RedisState(redis_server.url, Ledger(), worker_id="late", timeout=5.0), list[Notice]()
        two.subscribe(heard.append)
        await two.start()
        assert two.is_blocked("k1")
        assert two.active_strategy() == "knn"
        assert heard == [
            Notice("key", "*"),
            Notice("models", "*"),
            Notice("breaker", "me/small-1=OPEN"),
        ]  # H4
        await two.close()
    assert redis_server.cli("HGET", "routeiq:cb:small-1", "state") == "OPEN"
    assert redis_server.cli("ZCARD", "routeiq:workers") == "0"


@pytest.mark.e2e
async def test_a_conversation_is_recalled_by_another_worker(redis_server: RedisServer) -> None:
    async with workers(redis_server, 2) as (one, two):
        one.remember("c", "small\nsmall-1", seconds=60)
        await settled(one)
        assert await two.recall("c") == "small\nsmall-1"  # H5, D8
        assert await two.recall("other") is None


# ---- faults


@pytest.mark.e2e
async def test_scripts_that_redis_forgot_are_loaded_again(redis_server: RedisServer) -> None:
    scope = Scope("key:a", rpm=9, parallel=1)
    async with worker(redis_server) as state:
        grant = granted(await state.admit(call(1, scope)))
        redis_server.cli("SCRIPT", "FLUSH")
        state.settle(Settlement(grant, 1, 1))
        await settled(state)
        await settled(state)
        redis_server.cli("SCRIPT", "FLUSH")
        verdict = await state.admit(call(2, scope))
        assert not granted(verdict).local
        assert verdict.standings[0].remaining_requests == 7
        assert not state.degraded


@pytest.mark.e2e
async def test_without_redis_a_worker_starts_and_admits_alone() -> None:
    with running_redis() as redis_server:
        pass
    async with worker(redis_server, timeout=0.05) as state:
        assert state.degraded
        verdict = await state.admit(call(1, Scope("key:a", rpm=2)))
        assert granted(verdict).local
        assert await state.recall("c") is None
        await state.block("k1")
        assert state.is_blocked("k1")


@pytest.mark.e2e
async def test_a_killed_redis_costs_limits_their_sharing_and_nothing_else(mortal_redis: RedisServer) -> None:
    ledger = Ledger()
    ledger.spent = {("key:a", 0): 500}
    scope = Scope("key:a", rpm=4, budget=1000)
    async with worker(mortal_redis, ledger) as one, worker(mortal_redis, ledger) as two:
        await one._beat(_wire(one))  # sees two workers
        before = granted(await one.admit(call("before", scope, cost=100)))
        one.remember("c", "small", seconds=60)
        await settled(one)
        mortal_redis.kill()
        await until(lambda: one.degraded and two.degraded)
        # Its share of four requests is two; spend goes on from what was last known.
        grants = [await one.admit(call(number, scope)) for number in range(3)]
        assert [v.grant.local if v.grant else v.refusal.kind if v.refusal else "" for v in grants] == [
            True, True, "requests",
        ]  # fmt: skip
        one.settle(Settlement(before, 1, 100))
        one.settle(Settlement(granted(grants[0]), 1, 300))
        closed = Scope("key:b", budget=10, fail_closed=True)
        assert (await one.admit(call("closed", closed))).refusal == Refusal("key:b", "unknown", 0, 5.0)
        one.publish(Notice("strategy", "knn"))
        one.remember("d", "large", seconds=60)
        mortal_redis.start()
        await until(lambda: not one.degraded and not two.degraded)
        # Redis has lost everything: what this worker knows is more than what the ledger was told.
        granted(await one.admit(call("after", scope, cost=1)))
        await settled(one)
        assert mortal_redis.cli("HGET", "routeiq:spend:key:a:0", "amount") == "900"
        await until(lambda: two.active_strategy() == "knn")
        assert await two.recall("d") == "large"
        one.settle(Settlement(granted(grants[1]), 1, 50))  # began alone, ends when Redis is back
        await one._beat(_wire(one))
        await settled(one)
        assert mortal_redis.cli("HGET", "routeiq:spend:key:a:0", "amount") == "950"


@pytest.mark.e2e
async def test_after_a_frozen_redis_shared_spend_is_right(mortal_redis: RedisServer) -> None:
    ledger, scope = Ledger(), Scope("key:a", parallel=5, budget=1000)
    async with worker(mortal_redis, ledger, timeout=0.05) as state:
        before = granted(await state.admit(call("before", scope)))
        state.settle(Settlement(granted(await state.admit(call("zero", scope))), 1, 7))
        await settled(state)
        mortal_redis.freeze()
        # Redis has this question in its buffer: it will grant it, to nobody.
        verdict = await state.admit(call("asked", scope))
        assert state.degraded
        state.settle(Settlement(granted(verdict), 1, 20))
        state.settle(Settlement(before, 1, 100))
        mortal_redis.thaw()
        await until(lambda: not state.degraded)
        await settled(state)
    assert mortal_redis.cli("HGET", "routeiq:spend:key:a:0", "amount") == "127"
    assert mortal_redis.cli("HGET", "routeiq:limit:key:a", "reserved") == "0"
    assert mortal_redis.cli("ZCARD", "routeiq:limit:key:a:leases") == "0"


@pytest.mark.e2e
async def test_no_call_waits_for_a_redis_known_to_be_away(mortal_redis: RedisServer) -> None:
    async with worker(mortal_redis, timeout=0.05) as state:
        mortal_redis.freeze()
        await state.admit(call("first", Scope("key:a", rpm=999)))
        assert state.degraded
        calls = [state.admit(call(number, Scope("key:a", rpm=999))) for number in range(100)]
        for waiting in calls:
            with pytest.raises(StopIteration):  # answers without once waiting
                waiting.send(None)


@pytest.mark.e2e
async def test_a_redis_that_takes_no_writes_is_away(mortal_redis: RedisServer) -> None:
    async with worker(mortal_redis) as state:
        mortal_redis.cli("CONFIG", "SET", "maxmemory", "1")
        assert granted(await state.admit(call(1, Scope("key:a", rpm=9)))).local
        assert state.degraded
        mortal_redis.cli("CONFIG", "SET", "maxmemory", "0")
        await until(lambda: not state.degraded)
        assert not granted(await state.admit(call(2, Scope("key:a", rpm=9)))).local


@pytest.mark.e2e
async def test_a_settlement_whose_lease_is_lost_is_left_to_the_ledger(redis_server: RedisServer) -> None:
    clock, ledger, scope = Clock(), Ledger(), Scope("key:a", budget=1000)
    async with worker(redis_server, ledger, clock=clock) as state:
        lost = granted(await state.admit(call(1, scope)))
        redis_server.cli("FLUSHALL")
        granted(await state.admit(call(2, scope)))
        state.settle(Settlement(lost, 1, 70))
        await settled(state)
        assert redis_server.cli("HGET", "routeiq:spend:key:a:0", "amount") == "0"
        ledger.spent = {("key:a", 0): 70}
        clock.now += 10.0
        await state._beat(_wire(state))
    assert redis_server.cli("HGET", "routeiq:spend:key:a:0", "amount") == "70"


@pytest.mark.e2e
async def test_a_password_is_given_and_a_wrong_one_counts_as_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with running_redis("--requirepass", "p%40ss") as redis_server:
        for password, degraded in (("p%2540ss", False), ("wrong-secret", True)):
            url = f"redis://:{password}@127.0.0.1:{redis_server.port}/3"
            state = RedisState(url, Ledger(), worker_id="w")
            await state.start()
            assert state.degraded is degraded
            await state.close()
    assert "wrong-secret" not in caplog.text  # I8


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://h", "REDIS_URL is not"),
        ("redis://", "REDIS_URL is not"),
        ("redis://h:99999", "REDIS_URL is not"),
        ("redis://h/cache", "not a number"),
        ("redis://h?socket_timeout=5", "unknown options: socket_timeout"),
        ("rediss://h?ssl_ca_certs=/nowhere.pem", "certificate that cannot be read"),
    ],
)
def test_a_wrong_address_is_named_without_its_password(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_address(url.replace("://h", "://:secret@h"))


def test_an_address_is_read_as_it_is_written() -> None:
    address = read_address("redis://ann:p%40ss@redis.internal:6380/2")
    assert (address.host, address.port, address.database) == ("redis.internal", 6380, 2)
    assert (address.username, address.password, address.tls) == ("ann", "p@ss", None)
    assert read_address("rediss://redis.internal").tls is not None


def _wire(state: RedisState) -> Any:
    wire = state._session.wire
    assert wire is not None
    return wire
