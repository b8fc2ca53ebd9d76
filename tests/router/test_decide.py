from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeiq_router.decide import Candidate, rank
from routeiq_router.errors import RouterError

SMALL, LARGE = Candidate("small", "s-7b", 7), Candidate("large", "l-70b", 70)


def test_quality_decides_when_cost_does_not_count():
    ranked = rank([SMALL, LARGE], {"s-7b": 0.6, "l-70b": 0.7}, cost_weight=0)
    assert [entry.group for entry in ranked] == ["large", "small"]
    assert ranked[0].score == 0.7


def test_the_score_is_quality_minus_weighted_share_of_the_highest_cost():
    ranked = rank([SMALL, LARGE], {"s-7b": 0.6, "l-70b": 0.7}, cost_weight=0.2)
    assert [entry.group for entry in ranked] == ["small", "large"]
    assert ranked[0].score == pytest.approx(0.6 - 0.2 * 0.1)
    assert ranked[1].score == pytest.approx(0.7 - 0.2)


def test_a_tie_goes_to_the_cheaper_then_to_the_first_declared():
    same = {"s-7b": 0.5, "l-70b": 0.5 + 1e-12}
    assert rank([LARGE, SMALL], same, cost_weight=0)[0].group == "small"
    twins = [Candidate(name, "s-7b", 7) for name in ("b", "a", "c")]
    assert [entry.group for entry in rank(twins, {"s-7b": 0.5}, cost_weight=1)] == ["b", "a", "c"]


def test_without_a_prediction_the_declared_order_stands():
    ranked = rank([LARGE, SMALL], None, cost_weight=5)
    assert [(entry.group, entry.score) for entry in ranked] == [("large", None), ("small", None)]


def test_free_candidates_do_not_divide_by_zero():
    assert rank([Candidate("a", "m", 0)], {"m": 0.5}, cost_weight=1)[0].score == 0.5


@pytest.mark.parametrize(
    ("candidates", "quality", "weight", "message"),
    [
        ([], {}, 0, "no candidates"),
        ([SMALL], {"s-7b": 0.5}, -1, "cost_weight: -1 is not"),
        ([SMALL], {"s-7b": 0.5}, float("nan"), "cost_weight: nan is not"),
        ([Candidate("small", "s-7b", -1)], {"s-7b": 0.5}, 0, "small: cost -1"),
        ([SMALL], {}, 0, "small: no quality is predicted for model 's-7b'"),
    ],
)
def test_what_cannot_be_ranked_is_refused(candidates, quality, weight, message):
    with pytest.raises(RouterError, match=message):
        rank(candidates, quality, cost_weight=weight)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1e6)), min_size=1, max_size=8, unique=True),
    st.floats(0, 100),
)
def test_no_candidate_is_lost_and_the_best_comes_first(entries, weight):
    candidates = [Candidate(str(index), str(index), cost) for index, (_, cost) in enumerate(entries)]
    quality = {str(index): value for index, (value, _) in enumerate(entries)}
    ranked = rank(candidates, quality, cost_weight=weight)
    assert sorted(entry.group for entry in ranked) == sorted(quality)
    scores = [entry.score for entry in ranked if entry.score is not None]
    assert all(first >= second - 1e-8 for first, second in pairwise(scores))
    assert ranked == rank(candidates, quality, cost_weight=weight)
