"""What must hold of AIQ, its gain and calibration error on any scores (RouterBench, 2024, section 3)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routeiq_router.evaluation.metrics import (
    bootstrap_gains,
    expected_calibration_error,
    routing_value,
    sweep,
)
from routeiq_router.evaluation.pools import MIN_POOL, find_pools
from routeiq_router.evaluation.report import baseline_report

MODELS = st.integers(2, 4)


@st.composite
def tables(draw):
    """Scores [n, models], predictions of the same shape, unit costs, tokens."""
    rows, models = draw(st.integers(3, 25)), draw(MODELS)
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    scores = random.choice([0.0, 0.5, 1.0], (rows, models))
    units = random.choice([1.0, 2.0, 7.0, 50.0], models, replace=False).tolist()
    return scores, random.random((rows, models)), units, random.integers(1, 100, rows).astype(float)


@settings(max_examples=40)
@given(tables())
def test_an_oracle_is_never_below_the_hull(table):
    scores, _, units, tokens = table
    value = routing_value(sweep(scores, scores, units, tokens))
    # It must know every cost weight between the corners; the sweep has some hundred of them.
    assert value.gain >= -0.02
    assert value.quality_at_no_cost_weight == pytest.approx(scores.max(axis=1).mean())


@settings(max_examples=40)
@given(tables())
def test_a_constant_prediction_gains_nothing(table):
    scores, _, units, _ = table
    tokens = np.ones(len(scores))
    value = routing_value(sweep(np.tile(scores.mean(axis=0), (len(scores), 1)), scores, units, tokens))
    assert -0.02 <= value.gain <= 1e-9


@settings(max_examples=40)
@given(tables(), st.randoms())
def test_the_order_of_prompts_and_models_does_not_count(table, shuffle):
    scores, said, units, tokens = table
    rows, columns = list(range(len(scores))), list(range(scores.shape[1]))
    shuffle.shuffle(rows)
    shuffle.shuffle(columns)
    first = routing_value(sweep(said, scores, units, tokens))
    second = routing_value(
        sweep(said[rows][:, columns], scores[rows][:, columns], [units[c] for c in columns], tokens[rows])
    )
    assert second.aiq == pytest.approx(first.aiq)
    assert second.aiq_hull == pytest.approx(first.aiq_hull)
    assert columns[second.best_model] == first.best_model or second.best_quality == pytest.approx(
        first.best_quality
    )


@settings(max_examples=20)
@given(tables())
def test_no_router_is_above_the_oracle_at_no_cost_weight(table):
    scores, said, units, tokens = table
    value = routing_value(sweep(said, scores, units, tokens))
    assert value.aiq <= scores.max(axis=1).mean() + 1e-9
    if value.cost_at_95 is not None and value.cost_at_100 is not None:
        assert value.cost_at_95 <= value.cost_at_100 + 1e-9


def test_two_routers_on_the_same_prompts_are_drawn_alike():
    random = np.random.default_rng(3)
    scores, said = random.random((60, 3)), random.random((60, 3))
    result = sweep(said, scores, [1, 2, 9], np.ones(60))
    once = bootstrap_gains(result, seed=1, rounds=120)
    assert once.shape == (120,)
    np.testing.assert_array_equal(once, bootstrap_gains(result, seed=1, rounds=120))
    better = bootstrap_gains(sweep(scores, scores, [1, 2, 9], np.ones(60)), seed=1, rounds=120)
    assert (better - once > 0).all()
    assert not np.array_equal(once, bootstrap_gains(result, seed=2, rounds=120))


class TestCalibrationError:
    def test_by_hand(self):
        # Two bins of two: said 0.2 where 0.5 was measured, and 0.8 where 1.0 was.
        said, true = np.asarray([0.2, 0.2, 0.8, 0.8]), np.asarray([0.0, 1.0, 1.0, 1.0])
        assert expected_calibration_error(said, true, bins=2) == pytest.approx((2 * 0.3 + 2 * 0.2) / 4)

    def test_the_mean_for_all_is_calibrated_though_useless(self):
        true = np.asarray([0.0, 1.0] * 50)
        assert expected_calibration_error(np.full(100, 0.5), true) == pytest.approx(0)

    @settings(max_examples=40)
    @given(tables(), st.randoms())
    def test_it_is_a_share_and_blind_to_order(self, table, shuffle):
        scores, said, _, _ = table
        rows = list(range(len(scores)))
        shuffle.shuffle(rows)
        first = expected_calibration_error(said[:, 0], scores[:, 0])
        assert 0 <= first <= 1
        assert expected_calibration_error(said[rows, 0], scores[rows, 0]) == pytest.approx(first)


def test_ragged_scores_leave_out_the_model_that_was_measured_least():
    scores = np.random.default_rng(0).random((MIN_POOL * 2, 3))
    scores[::2, 2] = np.nan
    scores[1::4, 1] = np.nan
    scores[:4, 0] = np.nan
    (pool,) = find_pools(scores, ["a", "b", "c"])
    assert pool.models == ("a", "b")
    assert not np.isnan(scores[pool.rows][:, pool.columns]).any()


def test_baselines_by_hand():
    scores = np.asarray([[1.0, 1.0], [0.0, 1.0]])
    report = baseline_report(scores, [1.0, 10.0], np.ones(2), ["small", "large"])
    assert report["singles"] == {
        "small": {"quality": 0.5, "cost": 0.1},
        "large": {"quality": 1.0, "cost": 1.0},
    }
    assert report["random"] == {"quality": 0.75, "cost": 0.55}
    # The small model where it is as good, the large one elsewhere.
    assert (report["oracle"]["quality"], report["oracle"]["cost"]) == (1.0, 0.55)
    assert report["hull"] == [[0.1, 0.5], [1.0, 1.0]]
