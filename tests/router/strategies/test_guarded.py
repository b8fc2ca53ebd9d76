import numpy as np
import pytest

from routeiq_router.artifact import dump_artifact
from routeiq_router.errors import RouterError
from routeiq_router.router import Router
from routeiq_router.strategies.interface import Guarded, Inputs
from routeiq_router.strategies.registry import strategy


@pytest.fixture
def made(small_training, small_fitted):
    return small_fitted("guarded"), *small_training


@pytest.fixture
def load(small_params):
    def load(weights):
        return strategy("guarded").load(small_params["guarded"], weights, models=3, dimension=8, surface=27)

    return load


def _strange(inputs: Inputs) -> Inputs:
    return Inputs(-inputs.embeddings, -20 * np.ones_like(inputs.surface))


def test_a_prompt_like_the_trained_ones_is_known_and_a_strange_one_is_not(made, load):
    weights, inputs, _ = made
    loaded = load(weights)
    assert isinstance(loaded, Guarded)
    assert loaded.known(inputs).mean() > 0.95
    assert not loaded.known(_strange(inputs)).any()


def test_asked_at_once_it_says_the_same(made, load):
    weights, inputs, _ = made
    strange = _strange(inputs)
    both = Inputs(
        *(np.concatenate([getattr(i, n) for i in (inputs, strange)]) for n in ("embeddings", "surface"))
    )
    loaded = load(weights)
    predicted, known = loaded.predict_known(both)
    np.testing.assert_array_equal(predicted, loaded.predict(both))
    np.testing.assert_array_equal(known, loaded.known(both))


def test_for_a_strange_prompt_models_differ_as_their_means_do(made, load):
    weights, inputs, scores = made
    between = np.diff(load(weights).predict(_strange(inputs)), axis=1)
    clipped = np.diff(np.tile(scores.mean(0), (len(inputs), 1)), axis=1)
    np.testing.assert_allclose(between, clipped, atol=0.35)
    assert between.std(axis=0).max() < 0.2


def test_calibration_takes_back_a_bases_exaggeration(made, load):
    weights, inputs, scores = made
    wild = {**weights, "guard.slope": weights["guard.slope"] * 50}
    sane, said = (np.square(load(w).predict(inputs) - scores).mean() for w in (weights, wild))
    assert sane < said


@pytest.mark.parametrize("bounds", [[0.5, 0.2, 0.3], [0.1, 0.3, 0.2]])
def test_bounds_out_of_order_are_refused(made, load, bounds):
    with pytest.raises(RouterError, match=r"'guard\.bounds' is not in order"):
        load({**made[0], "guard.bounds": np.asarray(bounds, dtype=np.float32)})


def test_the_declared_order_decides_for_what_is_unknown_and_says_so(make_artifact, embedder_files):
    artifact = make_artifact("guarded")
    never = {**artifact.weights, "guard.bounds": np.asarray([2, 2, 2], dtype=np.float32)}
    router = Router.load(dump_artifact(make_artifact("guarded", weights=never)), embedder_files)
    groups = {"b": "all-70b", "a": "maths-7b"}
    for _ in range(2):
        decision = router.rank("add the number 3", groups)
        assert (decision.group, decision.score) == ("b", None)
        assert decision.reason == "declared order: the prompt is unlike all that the artifact was trained on"
    assert router.recall("add the number 3", groups).reason == decision.reason


@pytest.mark.parametrize(
    "text", ["Сколько будет два плюс два?", "二加二等于多少?", "كم يساوي اثنان زائد اثنين"]
)
def test_another_script_than_the_trained_ones_leaves_the_declared_order(make_artifact, embedder_files, text):
    artifact = make_artifact("ridge", training={"seed": 0, "foreign_prompts": 0})
    router = Router.load(dump_artifact(artifact), embedder_files)
    decision = router.rank(text, {"b": "all-70b", "a": "maths-7b"})
    assert decision.group == "b"
    assert "in a script that the artifact was not trained on" in decision.reason
    assert router.rank("Wie viel ist zwei plus zwei, größer als π?", {"b": "all-70b"}).score is not None
    learnt = make_artifact("ridge", training={"seed": 0, "foreign_prompts": 7})
    assert Router.load(dump_artifact(learnt), embedder_files).rank(text, {"b": "all-70b"}).score is not None
