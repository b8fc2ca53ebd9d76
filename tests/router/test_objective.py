"""What an objective may say, and what choices under it always hold (issue's objective: weights or a quality floor)."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeiq_router.decide import Candidate, rank
from routeiq_router.errors import RouterError
from routeiq_router.objective import Objective, read_objective


@pytest.mark.parametrize(
    ("value", "objective"),
    [
        ("quality=1,cost=0.3", Objective(1, 0.3)),
        (" cost = 0.3 , latency=.5", Objective(1, 0.3, 0.5)),
        ("quality=0,cost=1", Objective(0, 1)),
        ("floor=0.8", Objective(floor=0.8)),
        ("floor=95%", Objective(floor=0.95, of_best=True)),
        ({"cost": 1}, Objective(1, 1)),
        ({"floor": 0}, Objective(floor=0)),
        ({"floor": "50%"}, Objective(floor=0.5, of_best=True)),
    ],
)
def test_weights_and_floors_are_read_from_texts_and_mappings(value, objective):
    assert read_objective(value) == objective
    assert read_objective(str(objective)) == objective


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "'' is not NAME=NUMBER"),
        ("cost", "'cost' is not NAME=NUMBER"),
        ("cost=", "cost='' is not a number"),
        ("cost=-1", "cost='-1' is not a number from 0 to 100"),
        ("cost=1e9", "from 0 to 100"),
        ("cost=nan", "cost='nan' is not"),
        ("cost=inf", "cost='inf' is not"),
        ("cost=1_0", "cost='1_0' is not"),
        ("cost=٣", "is not a number"),
        ("cost=0x10", "is not a number"),
        ("cost=1,cost=2", "'cost' is given twice"),
        ("speed=1", "unknown name 'speed'"),
        ("quality=0", "all weights are 0"),
        ("floor=0.8,cost=1", "exclude each other"),
        ("floor=1.1", "floor='1.1' is not"),
        ("floor=101%", "floor='101%' is not"),
        ("floor=%", "floor='%' is not"),
        ("cost=1\x00", "is not a number"),
        ("cost=1;DROP TABLE calls", "is not a number"),
        ("x" * 100_000, "longer than 200"),
        ({}, "neither a text nor"),
        (None, "neither a text nor"),
        ([1], "neither a text nor"),
        (1, "neither a text nor"),
        ({"cost": True}, "cost='True' is not"),
        ({"cost": [1]}, "is not a number"),
        ({"cost": 10**400}, "is not a number"),
        ({1: 2}, "unknown name '1'"),
    ],
)
def test_a_hostile_objective_is_refused_with_the_reason(value, message):
    with pytest.raises(RouterError, match="objective: ") as caught:
        read_objective(value)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 200


@given(st.one_of(st.text(max_size=40), st.from_regex(r"(quality|cost|latency|floor)=[0-9.%eE+-]{0,6}")))
def test_any_text_gives_an_objective_or_a_reason(text):
    with contextlib.suppress(RouterError):
        found = read_objective(text)
        assert read_objective(str(found)).floor == pytest.approx(found.floor)


# Of a choice. Numbers in thousandths: whole steps are far from what counts as equal.

_share = st.integers(0, 1000).map(lambda number: number / 1000)
_cost = st.integers(0, 50).map(float)
_entries = st.lists(st.tuples(st.one_of(st.none(), _share), _cost), min_size=1, max_size=6)


def _candidates(entries):
    candidates = [
        Candidate(f"g{n}", None if quality is None else f"m{n}", cost)
        for n, (quality, cost) in enumerate(entries)
    ]
    return candidates, {f"m{n}": quality for n, (quality, _) in enumerate(entries) if quality is not None}


@given(_entries, _share, st.integers(0, 2**32))
def test_the_floor_is_kept_by_the_cheapest_that_reaches_it(entries, floor, seed):
    candidates, quality = _candidates(entries)
    first = rank(candidates, quality, objective=Objective(floor=floor), seed=seed)[0]
    reaching = [c for c in candidates if c.model is not None and quality[c.model] >= floor]
    if reaching:
        assert first.quality is not None
        assert first.quality >= floor
        assert first.cost == min(c.cost for c in reaching)
    elif quality:
        assert first.quality == max(quality.values())


@given(_entries, _share)
def test_a_floor_of_the_best_is_its_share(entries, share):
    candidates, quality = _candidates(entries)
    first = rank(candidates, quality, objective=Objective(floor=share, of_best=True))[0]
    if quality:
        assert first.quality is not None
        assert first.quality >= share * max(quality.values()) - 1e-9


@given(_entries, st.integers(0, 100), st.integers(0, 100), st.integers(0, 9))
def test_a_higher_cost_weight_never_picks_a_dearer_one(entries, low, more, seed):
    candidates, quality = _candidates(entries)
    first = rank(candidates, quality, objective=Objective(1, low / 10), seed=seed)[0]
    then = rank(candidates, quality, objective=Objective(1, (low + more) / 10), seed=seed)[0]
    assert then.cost <= first.cost or first.quality is None


@given(_entries, st.integers(0, 2**64), st.permutations(range(6)))
def test_the_same_seed_gives_the_same_order_however_candidates_are_declared(entries, seed, places):
    candidates, quality = _candidates([entry for entry in entries if entry[0] is not None])
    if not candidates:
        return
    ranked = rank(candidates, quality, objective=Objective(1, 0.5), seed=seed)
    assert ranked == rank(candidates, quality, objective=Objective(1, 0.5), seed=seed)
    shuffled = sorted(candidates, key=lambda c: places[int(c.group[1:])])
    again = rank(shuffled, quality, objective=Objective(1, 0.5), seed=seed)
    assert [e.group for e in again] == [e.group for e in ranked]


@given(_entries, _share)
def test_what_has_no_prediction_comes_last_in_declared_order(entries, weight):
    candidates, quality = _candidates(entries)
    ranked = rank(candidates, quality, objective=Objective(1, weight), seed=1)
    unknown = [c.group for c in candidates if c.model is None]
    assert [e.group for e in ranked[len(ranked) - len(unknown) :]] == unknown
    known = [c for c in candidates if c.model is not None]
    if known:  # and changes nothing for the others
        assert ranked[: len(known)] == rank(known, quality, objective=Objective(1, weight), seed=1)


def test_equals_are_spread_over_by_the_seed():
    twins = [Candidate(name, "m", 1) for name in ("a", "b")]
    chosen = {rank(twins, {"m": 0.5}, seed=seed)[0].group for seed in range(40)}
    assert chosen == {"a", "b"}


def test_a_slow_group_loses_by_its_share_of_the_highest_latency():
    slow, fast = Candidate("slow", "s", 1, latency=2.0), Candidate("fast", "f", 1, latency=0.5)
    quality = {"s": 0.8, "f": 0.7}
    assert rank([slow, fast], quality, objective=Objective(1, latency=0.1))[0].group == "slow"
    ranked = rank([slow, fast], quality, objective=Objective(1, latency=0.2))
    assert [(e.group, e.normalised_latency) for e in ranked] == [("fast", 0.25), ("slow", 1.0)]
    assert ranked[0].score == pytest.approx(0.7 - 0.2 * 0.25)


def test_an_unmeasured_latency_counts_as_the_lowest_and_a_failure_as_the_highest():
    never = float("inf")
    candidates = [
        Candidate("new", "m", 1), Candidate("known", "m", 1, 1.0), Candidate("old", "m", 1, 4.0),
        Candidate("failed", "m", 1, never),
    ]  # fmt: skip
    shares = {e.group: e.normalised_latency for e in rank(candidates, {"m": 0.5})}
    assert shares == {"new": 0.25, "known": 0.25, "old": 1.0, "failed": 1.0}
    assert [e.normalised_latency for e in rank([Candidate("new", "m", 1)], {"m": 0.5})] == [0.0]


@pytest.mark.parametrize("latency", [-1.0, float("nan")])
def test_a_latency_that_is_none_is_refused(latency):
    with pytest.raises(RouterError, match="g: latency"):
        rank([Candidate("g", "m", 1, latency)], {"m": 0.5})
