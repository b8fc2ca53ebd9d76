"""A model that was not in training, judged by some answers of its own: its ability, fitted on known difficulty. Pure.

What a trained router predicts for the models it knows says how hard a prompt is and for whom. A new model's quality is
regressed on that from its calibration answers, with a prior that it is as good as the known models are on average, and
differs from prompt to prompt as they do. Bayesian linear regression (Bishop, "Pattern Recognition and Machine
Learning", 2006, 3.3), so each prediction has an interval, which shrinks with the answers.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ability", "fit_ability"]

_Array = NDArray[np.float64]
_LEVEL_PENALTY = 10.0
_LIKENESS_PENALTY = 3.0
_FREE = 1e-3
_LEAST_NOISE = 0.01
"""Variance of an answer about its quality: all answers right (or wrong) do not make a model certain."""


@dataclass(frozen=True, slots=True)
class Ability:
    """A linear map from the known models' predicted qualities to the new model's."""

    weights: _Array  # [2 + known]
    covariance: _Array  # [2 + known, 2 + known]

    def predict(self, known: _Array) -> _Array:
        """Return the new model's quality [n], 0..1, from the known models' predicted ones [n, known]."""
        return self.predict_with(self.weights, known)

    @staticmethod
    def predict_with(weights: _Array, known: _Array) -> _Array:
        """Return `predict` of the ability with these weights."""
        return np.asarray(np.clip(_design(known) @ weights, 0, 1))

    def mean(self, known: _Array) -> tuple[float, float]:
        """Return the mean quality over these prompts and its standard deviation due to having few answers."""
        row = _design(known).mean(axis=0)
        return float(self.predict(known).mean()), float(np.sqrt(row @ self.covariance @ row))


def fit_ability(known: _Array, answers: _Array) -> Ability:
    """Fit on calibration prompts: the known models' predicted qualities [k, known] and the new one's scores [k]."""
    table, models = _design(known), known.shape[1]
    penalty = np.asarray([_FREE, _LEVEL_PENALTY, *[_LIKENESS_PENALTY] * models])
    prior = np.asarray([0.0, 1.0, *[0.0] * models])
    curve = table.T @ table + np.diag(penalty)
    weights = prior + np.linalg.solve(curve, table.T @ (answers - table @ prior))
    noise = max(float(np.mean((answers - table @ weights) ** 2)) if len(answers) else 0.25, _LEAST_NOISE)
    return Ability(weights, np.asarray(noise * np.linalg.inv(curve), dtype=np.float64))


def _design(known: _Array) -> _Array:
    level = known.mean(axis=1, keepdims=True)
    return np.concatenate([np.ones_like(level), level, known - level], axis=1)
