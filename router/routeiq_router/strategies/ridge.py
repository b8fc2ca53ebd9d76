"""Ridge regression of each model's quality on the embedding and the prompt's surface.

Fitted per group of models measured on the same prompts, so a missing score is left out, never read as zero.
Hoerl and Kennard, "Ridge Regression" (1970); the smallest artifact of all (a few KB per model).
"""

from dataclasses import dataclass

import numpy as np

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

__all__ = ["STRATEGY", "RidgeStrategy"]


@dataclass(frozen=True)
class _RidgePredictor:
    coefficients: FloatArray  # [dimension + surface, models]
    intercept: FloatArray  # [models]

    def predict(self, inputs: Inputs) -> FloatArray:
        features = np.concatenate([inputs.embeddings, inputs.surface], axis=1)
        predicted: FloatArray = np.clip(features @ self.coefficients + self.intercept, 0, 1)
        return predicted


class RidgeStrategy:
    """See the module."""

    name = "ridge"
    summary = "linear regression with an L2 penalty on embedding and surface features"
    needs = "embedding, surface features"

    def select(self, cross_predict: CrossPredict, scores: FloatArray) -> Params:
        """Choose the penalty."""
        grid = [{"alpha": alpha} for alpha in (1.0, 3.0, 10.0, 30.0, 100.0)]
        return best_of(self, grid, cross_predict, scores)

    def fit(self, inputs: Inputs, scores: FloatArray, params: Params, *, seed: int) -> Arrays:
        """Solve per group of models with the same measured prompts; deterministic, so `seed` is not used."""
        from sklearn.linear_model import Ridge  # noqa: PLC0415 - training only

        del seed
        features = np.concatenate([inputs.embeddings, inputs.surface], axis=1).astype(np.float64)
        coefficients = np.zeros((features.shape[1], scores.shape[1]), dtype=np.float32)
        intercept = np.zeros(scores.shape[1], dtype=np.float32)
        measured = ~np.isnan(scores)
        for pattern in np.unique(measured, axis=1).T:
            columns = np.flatnonzero((measured == pattern[:, None]).all(axis=0))
            if not pattern.any():
                continue
            solver = Ridge(alpha=number(params, "alpha", 1e-6, 1e6), solver="cholesky")
            solver.fit(features[pattern], scores[pattern][:, columns].astype(np.float64))
            coefficients[:, columns] = solver.coef_.reshape(len(columns), -1).T
            intercept[columns] = solver.intercept_
        return {"coefficients": coefficients, "intercept": intercept}

    def load(
        self, params: Params, weights: Arrays, *, models: int, dimension: int, surface: int
    ) -> _RidgePredictor:
        """Check the two tensors."""
        number(params, "alpha", 1e-6, 1e6)
        return _RidgePredictor(
            need(weights, "coefficients", np.float32, (dimension + surface, models)),
            need(weights, "intercept", np.float32, (models,)),
        )


STRATEGY = RidgeStrategy()
