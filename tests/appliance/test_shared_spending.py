"""What workers know of spend, whoever asks, leaves or resets at the same time, and when it is compared again."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeiq_appliance.errors import ConfigError, StateError
from routeiq_appliance.state.shared.backlog import Backlog
from routeiq_appliance.state.shared.interface import Admission, Scope
from routeiq_appliance.state.shared.memory import MemoryState
from routeiq_appliance.state.shared.spending import Spending
from routeiq_appliance.state.shared.wire import read_address

A = ("key:a", 0)


class Ledger:
    """Answers when `hold` is set."""

    def __init__(self, spent: int = 0) -> None:
        self.spent = spent
        self.asked = 0
        self.away = False
        self.hold = asyncio.Event()
        self.hold.set()

    async def __call__(self, pairs: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], int]:
        self.asked += 1
        spent = self.spent
        await self.hold.wait()
        if self.away:
            raise StateError("the ledger does not answer")
        return dict.fromkeys(pairs, spent)


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_many_calls_of_one_key_ask_the_ledger_once() -> None:
    ledger = Ledger(spent=40)
    ledger.hold.clear()
    state = MemoryState(ledger)
    scope = Scope("key:a", budget=100)
    calls = [
        asyncio.create_task(state.admit(Admission(f"c{number}", (scope,), 1, 20, 60.0)))
        for number in range(50)
    ]
    await turn()
    ledger.hold.set()
    verdicts = await asyncio.gather(*calls)
    assert ledger.asked == 1
    assert sum(verdict.grant is not None for verdict in verdicts) == 3  # at 40, 60 and 80


@pytest.mark.parametrize("leaving", [0, 1], ids=["the one who asked", "one who waits for the same answer"])
async def test_a_caller_who_leaves_takes_the_answer_from_nobody(leaving: int) -> None:
    ledger = Ledger(spent=40)
    ledger.hold.clear()
    spending = Spending(ledger)
    readers = [asyncio.create_task(spending.ledger([A])) for _ in range(3)]
    await turn()
    readers.pop(leaving).cancel()
    await turn()
    ledger.hold.set()
    assert await asyncio.gather(*readers) == [{A: 40}, {A: 40}]
    assert ledger.asked == 2 - leaving
    assert not spending._flights


async def test_a_ledger_that_is_away_is_away_for_all_who_asked() -> None:
    ledger = Ledger()
    ledger.away = True
    ledger.hold.clear()
    spending = Spending(ledger)
    readers = [asyncio.create_task(spending.ledger([A])) for _ in range(3)]
    await turn()
    ledger.hold.set()
    assert await asyncio.gather(*readers) == [None, None, None]
    assert ledger.asked == 1


async def test_an_answer_from_before_a_reset_is_not_kept() -> None:
    ledger = Ledger(spent=100)
    ledger.hold.clear()
    state = MemoryState(ledger)
    scope = Scope("key:a", budget=100)
    before = asyncio.create_task(state.admit(Admission("one", (scope,), 1, 1, 60.0)))
    await turn()
    ledger.spent = 0
    await state.release_budget([A])
    ledger.hold.set()
    assert (await before).grant is not None
    assert (await state.admit(Admission("two", (scope,), 1, 1, 60.0))).grant is not None
    assert state._spending.of(A) == 0


@given(st.lists(st.tuples(st.sampled_from(["doubt", "check", "wait"]), st.floats(0, 30)), max_size=30))
def test_what_is_doubtful_is_compared_soon_and_once_more_at_least_ten_seconds_after_the_last_doubt(
    steps: list[tuple[str, float]],
) -> None:
    backlog, now = Backlog("w"), 1000.0
    first: float | None = None  # doubt that was not compared yet
    last = now
    compared: list[float] = []
    for step, seconds in steps:
        if step == "doubt":
            backlog.doubt([A], now)
            first = now if first is None else first
            last, compared = now, []
        elif step == "wait":
            now += seconds
        else:
            due = backlog.due(now)
            # Doubts that go on and on do not put it off.
            if first is not None and now >= first + 10.0:
                assert due == [A]
            if due:
                backlog.checked(due, now)
                compared.append(now)
                first = None
    for _ in range(3):
        now += 70.0
        due = backlog.due(now)
        if due:
            backlog.checked(due, now)
            compared.append(now)
    assert not backlog.due(now + 1e6)
    assert last == 1000.0 or not any(step == "doubt" for step, _ in steps) or max(compared) >= last + 10.0


@pytest.mark.parametrize(
    "url", ["redis://:secret@a..b", "redis://:secret@[::1", "redis://:secret@h:port", f"redis://{'a' * 64}"]
)
def test_a_host_that_no_connection_can_name_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(ConfigError, match="REDIS_URL is not") as caught:
        read_address(url)
    assert "secret" not in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_a_wrong_one(text: str) -> None:
    for url in (text, f"redis://{text}", f"redis://h/{text}", f"redis://h?{text}"):
        try:
            address = read_address(url)
        except ConfigError:
            continue
        assert address.host
        assert 0 < address.port < 65_536
