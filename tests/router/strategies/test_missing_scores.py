"""A model that was not measured on a prompt is missing there, never zero: for every strategy."""

import numpy as np
import pytest

from routeiq_router.strategies.interface import Inputs
from routeiq_router.strategies.registry import strategy, strategy_names

LEARNT = [name for name in strategy_names() if name != "cheapest"]
"""Those whose predictions depend on the scores."""


@pytest.fixture
def predict(small_params):
    def predict(name: str, inputs: Inputs, scores: np.ndarray) -> np.ndarray:
        params = small_params[name]
        made = strategy(name).fit(inputs, scores, params, seed=0)
        loaded = strategy(name).load(
            params, made, models=scores.shape[1], dimension=8, surface=inputs.surface.shape[1]
        )
        return loaded.predict(inputs)

    return predict


@pytest.mark.parametrize("name", LEARNT)
def test_leaving_a_models_scores_out_at_random_does_not_pull_it_down(
    name, predict, small_training, small_fitted, small_params
):
    inputs, scores = small_training
    sparse = scores.copy()
    sparse[np.random.default_rng(1).random(len(scores)) < 0.5, 0] = np.nan
    loaded = strategy(name).load(
        small_params[name], small_fitted(name), models=3, dimension=8, surface=inputs.surface.shape[1]
    )
    whole, thin = loaded.predict(inputs), predict(name, inputs, sparse)
    assert abs(whole[:, 0].mean() - thin[:, 0].mean()) < 0.08


@pytest.mark.parametrize("name", ["ridge", "logistic", "best"])
def test_models_that_share_no_prompt_are_fitted_apart(name, predict, small_training):
    inputs, scores = small_training
    half = np.arange(len(scores)) < 150
    apart = scores.copy()
    apart[half, 0] = np.nan
    apart[~half, 1:] = np.nan
    alone = predict(name, inputs.take(np.flatnonzero(~half)), scores[~half][:, :1])
    together = predict(name, inputs, apart)
    np.testing.assert_allclose(together[~half][:, 0], alone[:, 0], atol=1e-5)


@pytest.mark.parametrize("name", LEARNT)
def test_two_data_sets_with_other_models_train_together(name, predict, small_training):
    inputs, scores = small_training
    half = np.arange(len(scores)) < 150
    apart = scores.copy()
    apart[half, 0] = np.nan
    apart[~half, 1:] = np.nan
    predicted = predict(name, inputs, apart)
    assert np.isfinite(predicted).all()
    assert abs(predicted[:, 0].mean() - np.nanmean(apart[:, 0])) < 0.15


@pytest.mark.parametrize("name", LEARNT)
def test_a_model_measured_nowhere_gets_a_finite_quality(name, predict, small_training):
    inputs, scores = small_training
    scores = scores.copy()
    scores[:, 2] = np.nan
    assert np.isfinite(predict(name, inputs, scores)).all()
