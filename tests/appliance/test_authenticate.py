import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeiq_appliance.errors import CallError, StateError
from routeiq_appliance.limits import DEFAULT_LIMITS
from routeiq_appliance.pipeline.authenticate import Authenticator, Patience
from routeiq_appliance.pipeline.principal import principal_of
from routeiq_appliance.pipeline.types import ModelAllowance, Principal
from routeiq_appliance.state.keys import KeyStore
from routeiq_appliance.state.records import Allowance, Holder, KeyRecord, TeamRecord, UserRecord, period_end
from routeiq_appliance.state.shared.interface import Notice, Scope, SharedState

NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)
WALL = NOW.timestamp()
MASTER = "sk-master-key-of-the-tests"
KEY = KeyRecord("k1", "sk-...abcd", None, (), {}, NOW, None)
TEAM = TeamRecord("t", None, ("small",), {}, NOW)
USER = UserRecord("u", None, {}, NOW)


class ListedKeys:
    """Of `KeyStore`, what a look-up needs; away, slow or changed on demand."""

    def __init__(self) -> None:
        self.holders: dict[str, Holder] = {"sk-one": Holder(KEY)}
        self.away = False
        self.asked: list[str] = []
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def find(self, key: str) -> Holder | None:
        self.asked.append(key)
        self.entered.set()
        holder = self.holders.get(key)
        assert self.gate.wait(10)
        if self.away:
            raise StateError("the key store does not answer")
        return holder


class Notices:
    """Of `SharedState`, the block list and the notices."""

    def __init__(self) -> None:
        self.blocked: set[str] = set()
        self.tell: Callable[[Notice], None] = lambda _notice: None

    def subscribe(self, listener: Callable[[Notice], None]) -> None:
        self.tell = listener

    def is_blocked(self, key_id: str) -> bool:
        return key_id in self.blocked


class Bench:
    """An authenticator whose clocks the test turns."""

    def __init__(self, executor: ThreadPoolExecutor, patience: Patience) -> None:
        self.store, self.shared = ListedKeys(), Notices()
        self.passed = 0.0
        self.authenticator = Authenticator(
            cast("KeyStore", self.store),
            MASTER,
            executor,
            replace(DEFAULT_LIMITS, key_cache_entries=100),
            shared=cast("SharedState", self.shared),
            patience=patience,
            clock=lambda: 1000.0 + self.passed,
            wall=lambda: WALL + self.passed,
        )

    async def ask(self, key: str = "sk-one") -> Principal:
        return self.authenticator.cached(key) or await self.authenticator.authenticate(key)

    async def refused(self, key: str = "sk-one") -> tuple[int, str | None]:
        with pytest.raises(CallError) as caught:
            await self.ask(key)
        assert self.authenticator.cached(key) is None
        assert (caught.value.retry_after is not None) == (caught.value.status == 503)
        return caught.value.status, caught.value.code


@pytest.fixture
async def bench() -> AsyncGenerator[Bench, None]:
    with ThreadPoolExecutor(max_workers=2) as executor:
        made = Bench(executor, Patience())
        yield made
        made.store.gate.set()


async def test_a_key_is_asked_for_once_in_ten_seconds(bench: Bench) -> None:
    assert bench.authenticator.cached("sk-one") is None
    first = await bench.ask()
    bench.passed = 9.9
    assert bench.authenticator.cached("sk-one") is first
    assert await bench.ask() is first
    assert bench.store.asked == ["sk-one"]
    bench.passed = 10.1
    assert bench.authenticator.cached("sk-one") is None
    assert await bench.ask() == first
    assert bench.store.asked == ["sk-one"] * 2


async def test_the_master_key_needs_no_database(bench: Bench) -> None:
    bench.store.away = True
    assert (await bench.ask(MASTER)).is_admin
    assert bench.store.asked == []
    assert bench.authenticator.cached(None) is None
    for wrong in ("", "x" * 600, MASTER[:-1] + "\udcff"):
        bench.store.away = False
        assert await bench.refused(wrong) == (401, "invalid_api_key")


async def test_lookups_of_one_key_at_the_same_time_are_one_query(bench: Bench) -> None:
    bench.store.gate.clear()
    asking = [asyncio.create_task(bench.ask()) for _ in range(50)]
    await asyncio.sleep(0)
    bench.store.gate.set()
    found = await asyncio.gather(*asking)
    assert {principal.key_id for principal in found} == {"k1"}
    assert bench.store.asked == ["sk-one"]


async def test_a_notice_cuts_at_once(bench: Bench) -> None:  # C6
    holder = Holder(replace(KEY, team_id="a:b", user_id="u"))
    blocked = Holder(replace(KEY, allowance=Allowance(blocked=True)))
    for value in ("k1", "team:a:b", "user:u"):
        bench.store.holders["sk-one"] = holder
        bench.shared.tell(Notice("key", "k1"))
        await bench.ask()
        bench.store.holders["sk-one"] = blocked
        for other in (Notice("key", "k2"), Notice("key", "team:u"), Notice("strategy", "k1")):
            bench.shared.tell(other)
            assert await bench.ask()
        bench.shared.tell(Notice("key", value))
        assert await bench.refused() == (401, "key_blocked")


async def test_what_was_read_before_a_notice_is_not_remembered(bench: Bench) -> None:
    bench.store.gate.clear()
    asking = asyncio.create_task(bench.ask())
    await asyncio.to_thread(bench.store.entered.wait, 10)
    bench.store.holders["sk-one"] = Holder(replace(KEY, allowance=Allowance(blocked=True)))
    bench.shared.tell(Notice("key", "k1"))
    bench.store.gate.set()
    assert (await asking).key_id == "k1"
    assert await bench.refused() == (401, "key_blocked")


async def test_the_block_list_is_asked_on_every_call(bench: Bench) -> None:
    await bench.ask()
    bench.shared.blocked.add("k1")
    assert await bench.refused() == (401, "key_blocked")
    bench.shared.blocked.clear()
    assert (await bench.ask()).key_id == "k1"


@pytest.mark.parametrize(
    ("holder", "code"),
    [
        (Holder(replace(KEY, allowance=Allowance(blocked=True))), "key_blocked"),
        (Holder(replace(KEY, team_id="t"), replace(TEAM, allowance=Allowance(blocked=True))), "team_blocked"),
        (
            Holder(replace(KEY, user_id="u"), None, replace(USER, allowance=Allowance(blocked=True))),
            "user_blocked",
        ),
        (Holder(replace(KEY, expires_at=NOW)), "expired_api_key"),
    ],
)
async def test_a_key_that_opens_nothing_is_401_every_time(bench: Bench, holder: Holder, code: str) -> None:
    bench.store.holders["sk-one"] = holder
    assert await bench.refused() == (401, code)
    assert await bench.refused() == (401, code)
    assert bench.store.asked == ["sk-one"]


async def test_a_blocked_team_is_named(bench: Bench) -> None:
    bench.store.holders["sk-one"] = Holder(
        replace(KEY, team_id="t"), replace(TEAM, allowance=Allowance(blocked=True))
    )
    with pytest.raises(CallError, match="the team `t` of this API key is blocked"):
        await bench.ask()


async def test_a_key_expires_between_two_reads(bench: Bench) -> None:
    bench.store.holders["sk-one"] = Holder(replace(KEY, expires_at=datetime.fromtimestamp(WALL + 4.5, UTC)))
    await bench.ask()
    bench.passed = 4.4
    assert bench.authenticator.cached("sk-one") is not None
    bench.passed = 4.6
    assert await bench.refused() == (401, "expired_api_key")
    assert bench.store.asked == ["sk-one"]


async def test_a_period_that_begins_makes_another_principal_without_a_query(bench: Bench) -> None:
    allowance = Allowance(max_budget=5, budget_duration="4s", budget_anchor=NOW)
    bench.store.holders["sk-one"] = Holder(replace(KEY, allowance=allowance))
    first = await bench.ask()
    bench.passed = 3.9
    assert await bench.ask() is first
    bench.passed = 4.0
    second = await bench.ask()
    assert [principal.scopes[0].period - int(WALL) for principal in (first, second)] == [0, 4]
    assert bench.store.asked == ["sk-one"]


async def test_an_unknown_key_is_asked_for_again_later_or_after_a_notice(bench: Bench) -> None:
    assert await bench.refused("sk-two") == (401, "invalid_api_key")
    assert await bench.refused("sk-two") == (401, "invalid_api_key")
    assert bench.store.asked == ["sk-two"]
    bench.store.holders["sk-two"] = Holder(replace(KEY, id="k2"))
    bench.shared.tell(Notice("key", "k2"))
    assert (await bench.ask("sk-two")).key_id == "k2"


async def test_wrong_keys_push_out_no_key_that_works(bench: Bench) -> None:
    await bench.ask()
    for number in range(1500):
        await bench.refused(f"sk-wrong-{number}")
    assert bench.authenticator.cached("sk-one") is not None


async def test_the_oldest_of_too_many_keys_is_forgotten(bench: Bench) -> None:
    for number in range(101):
        bench.store.holders[f"sk-{number}"] = Holder(replace(KEY, id=f"k{number}"))
        await bench.ask(f"sk-{number}")
    assert bench.authenticator.cached("sk-0") is None
    assert bench.authenticator.cached("sk-1") is not None


async def test_seen_keys_work_for_an_hour_without_a_database(bench: Bench) -> None:  # C15
    await bench.ask()
    bench.store.away = True
    bench.passed = 11
    assert (await bench.ask()).key_id == "k1"
    assert bench.store.asked == ["sk-one"] * 2
    assert bench.authenticator.away
    # Until the next question the cache answers at full speed, and nobody else asks.
    bench.passed = 15.9
    assert bench.authenticator.cached("sk-one") is not None
    assert await bench.refused("sk-two") == (503, "key_store_unavailable")
    assert bench.store.asked == ["sk-one"] * 2
    bench.passed = 16.1
    assert (await bench.ask()).key_id == "k1"
    assert await bench.refused("sk-two") == (503, "key_store_unavailable")
    assert bench.store.asked == ["sk-one"] * 3
    bench.shared.blocked.add("k1")
    assert await bench.refused() == (401, "key_blocked")
    bench.shared.blocked.clear()
    bench.passed = 3599
    assert (await bench.ask()).key_id == "k1"
    bench.passed = 3600.1
    assert await bench.refused() == (503, "key_store_unavailable")


async def test_a_wrong_key_is_503_and_not_401_without_a_database(bench: Bench) -> None:
    assert await bench.refused("sk-two") == (401, "invalid_api_key")
    bench.passed = 11
    bench.store.away = True
    assert await bench.refused("sk-two") == (503, "key_store_unavailable")


async def test_a_revocation_that_was_told_holds_without_a_database(bench: Bench) -> None:
    await bench.ask()
    bench.store.away = True
    bench.shared.tell(Notice("key", "k1"))
    assert await bench.refused() == (503, "key_store_unavailable")


async def test_the_database_that_comes_back_is_noticed_by_one_call(bench: Bench) -> None:
    await bench.ask()
    bench.store.away = True
    bench.passed = 11
    await bench.ask()
    bench.store.away = False
    bench.store.holders["sk-one"] = Holder(replace(KEY, allowance=Allowance(blocked=True)))
    bench.passed = 15
    assert (await bench.ask()).key_id == "k1"
    bench.passed = 17
    assert await bench.refused() == (401, "key_blocked")
    assert not bench.authenticator.away
    assert await bench.refused("sk-two") == (401, "invalid_api_key")


async def test_a_period_begins_also_without_a_database(bench: Bench) -> None:
    allowance = Allowance(max_budget=5, budget_duration="1h", budget_anchor=NOW)
    bench.store.holders["sk-one"] = Holder(replace(KEY, allowance=allowance))
    await bench.ask()
    bench.store.away = True
    bench.passed = 3598
    assert (await bench.ask()).scopes[0].period == int(WALL)
    bench.passed = 3600
    assert await bench.refused() == (503, "key_store_unavailable")


async def test_a_hanging_database_does_not_hold_up_a_key_seen_before() -> None:
    with ThreadPoolExecutor(max_workers=2) as executor:
        bench = Bench(executor, Patience(refresh=0.01))
        first = await bench.ask()
        bench.store.gate.clear()
        bench.store.holders["sk-one"] = Holder(replace(KEY, allowance=Allowance(rpm_limit=7)))
        bench.passed = 11
        assert await bench.ask() is first
        # Still hanging: the next question waits for the same query.
        bench.passed = 17
        assert await bench.ask() is first
        assert bench.store.asked == ["sk-one"] * 2
        bench.store.gate.set()


async def test_late_news_are_news(bench: Bench) -> None:
    await bench.ask()
    bench.store.entered.clear()
    bench.store.gate.clear()
    bench.store.holders["sk-one"] = Holder(replace(KEY, allowance=Allowance(rpm_limit=7)))
    bench.passed = 11
    asking = asyncio.create_task(bench.ask())
    await asyncio.to_thread(bench.store.entered.wait, 10)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    # The caller left; what was asked for it serves the next.
    following = asyncio.create_task(bench.ask())
    await asyncio.sleep(0)
    bench.store.gate.set()
    assert (await following).scopes[0].rpm == 7
    assert bench.store.asked == ["sk-one"] * 2


def test_a_principal_has_the_scopes_limits_and_strategy_of_key_team_and_user() -> None:  # C7
    key = replace(
        KEY,
        models=("small", "large"),
        metadata={"routeiq": {}},
        team_id="t",
        user_id="ada",
        model_limits={"small": {"rpm": 1, "budget": 9}},
        fail_closed=True,
        allowance=Allowance(1, 2, 3, 4, "1d", NOW),
    )
    team = replace(TEAM, metadata={"routeiq": {"strategy": "ridge"}}, allowance=Allowance(rpm_limit=5))
    principal = principal_of(Holder(key, team), WALL + 86_401).principal
    assert principal == Principal(
        "k1",
        models=frozenset({"small", "large"}),
        team_models=frozenset({"small"}),
        team_id="t",
        user_id="ada",
        scopes=(
            Scope("key:k1", 1, 2, 3, 4, int(WALL) + 86_400, fail_closed=True),
            Scope("team:t", 5, fail_closed=True),
            # Named and never made: no limit, and its spend counts.
            Scope("user:ada", fail_closed=True),
        ),
        model_limits={"small": ModelAllowance(rpm=1, budget=9)},
        strategy="ridge",
    )
    own = replace(key, metadata={"routeiq": {"strategy": "knn"}})
    assert principal_of(Holder(own, team), WALL).principal.strategy == "knn"
    odd = replace(key, metadata={"routeiq": ["knn"]})
    assert principal_of(Holder(odd), WALL).principal.strategy is None
    assert principal_of(Holder(KEY), WALL).principal.scopes == (Scope("key:k1"),)


_ALLOWANCES = st.builds(
    Allowance,
    budget_duration=st.none() | st.sampled_from(["7s", "1h", "30d"]),
    budget_anchor=st.just(NOW),
)


@given(key=_ALLOWANCES, team=_ALLOWANCES, user=_ALLOWANCES, passed=st.floats(0, 1e8))
def test_a_principal_holds_until_the_earliest_period_ends(
    key: Allowance, team: Allowance, user: Allowance, passed: float
) -> None:
    holder = Holder(
        replace(KEY, team_id="t", user_id="u", allowance=key),
        replace(TEAM, allowance=team),
        replace(USER, allowance=user),
    )
    now = WALL + passed
    made = principal_of(holder, now)
    ends: list[Any] = [period_end(allowance, now) for allowance in (key, team, user)]
    assert made.until == min((end for end in ends if end is not None), default=float("inf"))
    assert made.until > now
    if made.until < float("inf"):
        assert principal_of(holder, made.until - 0.01).principal == made.principal
        assert principal_of(holder, made.until).principal != made.principal


@pytest.mark.parametrize("team", [None, TEAM])
def test_a_team_without_a_limit_of_its_own_gets_the_configured_one_for_calls_at_once(
    team: TeamRecord | None,
) -> None:
    # G8
    key = replace(KEY, team_id="t", user_id="u", allowance=Allowance(max_parallel_requests=7))
    made = principal_of(Holder(key, team, USER), WALL, team_parallel=3)
    assert [(scope.name, scope.parallel) for scope in made.principal.scopes] == [
        ("key:k1", 7), ("team:t", 3), ("user:u", None),
    ]  # fmt: skip


@pytest.mark.parametrize("own", [1, 5])
def test_a_teams_own_limit_for_calls_at_once_wins_over_the_configured_one(own: int) -> None:
    # G8
    team = replace(TEAM, allowance=Allowance(max_parallel_requests=own))
    made = principal_of(Holder(replace(KEY, team_id="t"), team), WALL, team_parallel=3)
    assert made.principal.scopes[1].parallel == own
