"""Logistic regression of each model's success on the embedding and the prompt's surface.

A score between 0 and 1 is a share of successes. Each model is fitted on the prompts where it was measured, so a
missing score is left out, never read as zero. Cox, "The Regression Analysis of Binary Sequences" (1958).
"""

import numpy as np

from routeiq_router.strategies.common import LinearLogits, features, model_means, soft_targets, to_logit
from routeiq_router.strategies.interface import (
    Arrays,
    CrossPredict,
    FloatArray,
    Inputs,
    Params,
    best_of,
    number,
)

__all__ = ["STRATEGY", "LogisticStrategy"]

_MAX_STEPS = 400


class LogisticStrategy:
    """See the module."""

    name = "logistic"
    summary = "logistic regression of each model's success"
    needs = "embedding, surface features"

    def select(self, cross_predict: CrossPredict, scores: FloatArray) -> Params:
        """Choose the inverse penalty."""
        return best_of(self, [{"c": c} for c in (0.03, 0.1, 0.3, 1.0)], cross_predict, scores)

    def fit(self, inputs: Inputs, scores: FloatArray, params: Params, *, seed: int) -> Arrays:
        """Fit model by model; deterministic, so `seed` is not used."""
        from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - training only

        del seed
        table = features(inputs)
        coefficients = np.zeros((table.shape[1], scores.shape[1]), dtype=np.float32)
        # Until there is something to tell apart, a model's mean is the prediction.
        intercept = to_logit(model_means(scores)).astype(np.float32)
        for column in range(scores.shape[1]):
            measured = np.flatnonzero(~np.isnan(scores[:, column]))
            rows, labels, weights = soft_targets(table[measured], scores[measured, column])
            if len(np.unique(labels)) < 2:
                continue
            solver = LogisticRegression(C=number(params, "c", 1e-6, 1e6), max_iter=_MAX_STEPS)
            solver.fit(rows, labels, sample_weight=weights)
            coefficients[:, column] = solver.coef_[0]
            intercept[column] = solver.intercept_[0]
        return {"coefficients": coefficients, "intercept": intercept}

    def load(
        self, params: Params, weights: Arrays, *, models: int, dimension: int, surface: int
    ) -> LinearLogits:
        """Check the two tensors."""
        number(params, "c", 1e-6, 1e6)
        return LinearLogits.of(weights, size=dimension + surface, models=models)


STRATEGY = LogisticStrategy()
