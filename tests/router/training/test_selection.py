import numpy as np
import pytest

from routeiq_router.strategies.interface import best_of
from routeiq_router.training.selection import Training, nested_predictions, select_params


class Recorder:
    """A strategy that remembers which prompts (by the first number of their vector) it learnt from and judged."""

    name, summary, needs = "recorder", "", ""

    def __init__(self):
        self.log: list[tuple[frozenset, frozenset]] = []

    def select(self, cross_predict, scores):
        return best_of(self, [{"level": 0.2}, {"level": 0.7}, {"level": 0.2}], cross_predict, scores)

    def fit(self, inputs, scores, params, *, seed):
        return {"seen": inputs.embeddings[:, 0]}

    def load(self, params, weights, *, models, dimension, surface):
        log = self.log

        class Predictor:
            def predict(self, inputs):
                log.append((frozenset(weights["seen"]), frozenset(inputs.embeddings[:, 0])))
                return np.full((len(inputs), models), params["level"], dtype=np.float32)

        return Predictor()


@pytest.fixture
def training(small_training) -> Training:
    inputs, scores = small_training
    inputs.embeddings[:, 0] = np.arange(len(scores))
    return Training(inputs, scores, np.arange(len(scores)) % 5)


def test_each_pair_is_fitted_once_and_judged_on_prompts_it_has_not_seen(training):
    strategy, fits = Recorder(), []
    params = select_params(strategy, training, seed=0, advance=fits.append)
    assert params == {"level": 0.7}
    assert len(fits) == 2
    assert len(strategy.log) == 2 * 5
    assert all(not seen & judged for seen, judged in strategy.log)


def test_nested_predictions_never_let_a_prompt_choose_what_judges_it(training):
    strategy = Recorder()
    outer = (np.arange(300) // 5) % 3
    predicted = nested_predictions(strategy, training, outer, seed=0, advance=lambda _: None)
    assert (predicted == np.float32(0.7)).all()
    for fold in range(3):
        inside = {float(row) for row in np.flatnonzero(outer != fold)}
        runs = strategy.log[fold * 11 : fold * 11 + 11]
        assert all(seen <= inside for seen, _ in runs)
        assert all(judged <= inside for _, judged in runs[:-1])
        assert not runs[-1][1] & inside
