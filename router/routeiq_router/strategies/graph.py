"""Label propagation over prompts and models: scores flow between near prompts and between models that agree.

The graph joins each training prompt to its nearest and each model to those whose scores rise and fall with its own;
what was measured pulls back to itself. The smoothed scores are then looked up by nearness, as `knn` does.
Zhou et al., "Learning with Local and Global Consistency" (2003); for routing Feng et al., "GraphRouter" (2024).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from routeiq_router.strategies.common import model_means
from routeiq_router.strategies.interface import (
    Arrays,
    CrossPredict,
    FloatArray,
    Inputs,
    Params,
    Predictor,
    best_of,
    number,
)
from routeiq_router.strategies.registry import strategy

__all__ = ["STRATEGY", "GraphStrategy"]

_INDEX = "knn"
_BLOCK = 512
_ROUNDS = 8
_LOOK_UP: Params = {
    "components": 64,
    "neighbours": 30,
    "surface_weight": 0.5,
    "temperature": 0.1,
    "temperature_between": 0.1,
}
_Table = NDArray[np.float64]


class GraphStrategy:
    """See the module. The artifact is the index of `knn`, over smoothed scores."""

    name = "graph"
    summary = "label propagation over near prompts and agreeing models, looked up by nearness"
    needs = "embedding, surface features; some seconds to train per ten thousand prompts"

    def select(self, cross_predict: CrossPredict, scores: FloatArray) -> Params:
        """Choose how much flows between prompts, then between models."""
        start: Params = {**_LOOK_UP, "edges": 20, "between_models": 0.1}
        best = best_of(self, [{**start, "flow": f} for f in (0.3, 0.6, 0.8)], cross_predict, scores)
        return best_of(self, [{**best, "between_models": b} for b in (0.0, 0.1, 0.3)], cross_predict, scores)

    def fit(self, inputs: Inputs, scores: FloatArray, params: Params, *, seed: int) -> Arrays:
        """Smooth the scores over the graph, then build the index."""
        near, weight = _edges(inputs.embeddings, int(number(params, "edges", 1, 1000)))
        flow = number(params, "flow", 0, 0.999)
        agree = _agreement(scores) * number(params, "between_models", 0, 1)
        agree += (1 - number(params, "between_models", 0, 1)) * np.eye(len(agree))
        means, measured = model_means(scores).astype(np.float64), ~np.isnan(scores)
        given = np.where(measured, scores - means, 0.0)
        # What was not measured takes what flows to it, and gives nothing until something has.
        hold, trust = np.where(measured, 1 - flow, 0.0), measured.astype(np.float64)
        state = given
        for _ in range(_ROUNDS):
            reach = np.einsum("nk,nkm->nm", weight, trust[near])
            came = np.einsum("nk,nkm->nm", weight, (trust * state)[near]) / np.maximum(reach, 1e-9)
            state = hold * given + (1 - hold) * (came @ agree)
            trust = np.where(measured, 1.0, np.minimum(reach, 1.0))
        smooth = np.clip(state + means, 0, 1).astype(np.float32)
        # A model measured nowhere has no score that could flow.
        smooth[:, ~measured.any(axis=0)] = np.nan
        return strategy(_INDEX).fit(inputs, smooth, params, seed=seed)

    def load(
        self, params: Params, weights: Arrays, *, models: int, dimension: int, surface: int
    ) -> Predictor:
        """Check the index."""
        for name, low, high in (("edges", 1, 1000), ("flow", 0, 0.999), ("between_models", 0, 1)):
            number(params, name, low, high)
        return strategy(_INDEX).load(params, weights, models=models, dimension=dimension, surface=surface)


def _edges(vectors: FloatArray, count: int) -> tuple[NDArray[np.intp], _Table]:
    """Return each prompt's `count` nearest others [n, k] and their shares [n, k], which sum to one."""
    count = min(count, max(len(vectors) - 1, 1))
    near = np.empty((len(vectors), count), dtype=np.intp)
    weight = np.empty((len(vectors), count))
    for at in range(0, len(vectors), _BLOCK):
        rows = np.arange(at, min(at + _BLOCK, len(vectors)))
        similarity = (vectors[rows] @ vectors.T).astype(np.float64)
        if len(vectors) > 1:
            similarity[np.arange(len(rows)), rows] = -np.inf
        near[rows] = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
        close = np.take_along_axis(similarity, near[rows], axis=1)
        share = np.exp((close - close.max(axis=1, keepdims=True)) / 0.1)
        weight[rows] = share / share.sum(axis=1, keepdims=True)
    return near, weight


def _agreement(scores: FloatArray) -> NDArray[Any]:
    """Return how models rise and fall together [models, models]: columns of positive shares that sum to one."""
    rest = np.nan_to_num(scores - model_means(scores)).astype(np.float64)
    length = np.sqrt(np.square(rest).sum(axis=0))
    alike = np.clip(rest.T @ rest / np.maximum(np.outer(length, length), 1e-9), 0, None)
    np.fill_diagonal(alike, 1)
    shares: NDArray[Any] = alike / alike.sum(axis=0)
    return shares


STRATEGY = GraphStrategy()
