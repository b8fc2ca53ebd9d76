"""What several strategies need: features, missing scores, soft targets, sums that overflow nowhere. Pure.

No strategy of its own; it decides nothing about how quality is predicted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routeiq_router.strategies.interface import Arrays, FloatArray, Inputs, need

__all__ = [
    "LinearLogits",
    "add_intercept",
    "clusters_of",
    "features",
    "from_logit",
    "measured_groups",
    "model_means",
    "platt",
    "soft_targets",
    "to_logit",
]

_EDGE = 0.01
_LARGEST_LOGIT = 30.0
_STEPS = 50


def features(inputs: Inputs) -> NDArray[np.float64]:
    """Return embedding and surface features side by side, [n, dimension + surface]."""
    return np.concatenate([inputs.embeddings, inputs.surface], axis=1).astype(np.float64)


def add_intercept(table: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return `table` with a last column of ones."""
    return np.concatenate([table, np.ones((len(table), 1))], axis=1)


def clusters_of(
    table: NDArray[np.float64], count: int, *, seed: int, rounds: int = 30
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return at most `count` centroids [k, d] and the cluster of each row [n]: k-means by Lloyd's algorithm.

    Starts are drawn by k-means++ (Arthur and Vassilvitskii, 2007) from `seed`; fewer distinct rows give fewer clusters.
    """
    draw, square = np.random.default_rng(seed), np.square(table).sum(axis=1)
    starts = [int(draw.integers(len(table)))]
    far = np.full(len(table), np.inf)
    while len(starts) < min(count, len(table)):
        last = table[starts[-1]]
        far = np.minimum(far, np.maximum(square - 2 * (table @ last) + last @ last, 0))
        total = np.cumsum(np.where(far > 1e-9, far, 0))
        if total[-1] <= 0:
            break
        starts.append(int(np.searchsorted(total, draw.random() * total[-1], side="right")))
    centroids = table[starts]
    member = np.zeros(len(table), dtype=np.intp)
    for turn in range(rounds):
        near = np.argmax(table @ centroids.T - 0.5 * np.square(centroids).sum(axis=1), axis=1)
        if turn and np.array_equal(near, member):
            break
        member = near
        own = np.equal(member[:, None], np.arange(len(centroids))).astype(np.float64)
        size = own.sum(axis=0)
        # A cluster that lost all its rows stays where it was.
        centroids = np.where(size[:, None] > 0, (own.T @ table) / np.maximum(size, 1)[:, None], centroids)
    return centroids, member


def from_logit(value: NDArray[np.floating[Any]]) -> NDArray[Any]:
    """Return 1 / (1 + exp(-value)), without overflow."""
    result: NDArray[Any] = 1 / (1 + np.exp(-np.clip(value, -_LARGEST_LOGIT, _LARGEST_LOGIT)))
    return result


def to_logit(quality: NDArray[np.floating[Any]]) -> NDArray[Any]:
    """Return log(q / (1 - q)) of qualities drawn in from 0 and 1 by a hundredth."""
    inside = np.clip(quality, _EDGE, 1 - _EDGE)
    result: NDArray[Any] = np.log(inside / (1 - inside))
    return result


def model_means(scores: FloatArray) -> FloatArray:
    """Return each model's mean over the prompts where it was measured [models]; 0.5 where it never was."""
    measured = ~np.isnan(scores)
    total = np.where(measured, scores, 0).sum(axis=0, dtype=np.float64)
    count = measured.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), 0.5).astype(np.float32)


def measured_groups(scores: FloatArray) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Give (rows, columns) of the models measured on the same prompts; models measured nowhere are left out."""
    measured = ~np.isnan(scores)
    for pattern in np.unique(measured, axis=1).T:
        rows = np.flatnonzero(pattern)
        if len(rows):
            yield rows, np.flatnonzero((measured == pattern[:, None]).all(axis=0))


def soft_targets(
    table: NDArray[np.float64], scores: FloatArray
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Return (rows, labels, weights) for a classifier: a score of 0.3 is three tenths of a 1 and seven of a 0.

    `scores` is [n] without missing entries. Rows of weight zero are left out.
    """
    chance = scores.astype(np.float64)
    rows = np.concatenate([np.flatnonzero(chance > 0), np.flatnonzero(chance < 1)])
    ones = int((chance > 0).sum())
    labels = np.asarray([1] * ones + [0] * (len(rows) - ones), dtype=np.int64)
    weights = np.where(labels == 1, chance[rows], 1 - chance[rows])
    return table[rows], labels, weights


def platt(value: NDArray[Any], target: NDArray[Any], *, penalty: float) -> tuple[float, float]:
    """Return slope and intercept of a logistic curve through `value` [n] to `target` [n], 0..1.

    Drawn to the identity, slope 1 and intercept 0, with precision `penalty`; Newton's method with halved steps.
    Platt, "Probabilistic Outputs for SVMs" (1999).
    """
    table, target = add_intercept(value[:, None]), target.astype(np.float64)
    centre, precision = np.asarray([1.0, 0.0]), np.full(2, penalty)

    def loss(weights: NDArray[np.float64]) -> float:
        logit = np.clip(table @ weights, -_LARGEST_LOGIT, _LARGEST_LOGIT)
        fit = np.logaddexp(0, logit) - target * logit
        return float(fit.sum() + 0.5 * (precision * (weights - centre) ** 2).sum())

    weights, least = centre, loss(centre)
    for _ in range(_STEPS):
        chance = from_logit(table @ weights)
        slope = table.T @ (chance - target) + precision * (weights - centre)
        curve = (table * (chance * (1 - chance))[:, None]).T @ table + np.diag(precision)
        step, scale = np.linalg.solve(curve, slope), 1.0
        while loss(weights - scale * step) > least and scale > 1e-4:
            scale /= 2
        weights = weights - scale * step
        now = loss(weights)
        if least - now < 1e-9 * max(1.0, abs(least)):
            break
        least = now
    return float(weights[0]), float(weights[1])


@dataclass(frozen=True, slots=True)
class LinearLogits:
    """A `Predictor` that is linear in embedding and surface, in logits."""

    coefficients: FloatArray  # [dimension + surface, models]
    intercept: FloatArray  # [models]

    @classmethod
    def of(cls, weights: Arrays, *, size: int, models: int) -> "LinearLogits":
        """Check the two tensors; `size` is that of a prompt's features. Raises `RouterError`."""
        return cls(
            need(weights, "coefficients", np.float32, (size, models)),
            need(weights, "intercept", np.float32, (models,)),
        )

    def predict(self, inputs: Inputs) -> FloatArray:
        """See `Predictor.predict`."""
        table = np.concatenate([inputs.embeddings, inputs.surface], axis=1)
        predicted: FloatArray = from_logit(table @ self.coefficients + self.intercept)
        return predicted
