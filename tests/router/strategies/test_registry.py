import pytest

from routeiq_router import strategies
from routeiq_router.artifact import dump_artifact
from routeiq_router.errors import RouterError
from routeiq_router.router import Router
from routeiq_router.strategies.registry import strategy, strategy_names

ADDED = """
import numpy as np
from routeiq_router.strategies.interface import need

class Predictor:
    def __init__(self, means):
        self.means = means
    def predict(self, inputs):
        return np.tile(self.means, (len(inputs), 1))

class Constant:
    name, summary, needs = "constant", "each model's mean", "nothing"
    def select(self, cross_predict, scores):
        return {}
    def fit(self, inputs, scores, params, *, seed):
        return {"means": np.nanmean(scores, axis=0)}
    def load(self, params, weights, *, models, dimension, surface):
        return Predictor(need(weights, "means", np.float32, (models,)))

STRATEGY = Constant()
"""


ALL = [
    "best", "centroid", "cheapest", "elo", "ensemble", "graph", "guarded", "hybrid",
    "irt", "knn", "logistic", "mf", "mlp", "ridge", "svm",
]  # fmt: skip


def test_every_file_is_a_strategy_of_its_name():
    assert strategy_names() == ALL
    for name in strategy_names():
        found = strategy(name)
        assert found.name == name
        assert found.summary
        assert found.needs


def test_adding_a_strategy_is_adding_one_file(tmp_path, monkeypatch, make_artifact, embedder_files):  # D3
    (tmp_path / "constant.py").write_text(ADDED)
    monkeypatch.setattr(strategies, "__path__", [*strategies.__path__, str(tmp_path)])
    assert "constant" in strategy_names()
    means = strategy("constant").fit(None, make_artifact().weights["intercept"][None, :], {}, seed=0)
    artifact = make_artifact(strategy="constant", params={}, weights=means)
    router = Router.load(dump_artifact(artifact), embedder_files)
    assert router.predict("who") == pytest.approx(router.predict("add"))


@pytest.mark.parametrize("name", ["", "interface", "registry", "common", "os", "knn.", "../knn"])
def test_what_is_no_strategy_is_refused_with_those_that_are(name):
    with pytest.raises(RouterError, match="no such strategy") as caught:
        strategy(name)
    assert caught.value.hint == f"one of: {', '.join(ALL)}"
