"""Matrix factorisation: prompts and models meet in a few dimensions, and the prompt's place comes from its text.

quality = mean + place(prompt) . model. Prompts by models is completed from what was measured by alternating least
squares, then the place is regressed on the prompt's features: a model's vector holds what it shares with others, so few
answers place it. Koren, Bell and Volinsky, "Matrix Factorization Techniques" (2009); for routing Ong et al.,
"RouteLLM" (2024).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routeiq_router.strategies.common import add_intercept, features, model_means
from routeiq_router.strategies.interface import (
    Arrays,
    CrossPredict,
    FloatArray,
    Inputs,
    Params,
    best_of,
    need,
    number,
)

__all__ = ["STRATEGY", "MfStrategy"]

_ROUNDS = 15
_Table = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _MfPredictor:
    place: FloatArray  # [dimension + surface + 1, rank]
    models: FloatArray  # [rank, models]
    means: FloatArray  # [models]

    def predict(self, inputs: Inputs) -> FloatArray:
        table = np.concatenate([inputs.embeddings, inputs.surface], axis=1)
        predicted: FloatArray = np.clip(
            (table @ self.place[:-1] + self.place[-1]) @ self.models + self.means, 0, 1
        )
        return predicted


class MfStrategy:
    """See the module."""

    name = "mf"
    summary = "matrix factorisation of prompts by models, the prompt's place regressed on its text"
    needs = "embedding, surface features; several models on the same prompts"

    def select(self, cross_predict: CrossPredict, scores: FloatArray) -> Params:
        """Choose the rank, then the penalty of the regression."""
        most = scores.shape[1]
        ranks = sorted({min(rank, most) for rank in (1, 2, 4, 8)})
        best = best_of(self, [{"rank": rank, "alpha": 10.0} for rank in ranks], cross_predict, scores)
        return best_of(self, [{**best, "alpha": alpha} for alpha in (3.0, 10.0, 30.0)], cross_predict, scores)

    def fit(self, inputs: Inputs, scores: FloatArray, params: Params, *, seed: int) -> Arrays:
        """Complete the matrix from a start drawn from `seed`, then regress."""
        means = model_means(scores)
        measured = ~np.isnan(scores)
        rest = np.where(measured, scores - means, 0).astype(np.float64)
        rank = min(int(number(params, "rank", 1, 1000)), scores.shape[1])
        models = np.random.default_rng(seed).normal(0, 0.3, (rank, scores.shape[1]))
        places = np.zeros((len(scores), rank))
        for _ in range(_ROUNDS):
            places = _least_squares(models.T, rest.T, measured.T)
            models = _least_squares(places, rest, measured).T
        table = add_intercept(features(inputs))
        penalty = np.full(table.shape[1], number(params, "alpha", 1e-6, 1e6))
        penalty[-1] = 1e-6
        place = np.linalg.solve(table.T @ table + np.diag(penalty), table.T @ places)
        return {"place": place.astype(np.float32), "models": models.astype(np.float32), "means": means}

    def load(
        self, params: Params, weights: Arrays, *, models: int, dimension: int, surface: int
    ) -> _MfPredictor:
        """Check the three tensors."""
        number(params, "rank", 1, 1000)
        place = need(weights, "place", np.float32, (dimension + surface + 1, None))
        return _MfPredictor(
            place,
            need(weights, "models", np.float32, (place.shape[1], models)),
            need(weights, "means", np.float32, (models,)),
        )


def _least_squares(known: _Table, target: _Table, measured: NDArray[np.bool_]) -> _Table:
    """Return for each column of `target` [n, m] the penalised fit on `known` [n, rank]: [m, rank]."""
    rank, wanted = known.shape[1], measured.astype(np.float64)
    products = (known[:, :, None] * known[:, None, :]).reshape(len(known), rank * rank)
    curves = (wanted.T @ products).reshape(-1, rank, rank) + _penalty(len(known)) * np.eye(rank)
    slopes = (target * wanted).T @ known
    solved: _Table = np.linalg.solve(curves, slopes[:, :, None]).astype(np.float64)[:, :, 0]
    return solved


def _penalty(count: int) -> float:
    # A prompt's place has few scores behind it, a model's thousands.
    return 1.0 if count < 100 else 10.0


STRATEGY = MfStrategy()
