"""A linear support vector machine per model: does it answer well? Its margin becomes a quality by Platt's method.

Margins are mapped on folds that the machine did not see. (A machine on the winner's label was measured to be
worthless: what is classified is each model's own success.)
Cortes and Vapnik, "Support-Vector Networks" (1995); Platt, "Probabilistic Outputs for SVMs" (1999).
"""

import numpy as np
from numpy.typing import NDArray

from routeiq_router.strategies.common import (
    LinearLogits,
    add_intercept,
    features,
    model_means,
    platt,
    to_logit,
)
from routeiq_router.strategies.interface import (
    Arrays,
    CrossPredict,
    FloatArray,
    Inputs,
    Params,
    best_of,
    number,
)

__all__ = ["STRATEGY", "SvmStrategy"]

_FOLDS = 2
_MIN_SCORES = 20
_MAX_STEPS = 200
_Table = NDArray[np.float64]


class SvmStrategy:
    """See the module."""

    name = "svm"
    summary = "a linear support vector machine per model, margins mapped to quality (Platt)"
    needs = "embedding, surface features"

    def select(self, cross_predict: CrossPredict, scores: FloatArray) -> Params:
        """Choose the inverse penalty."""
        return best_of(self, [{"c": c} for c in (0.01, 0.03, 0.1)], cross_predict, scores)

    def fit(self, inputs: Inputs, scores: FloatArray, params: Params, *, seed: int) -> Arrays:
        """Fit all models at once; the folds of Platt's map are drawn from `seed`."""
        table, c = add_intercept(features(inputs)), number(params, "c", 1e-6, 1e6)
        folds = np.random.default_rng(seed).permutation(len(table)) % _FOLDS
        margins = np.zeros(scores.shape)
        for fold in range(_FOLDS):
            machines = _machines(table[folds != fold], scores[folds != fold], c)
            margins[folds == fold] = table[folds == fold] @ machines
        machines = _machines(table, scores, c)
        intercept = to_logit(model_means(scores))
        for column in range(scores.shape[1]):
            rows = np.flatnonzero(~np.isnan(scores[:, column]))
            slope, start = _platt(margins[rows, column], scores[rows, column], intercept[column])
            machines[:, column] *= slope
            machines[-1, column] += start
        return {
            "coefficients": machines[:-1].astype(np.float32),
            "intercept": machines[-1].astype(np.float32),
        }

    def load(
        self, params: Params, weights: Arrays, *, models: int, dimension: int, surface: int
    ) -> LinearLogits:
        """Check the two tensors."""
        number(params, "c", 1e-6, 1e6)
        return LinearLogits.of(weights, size=dimension + surface, models=models)


def _platt(margins: _Table, scores: FloatArray, start: float) -> tuple[float, float]:
    """Return slope and intercept in logits; a model measured on too little keeps its mean, `start`."""
    if len(scores) < _MIN_SCORES:
        return 0.0, float(start)
    return platt(margins, scores, penalty=1e-3)


def _machines(table: _Table, scores: FloatArray, c: float) -> _Table:
    """Return coefficients [features + 1, models] of the least squared hinge; a score is a share of successes."""
    from scipy.optimize import minimize  # type: ignore[import-untyped]  # noqa: PLC0415

    measured = ~np.isnan(scores)
    good = np.where(measured, scores, 0).astype(np.float64)
    bad = np.where(measured, 1 - good, 0)
    shape = (table.shape[1], scores.shape[1])

    def loss(flat: _Table) -> tuple[float, _Table]:
        weights = flat.reshape(shape)
        margin = table @ weights
        short, over = np.maximum(1 - margin, 0), np.maximum(1 + margin, 0)
        value = 0.5 * np.square(weights[:-1]).sum() + c * (good * short**2 + bad * over**2).sum()
        slope = 2 * c * (table.T @ (bad * over - good * short))
        slope[:-1] += weights[:-1]
        return float(value), slope.ravel()

    found: _Table = minimize(
        loss,
        np.zeros(shape).ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _MAX_STEPS, "ftol": 1e-5},
    ).x
    return found.reshape(shape)


STRATEGY = SvmStrategy()
