"""Shared state while workers die, callers leave, and Redis dies, stalls or refuses: limits hold, nothing is lost."""

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.appliance.redis_server import RedisServer

from routeiq_appliance.state.shared.interface import (
    Admission,
    Grant,
    Notice,
    Refusal,
    Scope,
    Settlement,
    Verdict,
)
from routeiq_appliance.state.shared.redis import RedisState

_NUMBERS = itertools.count(1)


class Ledger:
    """What the ledger was told, by (scope, period)."""

    def __init__(self, **spent: int) -> None:
        self.spent = {(name.replace("_", ":"), 0): amount for name, amount in spent.items()}

    async def __call__(self, pairs: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], int]:
        await asyncio.sleep(0)
        return {pair: self.spent[pair] for pair in pairs if pair in self.spent}


class Clock:
    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


class SlowRelay:
    """Between a worker and Redis; while `hold` is set it passes nothing on in either direction, and loses nothing."""

    def __init__(self, redis_server: RedisServer) -> None:
        self._server = redis_server
        self._free = asyncio.Event()
        self._free.set()
        self._listener: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""
        self.connections = 0

    async def start(self) -> None:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"

    def hold(self) -> None:
        self._free.clear()

    def let_go(self) -> None:
        self._free.set()

    async def close(self) -> None:
        assert self._listener is not None
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there, back = await asyncio.open_connection("127.0.0.1", self._server.port)
        for source, target in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._pass(source, target))
            self._tasks.add(task)

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                await self._free.wait()
                target.write(data)
        except OSError:
            pass
        finally:
            target.close()


@pytest.fixture
async def relay(redis_server: RedisServer) -> AsyncIterator[SlowRelay]:
    relay = SlowRelay(redis_server)
    await relay.start()
    yield relay
    await relay.close()


@asynccontextmanager
async def worker(url: str, ledger: Ledger | None = None, **options: Any) -> AsyncIterator[RedisState]:
    # Long enough for a loaded machine: no test waits for it, except those that say so.
    options.setdefault("timeout", 5.0)
    state = RedisState(url, ledger or Ledger(), worker_id=f"w{next(_NUMBERS)}", **options)
    await state.start()
    try:
        yield state
    finally:
        await state.close()


@asynccontextmanager
async def workers(
    url: str, count: int, ledger: Ledger | None = None, **options: Any
) -> AsyncIterator[list[RedisState]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(worker(url, ledger, **options)) for _ in range(count)]


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


async def settled(*states: RedisState) -> None:
    """Wait until Redis has all that was sent."""
    for state in states:
        await state._tell([])


def spent(redis_server: RedisServer, name: str) -> int:
    return int(redis_server.cli("HGET", f"routeiq:spend:{name}:0", "amount") or 0)


# ---- limits over workers (C7, H10)


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("scope", "allowed", "kind"),
    [
        (Scope("key:a", rpm=50), 50, "requests"),
        (Scope("key:a", parallel=7), 7, "parallel"),
        (Scope("key:a", budget=1000), 10, "budget"),  # at 0, 100, … 900 reserved
        (Scope("key:a", tpm=400), 40, "tokens"),
        (Scope("key:a", rpm=50, tpm=10_000, parallel=7, budget=10_000), 7, "parallel"),
    ],
)
async def test_two_hundred_concurrent_calls_over_four_workers_get_exactly_what_is_allowed(
    redis_server: RedisServer, scope: Scope, allowed: int, kind: str
) -> None:
    async with workers(redis_server.url, 4) as states:
        verdicts = await asyncio.gather(
            *(states[number % 4].admit(call(number, scope, cost=100)) for number in range(200))
        )
    assert sum(verdict.grant is not None for verdict in verdicts) == allowed
    assert {verdict.refusal.kind for verdict in verdicts if verdict.refusal} == {kind}


@pytest.mark.e2e
async def test_slots_are_never_oversold_while_calls_come_and_go_over_workers(
    redis_server: RedisServer,
) -> None:
    scope, running, most = Scope("team:t", parallel=7), 0, 0
    answered: Counter[str] = Counter()

    async def caller(state: RedisState, number: int) -> None:
        nonlocal running, most
        for turn in range(20):
            verdict = await state.admit(call(f"{number}.{turn}", scope))
            if verdict.grant is None:
                answered["refused"] += 1
                continue
            answered["granted"] += 1
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1
            state.settle(Settlement(verdict.grant, 10, 1))

    async with workers(redis_server.url, 4) as states:
        await asyncio.gather(*(caller(states[number % 4], number) for number in range(40)))
        await settled(*states)
        assert redis_server.cli("ZCARD", "routeiq:limit:team:t:leases") == "0"
    assert most <= 7
    assert answered["granted"] + answered["refused"] == 800
    assert answered["granted"] >= 7


_CALLS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(1, 100), st.integers(0, 100), st.booleans()),
    min_size=1,
    max_size=40,
)


@pytest.mark.e2e
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=_CALLS, budget=st.integers(1, 400))
def test_a_budget_is_never_overspent_by_more_than_one_estimate(
    shared_redis: RedisServer, calls: list[tuple[int, int, int, bool]], budget: int
) -> None:
    asyncio.run(_spend(shared_redis, calls, budget))


async def _spend(redis_server: RedisServer, calls: list[tuple[int, int, int, bool]], budget: int) -> None:
    """Each call: its worker, its estimate, the part of it that is used in percent, whether it is settled at once."""
    name = f"key:{next(_NUMBERS)}"
    scope = Scope(name, budget=budget)
    async with workers(redis_server.url, 3) as states:
        kept: list[tuple[RedisState, Settlement]] = []

        async def one(number: int, spec: tuple[int, int, int, bool]) -> int:
            state, estimate = states[spec[0]], spec[1]
            verdict = await state.admit(call(f"{name}.{number}", scope, cost=estimate))
            if verdict.grant is None:
                return 0
            settlement = Settlement(verdict.grant, 1, estimate * spec[2] // 100)
            if spec[3]:
                state.settle(settlement)
            else:
                kept.append((state, settlement))
            return settlement.cost

        costs = await asyncio.gather(*(one(number, spec) for number, spec in enumerate(calls)))
        for state, settlement in kept:
            state.settle(settlement)
        await settled(*states)
    dearest = max(estimate for _, estimate, _, _ in calls)
    assert sum(costs) < budget + dearest
    assert spent(redis_server, name) == sum(costs)


@pytest.mark.e2e
async def test_the_leases_of_a_dead_worker_end_by_themselves(redis_server: RedisServer) -> None:
    clock, scope = Clock(), Scope("key:a", parallel=2, tpm=1000, budget=1000)
    async with worker(redis_server.url, clock=clock) as alive:
        async with worker(redis_server.url, clock=clock) as dead:
            for number in range(2):
                granted(await dead.admit(call(number, scope, tokens=400, cost=400, lease=30.0)))
            _wire(dead).abort()  # says nothing more
        assert (await alive.admit(call("early", scope))).refusal == Refusal("key:a", "parallel", 2, 1.0)
        clock.now += 30.0
        verdict = await alive.admit(call("late", scope))
        granted(verdict)
        # The window goes on, and what the dead worker had reserved of it is free again.
        assert verdict.standings[0].remaining_tokens == 990
    assert redis_server.cli("HGET", "routeiq:limit:key:a", "reserved") == "10"


@pytest.mark.e2e
async def test_a_worker_that_died_leaves_the_count_of_those_that_share(redis_server: RedisServer) -> None:
    clock = Clock()
    async with worker(redis_server.url, clock=clock) as alive:
        async with worker(redis_server.url, clock=clock) as dead:
            _wire(dead).abort()
            assert redis_server.cli("ZCARD", "routeiq:workers") == "2"
        clock.now += 10.0
        await alive._beat(_wire(alive))
        assert redis_server.cli("ZCARD", "routeiq:workers") == "1"


# ---- callers who leave


@pytest.mark.e2e
@pytest.mark.parametrize("turns", range(6))
async def test_a_caller_who_leaves_at_any_moment_of_an_admission_holds_no_slot(
    redis_server: RedisServer, turns: int
) -> None:
    scope = Scope("key:a", parallel=1, budget=1000)
    async with worker(redis_server.url) as state:
        leaving = asyncio.create_task(state.admit(call(1, scope)))
        for _ in range(turns):
            await asyncio.sleep(0)
        leaving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            state.settle(Settlement(granted(await leaving), 0, 0))
        await settled(state)
        assert granted(await state.admit(call(2, scope)))


@pytest.mark.e2e
async def test_a_caller_who_leaves_in_the_moment_that_the_answer_comes_holds_no_slot(
    redis_server: RedisServer,
) -> None:
    scope = Scope("key:a", parallel=1)
    async with worker(redis_server.url) as state:
        leaving = asyncio.create_task(state.admit(call(1, scope)))
        await asyncio.sleep(0)
        # Redis answers in order: by this answer, the admission's has come, and its task has not run yet.
        came = asyncio.get_running_loop().create_future()
        _wire(state).send(("PING",), lambda _: (leaving.cancel(), came.set_result(None)))
        await came
        with contextlib.suppress(asyncio.CancelledError):
            await leaving
        assert leaving.cancelled()
        await settled(state)
        granted(await state.admit(call(2, scope)))


# ---- outages (G3)


@pytest.mark.e2e
async def test_redis_killed_under_load_fails_no_call_and_loses_no_spend(mortal_redis: RedisServer) -> None:
    ledger = Ledger(team_t=1_000)
    scope = Scope("team:t", rpm=1_000_000, parallel=1_000, budget=10**9)
    stop = asyncio.Event()
    costs = itertools.count(1)
    total = 0
    local = Counter[bool]()

    async def caller(state: RedisState) -> None:
        nonlocal total
        while not stop.is_set():
            grant = granted(await state.admit(call(next(_NUMBERS), scope)))
            local[grant.local] += 1
            await asyncio.sleep(0.001)
            cost = next(costs) % 9
            total += cost
            state.settle(Settlement(grant, 10, cost))
            await asyncio.sleep(0.002)  # the ledger lags
            ledger.spent["team:t", 0] += cost

    async with workers(mortal_redis.url, 3, ledger) as states:
        callers = [asyncio.create_task(caller(states[number % 3])) for number in range(30)]
        await until(lambda: local[False] > 200)
        mortal_redis.kill()
        await until(lambda: all(state.degraded for state in states) and local[True] > 200)
        mortal_redis.start()
        await until(lambda: not any(state.degraded for state in states))
        shared = local[False]
        await until(lambda: local[False] > shared + 200)
        stop.set()
        await asyncio.gather(*callers)  # no exception
        await settled(*states)
        for state in states:
            state._limits.pay(_wire(state))
        await settled(*states)
        known = spent(mortal_redis, "team:t")
        # What was settled twice would be more; what is missing is compared with the ledger some seconds later.
        assert known <= 1_000 + total
        doubtful = states[0]._limits._backlog
        doubtful.doubt([("team:t", 0)], -60.0)
        await states[0]._beat(_wire(states[0]))
        assert spent(mortal_redis, "team:t") == 1_000 + total
        assert mortal_redis.cli("ZCARD", "routeiq:limit:team:t:leases") == "0"


@pytest.mark.e2e
async def test_what_is_settled_in_an_outage_is_told_once_after_many_returns(
    mortal_redis: RedisServer,
) -> None:
    scope = Scope("key:a", parallel=9, budget=10_000)
    async with worker(mortal_redis.url) as state:
        grants = [granted(await state.admit(call(number, scope))) for number in range(3)]
        for number, grant in enumerate(grants):
            _wire(state).abort()
            assert state.degraded
            state.settle(Settlement(grant, 1, 100))
            alone = granted(await state.admit(call(f"alone-{number}", scope)))
            state.settle(Settlement(alone, 1, 10))
            await until(lambda: not state.degraded)
        await settled(state)
        await state._beat(_wire(state))
        await settled(state)
        assert not state._limits._backlog.settlements
        assert not state._limits._backlog.debts
    assert spent(mortal_redis, "key:a") == 330
    assert mortal_redis.cli("HGET", "routeiq:limit:key:a", "reserved") == "0"


@pytest.mark.e2e
async def test_what_was_spent_alone_is_not_added_to_what_the_ledger_says_of_it_already(
    redis_server: RedisServer,
) -> None:
    clock, ledger, scope = Clock(), Ledger(key_a=0), Scope("key:a", budget=10_000)
    async with (
        worker(redis_server.url, ledger, clock=clock) as one,
        worker(redis_server.url, ledger, clock=clock) as two,
    ):
        _wire(one).abort()
        alone = granted(await one.admit(call("alone", scope)))
        assert alone.local
        await until(lambda: not one.degraded)
        clock.now += 1.0
        one.settle(Settlement(alone, 1, 100))
        ledger.spent["key:a", 0] = 100
        clock.now += 1.0
        granted(await two.admit(call("seeds", scope)))
        clock.now += 1.0
        granted(await one.admit(call("hears of Redis", scope)))
        await one._beat(_wire(one))
        await settled(one)
    assert spent(redis_server, "key:a") == 100


@pytest.mark.e2e
async def test_a_call_that_fails_closed_is_refused_while_redis_is_away_and_then_admitted(
    mortal_redis: RedisServer,
) -> None:
    scope = Scope("key:a", rpm=100, fail_closed=True)
    async with worker(mortal_redis.url) as state:
        granted(await state.admit(call(1, scope)))
        mortal_redis.kill()
        await until(lambda: state.degraded)
        assert (await state.admit(call(2, scope))).refusal == Refusal("key:a", "unknown", 0, 5.0)
        mortal_redis.start()
        await until(lambda: not state.degraded)
        granted(await state.admit(call(3, scope)))


@pytest.mark.e2e
async def test_a_redis_that_does_not_answer_in_time_is_away_until_it_does(
    redis_server: RedisServer, relay: SlowRelay
) -> None:
    scope = Scope("key:a", parallel=3)
    async with worker(relay.url, timeout=0.05) as state:
        granted(await state.admit(call(1, scope)))
        relay.hold()
        verdicts = await asyncio.gather(*(state.admit(call(f"slow-{number}", scope)) for number in range(2)))
        assert all(granted(verdict).local for verdict in verdicts)
        assert state.degraded
        relay.let_go()
        await until(lambda: not state.degraded)
        await settled(state)
        # What Redis granted to nobody was given back: one of three slots is held.
        assert redis_server.cli("ZRANGE", "routeiq:limit:key:a:leases", "0", "-1") == "call-1"
        assert not granted(await state.admit(call(2, scope))).local


@pytest.mark.e2e
async def test_workers_do_not_storm_a_redis_that_hangs(redis_server: RedisServer, relay: SlowRelay) -> None:
    async with worker(relay.url, timeout=0.02) as state:
        relay.hold()
        before = relay.connections
        await state.admit(call("first", Scope("key:a", rpm=99_999)))
        for number in range(500):
            await state.admit(call(number, Scope("key:a", rpm=99_999)))
        await asyncio.sleep(0)
        assert relay.connections - before <= 2  # one task tries, not the calls


@pytest.mark.e2e
async def test_a_replica_that_takes_no_writes_is_away_until_it_is_primary(mortal_redis: RedisServer) -> None:
    scope = Scope("key:a", rpm=9)
    async with worker(mortal_redis.url) as state:
        granted(await state.admit(call(1, scope)))
        mortal_redis.cli("REPLICAOF", "127.0.0.1", "1")
        assert granted(await state.admit(call(2, scope))).local
        assert state.degraded
        mortal_redis.cli("REPLICAOF", "NO", "ONE")
        await until(lambda: not state.degraded)
        assert not granted(await state.admit(call(3, scope))).local


@pytest.mark.e2e
async def test_full_memory_under_load_fails_no_call(mortal_redis: RedisServer) -> None:
    scope = Scope("key:a", rpm=10_000, parallel=10_000, budget=10**9)
    async with workers(mortal_redis.url, 2) as states:
        before = [granted(await state.admit(call(next(_NUMBERS), scope))) for state in states]
        mortal_redis.cli("CONFIG", "SET", "maxmemory", "1")
        for state, grant in zip(states, before, strict=True):
            state.settle(Settlement(grant, 1, 100))
            verdicts = await asyncio.gather(
                *(state.admit(call(next(_NUMBERS), scope)) for _ in range(50)), return_exceptions=True
            )
            assert all(isinstance(verdict, Verdict) and verdict.grant for verdict in verdicts)
        mortal_redis.cli("CONFIG", "SET", "maxmemory", "0")
        await until(lambda: not any(state.degraded for state in states))
        await settled(*states)
        assert spent(mortal_redis, "key:a") == 200


@pytest.mark.e2e
async def test_forgotten_scripts_under_load_cost_no_call_its_shared_limits(redis_server: RedisServer) -> None:
    scope = Scope("key:a", rpm=120)
    async with workers(redis_server.url, 2) as states:
        asked = [asyncio.create_task(states[number % 2].admit(call(number, scope))) for number in range(100)]
        redis_server.cli("SCRIPT", "FLUSH")
        verdicts = await asyncio.gather(*asked)
        assert all(not granted(verdict).local for verdict in verdicts)
        more = await asyncio.gather(*(states[0].admit(call(f"more-{number}", scope)) for number in range(50)))
        assert sum(verdict.grant is not None for verdict in more) == 20  # each counted once
        assert not any(state.degraded for state in states)


# ---- what workers tell each other, through outages


@pytest.mark.e2e
async def test_a_blocked_key_stays_blocked_when_redis_comes_back_empty(mortal_redis: RedisServer) -> None:
    async with workers(mortal_redis.url, 2) as (one, two):
        await one.block("k1")
        await one.block("k2")
        await one.unblock("k2")
        await until(lambda: two.is_blocked("k1") and not two.is_blocked("k2"))
        mortal_redis.kill()
        await until(lambda: one.degraded and two.degraded)
        assert two.is_blocked("k1")
        mortal_redis.start()
        await until(lambda: not one.degraded and not two.degraded)
        assert one.is_blocked("k1")
        assert two.is_blocked("k1")
        assert not two.is_blocked("k2")
        async with worker(mortal_redis.url) as late:
            assert late.is_blocked("k1")


@pytest.mark.e2e
async def test_a_key_unblocked_while_a_worker_was_cut_off_is_free_there_too(
    redis_server: RedisServer,
) -> None:
    async with workers(redis_server.url, 2) as (one, two):
        await one.block("k1")
        await until(lambda: two.is_blocked("k1"))
        _wire(two).abort()
        await one.unblock("k1")
        await until(lambda: not two.degraded)
        assert not two.is_blocked("k1")


@pytest.mark.e2e
async def test_keys_blocked_over_any_worker_are_cut_off_at_all(redis_server: RedisServer) -> None:
    async with workers(redis_server.url, 4) as states:
        for number, state in enumerate(states):
            await state.block(f"k{number}")
            assert state.is_blocked(f"k{number}")
        await until(lambda: all(state.is_blocked(f"k{n}") for state in states for n in range(4)))


@pytest.mark.e2e
async def test_a_strategy_that_is_set_reaches_workers_in_a_second_and_survives_a_reconnect(
    redis_server: RedisServer,
) -> None:  # H1, D1
    async with workers(redis_server.url, 4) as states:
        states[0].publish(Notice("strategy", "least-busy"))
        async with asyncio.timeout(1):
            await until(lambda: all(state.active_strategy() == "least-busy" for state in states))
        _wire(states[1]).abort()
        await until(lambda: not states[1].degraded)
        assert states[1].active_strategy() == "least-busy"


@pytest.mark.e2e
async def test_a_conversation_remembered_while_the_connection_ends_is_not_lost(
    redis_server: RedisServer,
) -> None:
    async with worker(redis_server.url) as state:  # H5
        state.remember("c", "small\nsmall-1", seconds=60)
        _wire(state).abort()
        assert await state.recall("c") == "small\nsmall-1"
        await until(lambda: not state.degraded)
        await settled(state)
        assert await state.recall("c") == "small\nsmall-1"
    assert 0 < int(redis_server.cli("TTL", "routeiq:affinity:c")) <= 60


# ---- nothing is left


@pytest.mark.e2e
@pytest.mark.parametrize("away", [False, True], ids=["connected", "away"])
async def test_a_closed_state_leaves_no_task_timer_or_connection(
    mortal_redis: RedisServer, away: bool
) -> None:
    before = asyncio.all_tasks()
    state = RedisState(mortal_redis.url, Ledger(), worker_id="w", timeout=5.0)
    await state.start()
    state.settle(Settlement(granted(await state.admit(call(1, Scope("key:a", rpm=9)))), 1, 1))
    if away:
        mortal_redis.kill()
        await until(lambda: state.degraded)
    await state.close()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    if not away:
        clients = mortal_redis.cli("CLIENT", "LIST")
        assert "name=routeiq" not in clients


async def test_closing_what_never_started_or_twice_is_no_error() -> None:
    state = RedisState("redis://127.0.0.1:1", Ledger(), worker_id="w", timeout=0.05)
    await state.close()
    await state.start()
    assert state.degraded
    await state.close()
    await state.close()


def _wire(state: RedisState) -> Any:
    wire = state._session.wire
    assert wire is not None
    return wire
