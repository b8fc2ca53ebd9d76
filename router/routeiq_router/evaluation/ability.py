"""A model that was not in training, judged by some answers of its own: its ability, fitted on known difficulty. Pure.

What a trained router predicts for the models it knows says how hard a prompt is and for whom. A new model's quality is
regressed on that from its calibration answers, with a prior that it is as good as the known models are on average, and
differs from prompt to prompt as they do. This is evaluation's own simple fit, to judge strategies alike.
"""

from dataclasses import dataclass

import numpy as np

from routeiq_router.evaluation.hull import Array

__all__ = ["Ability", "fit_ability"]

_LEVEL_PENALTY = 10.0
_LIKENESS_PENALTY = 3.0
_FREE = 1e-3


@dataclass(frozen=True, slots=True)
class Ability:
    """A linear map from the known models' predicted qualities to the new model's."""

    weights: Array  # [2 + known]

    def predict(self, known: Array) -> Array:
        """Return the new model's quality [n], 0..1, from the known models' predicted ones [n, known]."""
        return np.asarray(np.clip(_design(known) @ self.weights, 0, 1))


def fit_ability(known: Array, answers: Array) -> Ability:
    """Fit on calibration prompts: the known models' predicted qualities [k, known] and the new one's scores [k]."""
    table, models = _design(known), known.shape[1]
    penalty = np.asarray([_FREE, _LEVEL_PENALTY, *[_LIKENESS_PENALTY] * models])
    prior = np.asarray([0.0, 1.0, *[0.0] * models])
    step = np.linalg.solve(table.T @ table + np.diag(penalty), table.T @ (answers - table @ prior))
    return Ability(prior + step)


def _design(known: Array) -> Array:
    level = known.mean(axis=1, keepdims=True)
    return np.concatenate([np.ones_like(level), level, known - level], axis=1)
