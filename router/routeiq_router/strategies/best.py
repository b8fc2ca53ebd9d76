"""The constant baseline: each model's mean quality, whatever the prompt.

With a cost weight it picks one model for all prompts: a corner of the hull of single models.
"""

from dataclasses import dataclass

import numpy as np

from routeiq_router.strategies.common import model_means
from routeiq_router.strategies.interface import Arrays, CrossPredict, FloatArray, Inputs, Params, need

__all__ = ["STRATEGY", "BestStrategy"]


@dataclass(frozen=True, slots=True)
class _BestPredictor:
    means: FloatArray  # [models]

    def predict(self, inputs: Inputs) -> FloatArray:
        return np.tile(self.means, (len(inputs), 1))


class BestStrategy:
    """See the module."""

    name = "best"
    summary = "each model's mean quality, whatever the prompt: the constant baseline"
    needs = "scores"

    def select(self, cross_predict: CrossPredict, scores: FloatArray) -> Params:
        """There is nothing to choose."""
        del cross_predict, scores
        return {}

    def fit(self, inputs: Inputs, scores: FloatArray, params: Params, *, seed: int) -> Arrays:
        """Take the means of what was measured."""
        del inputs, params, seed
        return {"means": model_means(scores)}

    def load(
        self, params: Params, weights: Arrays, *, models: int, dimension: int, surface: int
    ) -> _BestPredictor:
        """Check the means."""
        del params, dimension, surface
        return _BestPredictor(need(weights, "means", np.float32, (models,)))


STRATEGY = BestStrategy()
