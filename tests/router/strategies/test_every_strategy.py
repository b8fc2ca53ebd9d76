"""What holds for every strategy, and for one that is added: D3."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routeiq_router.artifact import dump_artifact
from routeiq_router.data.split import fold_numbers
from routeiq_router.errors import RouterError
from routeiq_router.router import Router
from routeiq_router.strategies.registry import strategy, strategy_names
from routeiq_router.training.selection import Training, fit_predict, select_params

CONSTANT = {"best", "cheapest"}
ON_A_BASE = {"guarded", "irt"}


@pytest.mark.parametrize("name", strategy_names())
def test_it_learns_who_is_good_at_what_through_an_artifact(name, make_artifact, embedder_files):
    router = Router.load(dump_artifact(make_artifact(name)), embedder_files)
    adds, codes = (
        router.predict(text) for text in ("add the number 3 plus 4", "write code function that sorts list():")
    )
    assert all(0 <= value <= 1 for value in (*adds.values(), *codes.values()))
    if name in CONSTANT:
        assert adds == codes
    elif name != "guarded":  # these words are new to it: test_guarded.py
        assert adds["maths-7b"] - adds["code-13b"] > codes["maths-7b"] - codes["code-13b"] + 0.3


@pytest.mark.parametrize("name", strategy_names())
def test_the_same_seed_gives_the_same_arrays(name, small_training, small_params, small_fitted):
    one, two = strategy(name).fit(*small_training, small_params[name], seed=0), small_fitted(name)
    assert sorted(one) == sorted(two)
    assert all(np.array_equal(one[tensor], two[tensor]) for tensor in one)


@pytest.mark.parametrize("name", sorted(set(strategy_names()) - CONSTANT - ON_A_BASE))
def test_it_chooses_its_own_parameters_and_beats_the_means(name, small_training, small_set):
    inputs, scores = small_training
    rows = np.arange(0, len(scores), 3)
    folds = fold_numbers([row["prompt"] for row in small_set], 2)
    training = Training(inputs, scores, folds).take(rows)
    fits = []
    params = select_params(strategy(name), training, seed=0, advance=fits.append)
    rest = np.setdiff1d(np.arange(len(scores)), rows)
    predicted = fit_predict(strategy(name), training, params, inputs.take(rest), seed=0)
    assert len(fits) > 1
    assert np.mean((predicted - scores[rest]) ** 2) < 0.9 * np.mean(
        (scores[rows].mean(0) - scores[rest]) ** 2
    )


@pytest.mark.parametrize("name", sorted(ON_A_BASE))
def test_what_stands_on_the_ensemble_lets_it_choose(name, small_training):
    _, scores = small_training
    asked = []

    def cross_predict(candidate, params):
        asked.append(candidate.name)
        return np.full(scores.shape, 0.5 if params.get("alpha") == 10 else 0.9, dtype=np.float32)

    alone = strategy("ensemble").select(cross_predict, scores)
    assert strategy(name).select(cross_predict, scores)["base"] == alone
    assert {"knn", "mlp", "ridge"} <= set(asked)


@pytest.mark.parametrize("name", sorted(set(strategy_names()) - {"cheapest"}))
def test_weights_for_another_number_of_models_are_refused(name, small_training, small_params, small_fitted):
    made = small_fitted(name)
    size = small_training[0].surface.shape[1]
    with pytest.raises(RouterError, match=r"weights\.safetensors: tensor .* is .*, want"):
        strategy(name).load(small_params[name], made, models=4, dimension=8, surface=size)


@pytest.mark.parametrize("name", sorted(set(strategy_names()) - {"cheapest"}))
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(draw=st.data())
def test_a_tensor_that_is_missing_misshapen_or_not_finite_is_refused(
    name, draw, small_training, small_params, small_fitted
):
    inputs, _ = small_training
    made = small_fitted(name)
    tensor = draw.draw(st.sampled_from(sorted(made)))
    array = made[tensor]
    faults = ["missing", "other type", "one dimension more"]
    faults += ["not finite"] if np.issubdtype(array.dtype, np.floating) else []
    fault = draw.draw(st.sampled_from(faults))
    if fault == "missing":
        del made[tensor]
    elif fault == "other type":
        made[tensor] = array.astype(np.float16)
    elif fault == "one dimension more":
        made[tensor] = array[None]
    else:
        broken = array.copy()
        at = draw.draw(st.integers(0, array.size - 1))
        broken.reshape(-1)[at] = draw.draw(st.sampled_from([np.nan, np.inf, -np.inf]))
        made[tensor] = broken
    with pytest.raises(RouterError, match=r"weights\.safetensors: tensor"):
        strategy(name).load(small_params[name], made, models=3, dimension=8, surface=inputs.surface.shape[1])


@pytest.mark.parametrize("name", sorted(set(strategy_names()) - CONSTANT))
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=st.sampled_from([None, "1", True, [], {}, -1, 1e300, float("nan")]), draw=st.data())
def test_hostile_parameters_are_refused(name, value, draw, small_training, small_params, small_fitted):
    inputs, _ = small_training
    made = small_fitted(name)
    load = strategy(name).load
    needed = [
        key
        for key in small_params[name]
        if not _loads(
            load, {k: v for k, v in small_params[name].items() if k != key}, made, inputs.surface.shape[1]
        )
    ]
    assert needed
    key = draw.draw(st.sampled_from(needed))
    assert not _loads(load, {**small_params[name], key: value}, made, inputs.surface.shape[1])


def _loads(load, params, made, surface) -> bool:
    try:
        load(params, made, models=3, dimension=8, surface=surface)
    except RouterError as error:
        return not str(error).startswith("router.json: parameter")
    return True
