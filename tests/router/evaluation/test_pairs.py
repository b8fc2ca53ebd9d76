"""APGR and CPT (RouteLLM, 2024, section 3) on cases worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeiq_router.evaluation.pairs import pair_value

# Weak (first) and strong: the strong one gains on the first two prompts of four.
SCORES = np.asarray([[0.0, 1.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])


def predictions(advantage: list[float]) -> np.ndarray:
    return np.column_stack([np.zeros(len(advantage)), np.asarray(advantage)])


def test_a_perfect_order_recovers_the_gap_with_half_of_the_calls():
    value = pair_value(predictions([0.9, 0.8, 0.1, 0.1]), SCORES)
    # PGR is 0, 0.5, 1 and then 1: (0.25 + 0.75) / 4 + 2 / 4.
    assert (value.weak, value.strong) == (0, 1)
    assert value.apgr == pytest.approx(0.75)
    assert value.cpt_50 == pytest.approx(0.25)
    assert value.cpt_80 == pytest.approx(0.4)


def test_the_worst_order_recovers_nothing_before_half_of_the_calls():
    value = pair_value(predictions([0.1, 0.1, 0.9, 0.9]), SCORES)
    assert value.apgr == pytest.approx(0.25)
    assert value.cpt_50 == pytest.approx(0.75)
    assert value.cpt_80 == pytest.approx(0.9)


def test_equal_predictions_are_random_routing():
    value = pair_value(predictions([0.5] * 4), SCORES)
    assert (value.apgr, value.cpt_50, value.cpt_80) == pytest.approx((0.5, 0.5, 0.8))


def test_strong_is_who_scores_more_whatever_the_column():
    value = pair_value(predictions([0.9, 0.8, 0.1, 0.1])[:, ::-1], SCORES[:, ::-1])
    assert (value.weak, value.strong) == (1, 0)
    assert value.apgr == pytest.approx(0.75)


def test_without_a_gap_there_is_nothing_to_recover():
    assert pair_value(predictions([0.1, 0.2]), np.asarray([[1.0, 0.0], [0.0, 1.0]])) is None


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 5)), min_size=2, max_size=30),
    st.randoms(),
)
def test_the_order_of_the_prompts_does_not_count(rows, shuffle):
    scores = np.asarray([[float(weak), float(strong)] for weak, strong, _ in rows])
    said = predictions([level / 5 for _, _, level in rows])
    order = list(range(len(rows)))
    shuffle.shuffle(order)
    first, second = pair_value(said, scores), pair_value(said[order], scores[order])
    if first is None:
        assert second is None
        return
    assert (first.apgr, first.cpt_50, first.cpt_80) == pytest.approx(
        (second.apgr, second.cpt_50, second.cpt_80)
    )
    assert 0 <= first.cpt_50 <= first.cpt_80 <= 1
