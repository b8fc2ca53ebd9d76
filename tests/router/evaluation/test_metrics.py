import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeiq_router.evaluation.metrics import (
    COST_WEIGHTS,
    CURVE_WEIGHTS,
    bootstrap_gain,
    fit_per_model,
    routing_value,
    sweep,
)

# Two prompts for each of two skills; a cheap model that has one of them, a dear one that has both.
SCORES = np.asarray([[1.0, 1.0], [1.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
UNITS, TOKENS = [1.0, 10.0], np.ones(4)


def test_the_hull_is_the_line_between_two_single_models():
    value = routing_value(sweep(np.full((4, 2), 0.5), SCORES, UNITS, TOKENS))
    # From (1, 0.5) to (10, 1.0): the mean height is 0.75. Knowing nothing, the router is the cheap model.
    assert value.aiq_hull == pytest.approx(0.75)
    assert value.aiq == pytest.approx(0.5)
    assert value.gain == pytest.approx(-0.25)
    assert (value.best_model, value.best_quality, value.best_model_cost) == (1, 1.0, 10.0)
    assert value.cost_at_95 is None


def test_a_perfect_router_reaches_the_best_quality_at_half_the_way():
    value = routing_value(sweep(SCORES, SCORES, UNITS, TOKENS))
    # The curve goes from (1, 0.5) to (5.5, 1.0) and stays: (4.5 * 0.75 + 4.5 * 1) / 9.
    assert value.aiq == pytest.approx(0.875)
    assert value.quality_at_no_cost_weight == 1.0
    assert value.oracle_quality == 1.0
    # 95 % of 1.0 lies at 90 % of the way from 1 to 5.5.
    assert value.cost_at_95 == pytest.approx((1 + 0.9 * 4.5) / 10)


def test_a_call_costs_what_its_prompt_is_long():
    result = sweep(SCORES, SCORES, UNITS, np.asarray([1.0, 1.0, 3.0, 3.0]))
    assert result.costs.tolist() == [[1, 10], [1, 10], [3, 30], [3, 30]]
    assert routing_value(result).best_model_cost == 20


def test_equal_predictions_go_to_the_cheaper_model_as_in_serving():
    result = sweep(np.full((4, 2), 0.5), SCORES[:, ::-1], UNITS[::-1], TOKENS)
    assert (result.chosen_cost == 1).all()


def test_models_of_equal_cost_compare_by_quality():
    value = routing_value(sweep(SCORES, SCORES, [5.0, 5.0], TOKENS))
    assert (value.aiq, value.aiq_hull) == (1.0, 1.0)


def test_the_curve_ends_at_quality_alone_and_cost_alone():
    assert COST_WEIGHTS[0] == 0
    assert list(COST_WEIGHTS) == sorted(COST_WEIGHTS)
    assert set(CURVE_WEIGHTS) <= set(COST_WEIGHTS)
    result = sweep(SCORES, SCORES, UNITS, TOKENS)
    assert (result.chosen_cost[-1] == 1).all()


def test_the_interval_holds_the_gain_and_repeats():
    draw = np.random.default_rng(0)
    scores = (draw.random((400, 2)) < [0.5, 0.8]).astype(float)
    result = sweep(0.7 * scores + 0.3 * draw.random((400, 2)), scores, UNITS, np.ones(400))
    low, high = bootstrap_gain(result, seed=3, rounds=200)
    assert 0 < low < routing_value(result).gain < high
    assert (low, high) == bootstrap_gain(result, seed=3, rounds=200)


@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
def test_no_router_beats_the_oracle_and_single_models_lie_below_their_hull(seed, models):
    draw = np.random.default_rng(seed)
    scores, predicted = draw.random((20, models)), draw.random((20, models))
    units = draw.uniform(1, 100, models).tolist()
    value = routing_value(sweep(predicted, scores, units, draw.uniform(1, 9, 20)))
    assert value.aiq <= value.oracle_quality + 1e-9
    assert value.aiq_hull <= value.best_quality + 1e-9
    assert value.cost_at_95 is None or value.cost_at_95 > 0


def test_fit_leaves_missing_scores_out():
    scores = np.asarray([[1.0, np.nan], [0.0, np.nan], [np.nan, np.nan]])
    first, second = fit_per_model(np.asarray([[0.8, 0], [0.2, 0], [0.9, 0]]), scores)
    assert first is not None
    assert (first.prompts, first.mean, first.baseline_rmse) == (2, 0.5, 0.5)
    assert first.rmse == pytest.approx(0.2)
    assert first.correlation == pytest.approx(1)
    assert second is None


def test_a_constant_prediction_has_no_correlation():
    (fit,) = fit_per_model(np.full((3, 1), 0.5), np.asarray([[1.0], [0.0], [1.0]]))
    assert fit is not None
    assert fit.correlation is None
