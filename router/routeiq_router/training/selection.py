"""Chooses hyperparameters by cross-validation over folds of prompt hashes.

Whoever reports a figure must take it on prompts that were not here: `nested_predictions` does, with an outer
loop that repeats the choice for every fold.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routeiq_router.strategies.interface import FloatArray, Inputs, Params, Strategy, predict_blocks

__all__ = ["INNER_FOLDS", "Training", "fit_predict", "nested_predictions", "select_params"]

INNER_FOLDS = 5


@dataclass(frozen=True)
class Training:
    """What a strategy may learn from."""

    inputs: Inputs
    scores: FloatArray  # [n, models], NaN: not measured
    folds: NDArray[np.int64]  # [n], for choosing

    def take(self, rows: NDArray[np.intp]) -> "Training":
        """Return the prompts at `rows`."""
        return Training(self.inputs.take(rows), self.scores[rows], self.folds[rows])


def select_params(
    strategy: Strategy, training: Training, *, seed: int, advance: Callable[[int], object]
) -> Params:
    """Let the strategy choose; every (strategy, parameters) pair is fitted once. `advance(1)` per fit."""
    seen: dict[str, FloatArray] = {}

    def cross_predict(candidate: Strategy, params: Params) -> FloatArray:
        key = json.dumps([candidate.name, params], sort_keys=True)
        if key not in seen:
            seen[key] = _cross_predict(candidate, training, params, seed=seed)
            advance(1)
        return seen[key]

    return strategy.select(cross_predict, training.scores)


def fit_predict(
    strategy: Strategy, training: Training, params: Params, inputs: Inputs, *, seed: int
) -> FloatArray:
    """Fit on `training` and return the predictions [n, models] for `inputs`, through the weights as stored."""
    weights = strategy.fit(training.inputs, training.scores, params, seed=seed)
    predictor = strategy.load(
        params,
        weights,
        models=training.scores.shape[1],
        dimension=inputs.embeddings.shape[1],
        surface=inputs.surface.shape[1],
    )
    return predict_blocks(predictor, inputs)


def nested_predictions(
    strategy: Strategy,
    training: Training,
    outer: NDArray[np.int64],
    *,
    seed: int,
    advance: Callable[[int], object],
) -> FloatArray:
    """Return predictions [n, models] in which no prompt had a part in fitting or choosing what judged it."""
    result = np.zeros_like(training.scores)
    for fold in np.unique(outer):
        inside, outside = np.flatnonzero(outer != fold), np.flatnonzero(outer == fold)
        part = training.take(inside)
        params = select_params(strategy, part, seed=seed, advance=advance)
        result[outside] = fit_predict(strategy, part, params, training.inputs.take(outside), seed=seed)
    return result


def _cross_predict(strategy: Strategy, training: Training, params: Params, *, seed: int) -> FloatArray:
    result = np.zeros_like(training.scores)
    for fold in np.unique(training.folds):
        inside, outside = np.flatnonzero(training.folds != fold), np.flatnonzero(training.folds == fold)
        part, rest = training.take(inside), training.inputs.take(outside)
        result[outside] = fit_predict(strategy, part, params, rest, seed=seed)
    return result
