"""The mean quality over the nearest measured prompts, weighted by similarity.

The index holds no prompt: int8 vectors (centred, reduced by PCA, unit length) and the scores in steps of
1/254 (255: not measured). For each model only prompts on which it was measured are neighbours.
Cover and Hart, "Nearest neighbor pattern classification" (1967); for routing: "RouterBench" (2024).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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

__all__ = ["STRATEGY", "KnnStrategy"]

_MISSING = 255
_STEPS = 254
_BUDGET = 2_900_000
"""Bytes of the whole index: an artifact with it stays under 3 MB."""


@dataclass(frozen=True)
class _KnnPredictor:
    index: FloatArray  # [rows, components]
    projection: FloatArray  # [dimension, components]
    centre: FloatArray  # [dimension]
    groups: tuple[tuple[NDArray[np.intp], NDArray[np.intp], FloatArray], ...]  # columns, rows, scores
    prior: FloatArray  # [models]
    neighbours: int
    temperature: float

    def predict(self, inputs: Inputs) -> FloatArray:
        queries = _unit(np.asarray((inputs.embeddings - self.centre) @ self.projection, dtype=np.float32))
        result = np.tile(self.prior, (len(inputs), 1))
        similarity = queries @ self.index.T
        for columns, rows, scores in self.groups:
            near = similarity if len(rows) == len(self.index) else similarity[:, rows]
            result[:, columns] = self._mean(near, scores)
        return result

    def _mean(self, similarity: FloatArray, scores: FloatArray) -> FloatArray:
        count = min(self.neighbours, similarity.shape[1])
        nearest = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
        near = np.take_along_axis(similarity, nearest, axis=1)
        weight = np.exp((near - near.max(axis=1, keepdims=True)) / self.temperature)
        weight /= weight.sum(axis=1, keepdims=True)
        mean: FloatArray = np.einsum("nk,nkm->nm", weight, scores[nearest])
        return mean


class KnnStrategy:
    """See the module."""

    name = "knn"
    summary = "similarity-weighted mean over the nearest measured prompts (int8 index)"
    needs = "embedding"

    def select(self, cross_predict: CrossPredict, scores: FloatArray) -> Params:
        """Choose the number of neighbours and how fast their weight falls, then the number of components."""
        grid = [
            {"components": 128, "neighbours": k, "temperature": t}
            for k in (30, 60, 100, 200)
            for t in (0.05, 0.1, 0.3)
        ]
        best = best_of(self, grid, cross_predict, scores)
        return best_of(self, [{**best, "components": c} for c in (64, 128, 256)], cross_predict, scores)

    def fit(self, inputs: Inputs, scores: FloatArray, params: Params, *, seed: int) -> Arrays:
        """Build the index; a set too large for the budget is thinned by a seeded draw."""
        from sklearn.decomposition import PCA  # noqa: PLC0415 - training only

        dimension = inputs.embeddings.shape[1]
        components = min(int(number(params, "components", 1, 4096)), dimension, len(inputs))
        room = (_BUDGET - 4 * dimension * (components + 1)) // (components + scores.shape[1])
        if len(inputs) > room:
            rows = np.sort(np.random.default_rng(seed).choice(len(inputs), size=room, replace=False))
            inputs, scores = inputs.take(rows), scores[rows]
        pca = PCA(n_components=components, svd_solver="covariance_eigh").fit(
            inputs.embeddings.astype(np.float64)
        )
        projection, centre = pca.components_.T.astype(np.float32), pca.mean_.astype(np.float32)
        vectors = _unit((inputs.embeddings - centre) @ projection)
        scale = np.float32(max(float(np.abs(vectors).max()), 1e-6) / 127)
        steps = np.where(np.isnan(scores), _MISSING, np.round(np.nan_to_num(scores) * _STEPS))
        return {
            "centre": centre,
            "index": np.round(vectors / scale).astype(np.int8),
            "prior": np.asarray([_mean_or_half(column) for column in scores.T], dtype=np.float32),
            "projection": np.ascontiguousarray(projection),
            "scale": np.asarray([scale], dtype=np.float32),
            "scores": steps.astype(np.uint8),
        }

    def load(
        self, params: Params, weights: Arrays, *, models: int, dimension: int, surface: int
    ) -> _KnnPredictor:
        """Check the six tensors and unpack the index to float32."""
        del surface
        index = need(weights, "index", np.int8, (None, None))
        rows, components = index.shape
        steps = need(weights, "scores", np.uint8, (rows, models))
        measured = steps != _MISSING
        groups: list[tuple[NDArray[np.intp], NDArray[np.intp], FloatArray]] = []
        for pattern in np.unique(measured, axis=1).T:
            columns = np.flatnonzero((measured == pattern[:, None]).all(axis=0))
            members = np.flatnonzero(pattern)
            if len(members):
                scores = steps[members][:, columns].astype(np.float32) / np.float32(_STEPS)
                groups.append((columns, members, scores))
        return _KnnPredictor(
            index=index.astype(np.float32) * need(weights, "scale", np.float32, (1,)),
            projection=need(weights, "projection", np.float32, (dimension, components)),
            centre=need(weights, "centre", np.float32, (dimension,)),
            groups=tuple(groups),
            prior=np.clip(need(weights, "prior", np.float32, (models,)), 0, 1),
            neighbours=int(number(params, "neighbours", 1, 100_000)),
            temperature=number(params, "temperature", 1e-3, 1e3),
        )


def _unit(vectors: FloatArray) -> FloatArray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: FloatArray = vectors / np.maximum(length, np.float32(1e-9))
    return unit


def _mean_or_half(column: FloatArray) -> float:
    measured = column[~np.isnan(column)]
    return float(measured.mean()) if len(measured) else 0.5


STRATEGY = KnnStrategy()
