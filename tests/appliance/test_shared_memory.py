import asyncio
from collections.abc import Mapping, Sequence

import pytest

from routeiq_appliance.errors import StateError
from routeiq_appliance.state.shared import limits
from routeiq_appliance.state.shared.interface import (
    Admission,
    Grant,
    Notice,
    Refusal,
    Scope,
    Settlement,
    Standing,
    Verdict,
)
from routeiq_appliance.state.shared.memory import MemoryState
from routeiq_appliance.state.shared.outage import Outage, share_of
from routeiq_appliance.state.shared.spending import Spending


class Ledger:
    """Says what was spent, counts the questions, and can be away."""

    def __init__(self, **spent: int) -> None:
        self.spent = {(name.replace("_", ":"), 0): amount for name, amount in spent.items()}
        self.asked: list[list[tuple[str, int]]] = []
        self.away = False

    async def __call__(self, pairs: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], int]:
        self.asked.append(list(pairs))
        await asyncio.sleep(0)
        if self.away:
            raise StateError("the ledger does not answer")
        return {pair: self.spent[pair] for pair in pairs if pair in self.spent}


class Clock:
    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


def call(number: int, *scopes: Scope, tokens: int = 10, cost: int = 10, lease: float = 600.0) -> Admission:
    return Admission(f"call-{number}", scopes, tokens, cost, lease)


def granted(verdict: Verdict) -> Grant:
    assert verdict.refusal is None
    assert verdict.grant is not None
    return verdict.grant


async def test_without_limits_nothing_is_kept_or_asked() -> None:
    ledger = Ledger()
    state = MemoryState(ledger)
    verdict = await state.admit(call(1, Scope("key:a"), Scope("team:t")))
    state.settle(Settlement(granted(verdict), 10, 10))
    assert verdict.standings == ()
    assert not state._limits._scopes
    assert not ledger.asked


async def test_all_scopes_admit_or_none_counts() -> None:
    state = MemoryState(Ledger(), clock=Clock())
    key, team = Scope("key:a", rpm=10), Scope("team:t", rpm=1)
    granted(await state.admit(call(1, key, team)))
    refused = await state.admit(call(2, key, team))
    assert refused == Verdict(None, Refusal("team:t", "requests", 1, 60.0), ())
    verdict = await state.admit(call(3, key))
    assert verdict.standings == (Standing("key:a", 8, None, 60.0),)


async def test_unknown_spend_is_read_once_before_the_decision() -> None:
    ledger = Ledger(key_a=95)
    state = MemoryState(ledger, clock=Clock())
    scope = Scope("key:a", budget=100)
    grant = granted(await state.admit(call(1, scope)))
    assert (await state.admit(call(2, scope))).refusal == Refusal("key:a", "budget", 100, None)
    state.settle(Settlement(grant, 1, 2))
    granted(await state.admit(call(3, scope)))  # 97 spent, nothing reserved
    assert ledger.asked == [[("key:a", 0)]]


async def test_a_budget_is_overshot_by_one_estimate_under_concurrency() -> None:
    state = MemoryState(Ledger(key_a=50), clock=Clock())
    scope = Scope("key:a", budget=100)
    verdicts = await asyncio.gather(*(state.admit(call(i, scope, cost=20)) for i in range(30)))
    assert sum(v.grant is not None for v in verdicts) == 3  # at 50, 70 and 90


async def test_a_new_period_is_read_apart_and_the_old_one_goes_on() -> None:
    ledger = Ledger(key_a=100)
    state = MemoryState(ledger, clock=Clock())
    old, new = Scope("key:a", budget=100), Scope("key:a", budget=100, period=86_400)
    assert (await state.admit(call(1, old))).refusal is not None
    grant = granted(await state.admit(call(2, new)))
    assert (await state.admit(call(3, old))).refusal is not None
    state.settle(Settlement(grant, 1, 100))
    assert (await state.admit(call(4, new))).refusal is not None


async def test_a_released_budget_is_read_again() -> None:
    ledger = Ledger(key_a=100)
    state = MemoryState(ledger, clock=Clock())
    scope = Scope("key:a", budget=100)
    assert (await state.admit(call(1, scope))).refusal is not None
    ledger.spent.clear()
    await state.release_budget([("key:a", 0)])
    granted(await state.admit(call(2, scope)))


async def test_a_call_settled_twice_counts_once() -> None:
    state = MemoryState(Ledger(), clock=Clock())
    scope = Scope("key:a", budget=100)
    settlement = Settlement(granted(await state.admit(call(1, scope))), 1, 50)
    state.settle(settlement)
    state.settle(settlement)
    granted(await state.admit(call(2, scope, cost=49)))
    assert state._spending.at_least(("key:a", 0)) == 50


async def test_while_the_ledger_is_away_only_fail_closed_scopes_are_refused() -> None:
    ledger = Ledger()
    ledger.away = True
    state = MemoryState(ledger, clock=Clock())
    closed = await state.admit(call(1, Scope("key:b", budget=100, fail_closed=True)))
    assert closed.refusal == Refusal("key:b", "unknown", 0, 5.0)
    scope = Scope("key:a", budget=100)
    state.settle(Settlement(granted(await state.admit(call(2, scope))), 1, 100))
    # What was spent here is known all the same.
    assert (await state.admit(call(3, scope))).refusal == Refusal("key:a", "budget", 100, None)
    assert len(ledger.asked) == 1  # asked again after five seconds only


async def test_when_the_ledger_is_back_its_word_is_taken_unless_more_was_spent_here() -> None:
    ledger, seconds = Ledger(), Clock()
    ledger.away = True
    spending = Spending(ledger, clock=seconds)
    more, less = ("key:a", 0), ("key:b", 0)
    await spending.learn([more, less])
    spending.add(more, 70)
    spending.add(less, 70)
    ledger.away, ledger.spent = False, {more: 50, less: 90}
    seconds.now += 5.0
    assert spending.of(more) is None
    await spending.learn([more, less])
    assert (spending.of(more), spending.of(less)) == (70, 90)


async def test_a_ledger_that_hangs_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], int]:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr("routeiq_appliance.state.shared.spending._WAIT_SECONDS", 0.0)
    assert await Spending(never).ledger([("key:a", 0)]) is None


async def test_scopes_that_nobody_uses_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_MAX_SCOPES", 10)
    clock = Clock()
    state = MemoryState(Ledger(), clock=clock)
    held = granted(await state.admit(call(0, Scope("key:held", parallel=1))))
    for number in range(1, 200):
        clock.now += 20.0
        grant = granted(await state.admit(call(number, Scope(f"key:{number}", rpm=1))))
        state.settle(Settlement(grant, 1, 1))
    assert len(state._limits._scopes) <= 10
    assert held.admission.call_id in state._limits._scopes["key:held"].late


async def test_conversations_are_kept_for_their_time() -> None:
    clock = Clock()
    state = MemoryState(Ledger(), clock=clock)
    state.remember("c", "small", seconds=60)
    assert await state.recall("c") == "small"
    clock.now += 60.0
    assert await state.recall("c") is None


async def test_notices_blocks_and_strategy() -> None:
    state = MemoryState(Ledger())
    heard: list[Notice] = []
    state.subscribe(heard.append)
    await state.start()
    await state.block("k1")
    assert state.is_blocked("k1")
    await state.unblock("k1")
    assert not state.is_blocked("k1")
    state.publish(Notice("strategy", "knn"))
    assert state.active_strategy() == "knn"
    state.publish(Notice("strategy", ""))
    assert state.active_strategy() is None
    await state.close()
    assert [notice.kind for notice in heard] == ["key", "key", "strategy", "strategy"]
    assert not state.degraded


@pytest.mark.parametrize(("limit", "workers", "share"), [(100, 4, 25), (3, 4, 1), (0, 4, 0), (None, 4, None)])
def test_a_share_is_a_worker_s_part_and_at_least_one(
    limit: int | None, workers: int, share: int | None
) -> None:
    scope = share_of(Scope("k", limit, limit, limit, budget=7, period=3), workers)
    assert scope == Scope("k", share, share, share, budget=7, period=3)


async def test_in_an_outage_budgets_go_on_and_what_is_spent_is_owed_once() -> None:
    spending = Spending(Ledger())
    spending.note(("key:a", 0), 60)
    outage = Outage(spending, clock=Clock())
    scope = Scope("key:a", budget=100)
    grant = granted(await outage.admit(call(1, scope, cost=50), [scope]))
    assert grant.local
    assert (await outage.admit(call(2, scope), [scope])).refusal == Refusal("key:a", "budget", 100, None)
    outage.settle(Settlement(grant, 1, 30))
    outage.settle(Settlement(grant, 1, 30))
    assert dict(outage.owed) == {("key:a", 0): 30}
    assert spending.of(("key:a", 0)) == 90


async def test_in_an_outage_a_scope_that_fails_closed_refuses() -> None:
    outage = Outage(Spending(Ledger()), clock=Clock())
    scope = Scope("key:a", rpm=5, fail_closed=True)
    assert (await outage.admit(call(1, scope), [scope])).refusal == Refusal("key:a", "unknown", 0, 5.0)


async def test_the_most_workers_of_the_last_beats_share() -> None:
    outage = Outage(Spending(Ledger()), clock=Clock())
    for workers in (4, 1):  # a Redis that lost its data counts from one again
        outage.saw(workers)
    scope = Scope("key:a", rpm=8)
    verdicts = [await outage.admit(call(number, scope), [scope]) for number in range(8)]
    assert sum(verdict.grant is not None for verdict in verdicts) == 2
