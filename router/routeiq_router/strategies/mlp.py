"""A network with one hidden layer for all models at once; cross-entropy over the scores that were measured.

Plain numpy: Adam on seeded mini-batches, a fixed number of epochs, no early stop, so that training is repeatable.
A missing score has no gradient. Rumelhart, Hinton and Williams (1986); Kingma and Ba, "Adam" (2015).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routeiq_router.strategies.common import features, from_logit, model_means, to_logit
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

__all__ = ["STRATEGY", "MlpStrategy"]

_EPOCHS = 20
_LEAST_STEPS = 800
"""Small sets take more epochs."""
_BATCH = 128
_RATE = 2e-3
_BETAS = (0.9, 0.999)
_Table = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _MlpPredictor:
    first: FloatArray  # [dimension + surface + 1, hidden]
    second: FloatArray  # [hidden + 1, models]

    def predict(self, inputs: Inputs) -> FloatArray:
        table = np.concatenate([inputs.embeddings, inputs.surface], axis=1)
        hidden = np.maximum(table @ self.first[:-1] + self.first[-1], 0)
        predicted: FloatArray = from_logit(hidden @ self.second[:-1] + self.second[-1])
        return predicted


class MlpStrategy:
    """See the module."""

    name = "mlp"
    summary = "a network with one hidden layer for all models at once"
    needs = "embedding, surface features"

    def select(self, cross_predict: CrossPredict, scores: FloatArray) -> Params:
        """Choose the weight decay, then the width."""
        start: Params = {"hidden": 32}
        best = best_of(self, [{**start, "decay": d} for d in (0.003, 0.01, 0.03, 0.1)], cross_predict, scores)
        return best_of(self, [best, {**best, "hidden": 64}], cross_predict, scores)

    def fit(self, inputs: Inputs, scores: FloatArray, params: Params, *, seed: int) -> Arrays:
        """Train with draws from `seed`."""
        draw = np.random.default_rng(seed)
        table, hidden = features(inputs), int(number(params, "hidden", 1, 4096))
        measured = ~np.isnan(scores)
        target = np.nan_to_num(scores).astype(np.float64)
        first = draw.normal(0, 1, (table.shape[1] + 1, hidden)) / np.sqrt(table.shape[1])
        second = np.zeros((hidden + 1, scores.shape[1]))
        second[-1] = to_logit(model_means(scores))
        adam = _Adam([first, second], decay=number(params, "decay", 0, 100))
        batches = -(-len(table) // _BATCH)
        for _ in range(max(_EPOCHS, _LEAST_STEPS // batches)):
            order = draw.permutation(len(table))
            for at in range(0, len(order), _BATCH):
                rows = order[at : at + _BATCH]
                adam.step(_slopes(table[rows], target[rows], measured[rows], first, second))
        return {"first": first.astype(np.float32), "second": second.astype(np.float32)}

    def load(
        self, params: Params, weights: Arrays, *, models: int, dimension: int, surface: int
    ) -> _MlpPredictor:
        """Check the two tensors."""
        hidden = int(number(params, "hidden", 1, 4096))
        return _MlpPredictor(
            need(weights, "first", np.float32, (dimension + surface + 1, hidden)),
            need(weights, "second", np.float32, (hidden + 1, models)),
        )


class _Adam:
    """Changes the tables it was given, in place; decay is decoupled and spares the intercepts (the last rows)."""

    def __init__(self, tables: list[_Table], *, decay: float) -> None:
        self._tables = tables
        self._decay = decay
        self._means = [np.zeros_like(table) for table in tables]
        self._squares = [np.zeros_like(table) for table in tables]
        self._steps = 0

    def step(self, slopes: tuple[_Table, ...]) -> None:
        self._steps += 1
        for table, slope, mean, square in zip(self._tables, slopes, self._means, self._squares, strict=True):
            np.add(mean, (1 - _BETAS[0]) * (slope - mean), out=mean)
            np.add(square, (1 - _BETAS[1]) * (slope**2 - square), out=square)
            near = mean / (1 - _BETAS[0] ** self._steps)
            spread = np.sqrt(square / (1 - _BETAS[1] ** self._steps)) + 1e-8
            table[:-1] *= 1 - _RATE * self._decay
            np.subtract(table, _RATE * near / spread, out=table)


def _slopes(
    table: _Table, target: _Table, measured: NDArray[np.bool_], first: _Table, second: _Table
) -> tuple[_Table, _Table]:
    """Return the loss's gradient for both layers: mean over the batch, sum over the models."""
    hidden = np.maximum(table @ first[:-1] + first[-1], 0)
    fault = np.where(measured, from_logit(hidden @ second[:-1] + second[-1]) - target, 0) / len(table)
    back = (fault @ second[:-1].T) * (hidden > 0)
    return (
        np.concatenate([table.T @ back, back.sum(axis=0, keepdims=True)]),
        np.concatenate([hidden.T @ fault, fault.sum(axis=0, keepdims=True)]),
    )


STRATEGY = MlpStrategy()
