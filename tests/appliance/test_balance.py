"""The order in which deployments are tried, by each balancing strategy (D2, D9), and groups by the simple ones."""

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.appliance.deployments import deployment

from routeiq_appliance.config.sections import BALANCING
from routeiq_appliance.errors import ConfigError
from routeiq_appliance.pipeline.types import Deployment, Price
from routeiq_appliance.routing.balance import Balancer, make_balancer
from routeiq_appliance.routing.board import Board
from routeiq_appliance.routing.interface import Terms
from routeiq_appliance.routing.simple import DeclaredOrder, LeastBusy, Random, RoundRobin


class _Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class _Bench:
    """A balancer with its board, clock and dice."""

    def __init__(self, name: str) -> None:
        self.clock = _Clock()
        self.board = Board(clock=self.clock)
        self.balancer: Balancer = make_balancer(name, board=self.board, dice=random.Random(7))

    def ids(self, members: Sequence[Deployment]) -> list[str]:
        return [d.id for d in self.balancer.order("g", members)]

    def firsts(self, members: Sequence[Deployment], times: int) -> Counter[str]:
        return Counter(self.ids(members)[0] for _ in range(times))

    def answered(self, name: str, seconds: float) -> None:
        self.board.begin(name)
        self.board.end(name, seconds=seconds, tokens=0, completion_tokens=0, failed=False)

    def failed(self, name: str) -> None:
        self.board.begin(name)
        self.board.end(name, seconds=0.1, tokens=0, completion_tokens=0, failed=True)


_THREE = [deployment(name) for name in "abc"]


@pytest.mark.parametrize("name", list(BALANCING))
def test_every_name_of_ours_and_of_litellm_makes_its_strategy(name: str) -> None:
    assert make_balancer(name, board=Board()).name == BALANCING[name]


def test_an_unknown_name_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match="`best` is no balancing strategy") as refused:
        make_balancer("best", board=Board())
    assert "round-robin" in str(refused.value.hint)


@given(
    st.sampled_from(sorted(set(BALANCING.values()))),
    st.lists(
        st.tuples(st.integers(0, 2), st.floats(0, 5), st.booleans(), st.integers(0, 3)), min_size=1, max_size=6
    ),
    st.integers(0, 2**32),
)  # fmt: skip
def test_all_are_tried_once_and_a_lower_order_goes_first(
    name: str, shape: list[tuple[int, float, bool, int]], seed: int
) -> None:
    board = Board(clock=lambda: 5.0)
    members = [
        deployment(
            str(n), order=order, weight=weight, price=Price(1, 1) if priced else None, tpm=running or None
        )
        for n, (order, weight, priced, running) in enumerate(shape)
    ]
    for n, (_, _, _, running) in enumerate(shape):
        for _ in range(running):
            board.begin(str(n))
    balancer = make_balancer(name, board=board, dice=random.Random(seed))
    for _ in range(3):
        ordered = balancer.order("g", members)
        assert sorted(d.id for d in ordered) == sorted(d.id for d in members)
        assert [d.order for d in ordered] == sorted(d.order for d in members)


def test_round_robin_gives_each_its_turn() -> None:  # D2
    bench = _Bench("round-robin")
    assert [bench.ids(_THREE) for _ in range(4)] == [list("abc"), list("bca"), list("cab"), list("abc")]


def test_round_robin_is_even_among_those_of_the_lowest_order() -> None:
    bench = _Bench("round-robin")
    members = [deployment("a"), deployment("b"), deployment("spare", order=1), deployment("last", order=2)]
    assert bench.firsts(members, 100) == {"a": 50, "b": 50}
    assert bench.ids(members)[2:] == ["spare", "last"]


def test_calls_with_other_tags_do_not_use_up_turns() -> None:
    bench = _Bench("round-robin")
    firsts: Counter[str] = Counter()
    for _ in range(100):
        firsts[bench.ids(_THREE[:2])[0]] += 1
        firsts[bench.ids(_THREE[1:])[0]] += 1
    assert firsts == {"a": 50, "b": 100, "c": 50}


def test_a_deployment_made_anew_under_its_name_is_never_confused_with_the_old_one() -> None:
    bench = _Bench("round-robin")
    bench.ids(_THREE)
    anew = [deployment(name, model="other") for name in "abc"]
    assert {d.model for d in bench.balancer.order("g", anew)} == {"other"}


def test_declared_order_is_that_of_the_configuration() -> None:
    bench = _Bench("order")
    assert bench.firsts(_THREE, 20) == {"a": 20}
    assert bench.ids([deployment("x", order=2), deployment("y", order=1), deployment("z", order=2)]) == list(
        "yxz"
    )


def test_weights_are_shares_of_calls_and_of_the_next_choice() -> None:
    bench = _Bench("weighted")
    members = [deployment("a", weight=6), deployment("b", weight=3), deployment("c", weight=1)]
    orders = [bench.ids(members) for _ in range(4000)]
    firsts = Counter(order[0] for order in orders)
    assert firsts["a"] / 4000 == pytest.approx(0.6, abs=0.03)
    assert firsts["b"] / 4000 == pytest.approx(0.3, abs=0.03)
    seconds = Counter(order[1] for order in orders if order[0] == "a")
    assert seconds["b"] / sum(seconds.values()) == pytest.approx(0.75, abs=0.04)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
def test_only_the_ratio_of_weights_counts(scale: float) -> None:
    members = [deployment("a", weight=2 * scale), deployment("b", weight=scale)]
    assert _Bench("weighted").firsts(members, 3000)["a"] / 3000 == pytest.approx(2 / 3, abs=0.03)


def test_weight_zero_is_never_first() -> None:
    members = [deployment("a", weight=0), deployment("b", weight=1)]
    assert _Bench("weighted").firsts(members, 200) == {"b": 200}


def test_random_is_even_and_by_the_dice_alone() -> None:  # D2
    firsts = _Bench("random").firsts(_THREE, 3000)
    assert all(firsts[name] == pytest.approx(1000, abs=120) for name in "abc")
    assert [_Bench("random").ids(_THREE) for _ in range(5)] == [
        _Bench("random").ids(_THREE) for _ in range(5)
    ]


def test_least_busy_takes_the_one_with_the_fewest_calls_under_way() -> None:  # D2
    bench = _Bench("least-busy")
    for name, running in (("a", 3), ("b", 1), ("c", 2)):
        for _ in range(running):
            bench.board.begin(name)
    assert bench.ids(_THREE) == list("bca")


def test_least_busy_spreads_what_nobody_ends() -> None:
    bench = _Bench("least-busy")
    for _ in range(30):
        bench.board.begin(bench.ids(_THREE)[0])
    assert [bench.board.running(name) for name in "abc"] == [10, 10, 10]


def test_lowest_latency_measures_each_once_then_prefers_the_fastest() -> None:
    bench = _Bench("lowest-latency")
    seconds = {"a": 3.0, "b": 1.0, "c": 2.0}
    first_three = []
    for _ in range(3):
        name = bench.ids(_THREE)[0]
        bench.answered(name, seconds[name])
        first_three.append(name)
    assert sorted(first_three) == list("abc")
    assert bench.ids(_THREE) == list("bca")


def test_one_call_at_a_time_measures_and_the_others_take_what_is_known() -> None:
    bench = _Bench("lowest-latency")
    bench.answered("a", 1.0)
    bench.answered("b", 1.02)
    assert bench.ids(_THREE)[0] == "c"
    bench.board.begin("c")
    assert bench.ids(_THREE)[2] == "c"


def test_those_about_as_fast_share_the_calls() -> None:
    bench = _Bench("lowest-latency")
    for name, seconds in (("a", 1.0), ("b", 1.09), ("c", 1.2)):
        bench.answered(name, seconds)
    firsts = bench.firsts(_THREE, 1000)
    assert firsts["c"] == 0
    assert firsts["a"] == pytest.approx(500, abs=80)


def test_a_fast_spare_does_not_hide_who_is_fastest_before_it() -> None:
    bench = _Bench("lowest-latency")
    for name, seconds in (("a", 1.0), ("b", 1.05), ("spare", 0.1)):
        bench.answered(name, seconds)
    firsts = bench.firsts([deployment("a"), deployment("b"), deployment("spare", order=1)], 400)
    assert min(firsts["a"], firsts["b"]) > 100


def test_what_keeps_failing_unmeasured_does_not_stay_first() -> None:  # D9
    bench = _Bench("lowest-latency")
    bench.answered("a", 1.0)
    bench.answered("b", 2.0)
    bench.failed("c")
    assert bench.ids(_THREE) == list("abc")
    bench.clock.now += 60
    assert bench.ids(_THREE)[0] == "c"


def test_what_was_slow_once_gets_another_chance() -> None:
    bench = _Bench("lowest-latency")
    bench.answered("b", 9.0)
    bench.clock.now += 400
    bench.answered("a", 1.0)
    assert bench.ids(_THREE[:2]) == ["a", "b"]
    bench.clock.now += 400
    assert bench.ids(_THREE[:2]) == ["b", "a"]


def test_lowest_cost_compares_kinds_of_prices_and_takes_unpriced_last() -> None:
    members = [
        deployment("unpriced"),
        deployment(
            "tokens", price=Price(input_token=1_000_000, output_token=2_000_000)
        ),  # 0.0012 $ typically
        deployment("seconds", price=Price(second=1_000_000_000)),  # 0.006 $
        deployment("call", price=Price(call=1_000_000)),  # 0.000001 $
        deployment("free", price=Price()),
    ]
    assert _Bench("lowest-cost").ids(members) == ["free", "call", "tokens", "seconds", "unpriced"]


def test_usage_takes_the_lowest_share_of_its_own_limits() -> None:
    bench = _Bench("usage-based")
    members = [deployment("a", tpm=1000), deployment("b", tpm=10_000), deployment("c", rpm=2)]
    for name, tokens in (("a", 500), ("b", 1000), ("c", 5)):
        bench.board.begin(name)
        bench.board.end(name, seconds=1, tokens=tokens, completion_tokens=1, failed=False)
    shares = bench.ids(members)  # 0.5, 0.1, 0.5
    assert shares[0] == "b"
    bench.board.begin("c")  # its second of two requests
    assert bench.ids(members)[2] == "c"
    bench.clock.now += 60
    assert bench.firsts(members, 60).keys() >= {"a", "b"}


def test_usage_without_limits_goes_by_tokens_and_counts_what_is_under_way() -> None:
    bench = _Bench("usage-based")
    for name, tokens in (("a", 100), ("b", 150)):
        bench.board.begin(name)
        bench.board.end(name, seconds=1, tokens=tokens, completion_tokens=1, failed=False)
    assert bench.ids(_THREE[:2]) == ["a", "b"]
    bench.board.begin("a")  # will use a hundred again
    assert bench.ids(_THREE[:2]) == ["b", "a"]


@pytest.mark.parametrize("name", sorted(set(BALANCING.values())))
def test_a_group_of_one_asks_nobody(name: str) -> None:
    assert _Bench(name).ids([deployment("only", weight=0, tpm=1)]) == ["only"]


async def test_round_robin_of_groups_takes_turns() -> None:  # D2
    strategy = RoundRobin()
    assert [(await strategy.choose("", ("a", "b"), Terms())).group for _ in range(4)] == list("abab")


async def test_random_of_groups_is_even_and_ranks_all() -> None:  # D2
    strategy = Random(random.Random(3))
    choices = [await strategy.choose("", ("a", "b", "c"), Terms()) for _ in range(3000)]
    firsts = Counter(choice.group for choice in choices)
    assert all(firsts[name] == pytest.approx(1000, abs=120) for name in "abc")
    assert all(sorted(name for name, _ in choice.ranking) == list("abc") for choice in choices)


async def test_least_busy_of_groups_weighs_calls_by_deployments() -> None:  # D2
    board = Board()
    strategy = LeastBusy(board, {"one": ["x"], "three": ["p", "q", "r"]})
    board.begin("x")
    board.begin("p")
    board.begin("q")
    choice = await strategy.choose("", ("one", "three"), Terms())
    assert choice.ranking == (("three", None), ("one", None))
    assert (choice.strategy, choice.score, choice.reason) == ("least-busy", None, "fewest calls under way")


async def test_groups_equally_busy_take_turns() -> None:
    strategy = LeastBusy(Board(), {"a": ["x"], "b": ["y"]})
    assert [(await strategy.choose("", ("a", "b"), Terms())).group for _ in range(4)] == list("abab")


async def test_declared_order_takes_the_first() -> None:
    assert (await DeclaredOrder().choose("", ("b", "a"), Terms())).group == "b"
