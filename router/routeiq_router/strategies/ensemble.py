"""A weighted mean of knn and ridge: neighbours know the tasks seen, the linear part carries across them.

Members are chosen each on its own, then their weight on the same cross-validated predictions.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from routeiq_router.errors import RouterError
from routeiq_router.strategies.interface import (
    Arrays,
    CrossPredict,
    FloatArray,
    Inputs,
    Params,
    Predictor,
    number,
    squared_error,
)
from routeiq_router.strategies.registry import strategy

__all__ = ["STRATEGY", "EnsembleStrategy"]

_MEMBERS = ("knn", "ridge")


@dataclass(frozen=True)
class _EnsemblePredictor:
    first: Predictor
    second: Predictor
    share: float

    def predict(self, inputs: Inputs) -> FloatArray:
        share = np.float32(self.share)
        mixed: FloatArray = share * self.first.predict(inputs) + (1 - share) * self.second.predict(inputs)
        return mixed


class EnsembleStrategy:
    """See the module. Parameters: `knn` and `ridge` (the members' own) and `knn_share` 0..1."""

    name = "ensemble"
    summary = "weighted mean of knn and ridge"
    needs = "embedding, surface features"

    def select(self, cross_predict: CrossPredict, scores: FloatArray) -> Params:
        """Choose each member's parameters, then the share of knn."""
        chosen = {name: strategy(name).select(cross_predict, scores) for name in _MEMBERS}
        first, second = (cross_predict(strategy(name), chosen[name]) for name in _MEMBERS)
        shares = [round(0.1 * step, 1) for step in range(11)]
        errors = [squared_error(np.float32(s) * first + np.float32(1 - s) * second, scores) for s in shares]
        return {**chosen, "knn_share": shares[int(np.argmin(np.round(errors, 9)))]}

    def fit(self, inputs: Inputs, scores: FloatArray, params: Params, *, seed: int) -> Arrays:
        """Fit both members; tensors are called `<member>.<tensor>`."""
        return {
            f"{name}.{tensor}": array
            for name in _MEMBERS
            for tensor, array in strategy(name).fit(inputs, scores, _member(params, name), seed=seed).items()
        }

    def load(
        self, params: Params, weights: Arrays, *, models: int, dimension: int, surface: int
    ) -> _EnsemblePredictor:
        """Load both members."""
        first, second = (
            strategy(name).load(
                _member(params, name),
                _own(weights, name),
                models=models,
                dimension=dimension,
                surface=surface,
            )
            for name in _MEMBERS
        )
        return _EnsemblePredictor(first, second, number(params, "knn_share", 0, 1))


def _member(params: Params, name: str) -> Params:
    member: Any = params.get(name)
    if not isinstance(member, dict):
        raise RouterError(f"router.json: parameters of {name!r} are missing", subject="router.json")
    return member


def _own(weights: Arrays, name: str) -> Arrays:
    prefix = f"{name}."
    return {key.removeprefix(prefix): array for key, array in weights.items() if key.startswith(prefix)}


STRATEGY = EnsembleStrategy()
