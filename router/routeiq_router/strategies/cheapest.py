"""Equal quality for all models, so that the decision's tie goes to the cheapest: the other constant baseline."""

from dataclasses import dataclass

import numpy as np

from routeiq_router.strategies.interface import Arrays, CrossPredict, FloatArray, Inputs, Params

__all__ = ["STRATEGY", "CheapestStrategy"]

_SAME = 0.5


@dataclass(frozen=True, slots=True)
class _CheapestPredictor:
    models: int

    def predict(self, inputs: Inputs) -> FloatArray:
        return np.full((len(inputs), self.models), _SAME, dtype=np.float32)


class CheapestStrategy:
    """See the module."""

    name = "cheapest"
    summary = "the same quality for all models, so the cheapest answers"
    needs = "costs"

    def select(self, cross_predict: CrossPredict, scores: FloatArray) -> Params:
        """There is nothing to choose."""
        del cross_predict, scores
        return {}

    def fit(self, inputs: Inputs, scores: FloatArray, params: Params, *, seed: int) -> Arrays:
        """There is nothing to learn."""
        del inputs, scores, params, seed
        return {}

    def load(
        self, params: Params, weights: Arrays, *, models: int, dimension: int, surface: int
    ) -> _CheapestPredictor:
        """There is nothing to check."""
        del params, weights, dimension, surface
        return _CheapestPredictor(models)


STRATEGY = CheapestStrategy()
