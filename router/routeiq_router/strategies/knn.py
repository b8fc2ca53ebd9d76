"""The mean quality over the nearest measured prompts, weighted by similarity.

Near means near in meaning (embedding) and in form (surface features). Two temperatures: how hard a prompt is
for all models is a local matter, how models differ is a smoother one, and it is the differences that route.
The index holds no prompt: int8 vectors (embedding centred and reduced by PCA, features standardised, unit
length) and the scores in steps of 1/254 (255: not measured). For each model only prompts on which it was
measured are neighbours.
Cover and Hart, "Nearest neighbor pattern classification" (1967); for routing: Hu et al., "RouterBench" (2024).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routeiq_router.space import Space, fit_space, pack_index, read_index, read_space
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


_GRID_WEIGHTS = (0.0, 0.3, 0.5, 0.7, 1.0)
_GRID_NEIGHBOURS = (30, 60, 100, 200)
_GRID_TEMPERATURES = (0.07, 0.1, 0.15, 0.2, 0.3, 1.0)
_GRID_COMPONENTS = (64, 128, 192)


@dataclass(frozen=True)
class _Group:
    """Models measured on the same prompts."""

    columns: NDArray[np.intp]
    rows: NDArray[np.intp] | None  # None: all
    scores: FloatArray  # [rows, columns]
    level: FloatArray  # [rows], their mean


@dataclass(frozen=True)
class _KnnPredictor:
    space: Space
    index: FloatArray  # [components + surface, rows]: read in order, twice as quick for one prompt
    groups: tuple[_Group, ...]
    prior: FloatArray  # [models]
    neighbours: int
    temperature: np.float32
    temperature_between: np.float32

    def predict(self, inputs: Inputs) -> FloatArray:
        return self.predict_near(inputs, 1)[0]

    def predict_near(self, inputs: Inputs, count: int) -> tuple[FloatArray, FloatArray]:
        similarity: FloatArray = self.space.place(inputs) @ self.index
        # One partition for both: those that are asked for are among the neighbours.
        ranked = _ranked(similarity, self.neighbours, count)
        near = _at(similarity, ranked[:, -count:])
        return self._predict(similarity, ranked[:, -self.neighbours :]), np.sort(near, axis=1)[:, ::-1]

    def _predict(self, similarity: FloatArray, nearest: NDArray[np.intp]) -> FloatArray:
        result = np.tile(self.prior, (len(similarity), 1))
        for group in self.groups:
            if group.rows is None:
                near, own = _at(similarity, nearest), nearest
            else:
                among = similarity[:, group.rows]
                own = _ranked(among, self.neighbours)[:, -self.neighbours :]
                near = _at(among, own)
            result[:, group.columns] = self._mean(near, own, group)
        return result

    def _mean(self, near: FloatArray, nearest: NDArray[np.intp], group: _Group) -> FloatArray:
        # Nearness above the nearest, made once for both temperatures.
        near = near - near.max(axis=1, keepdims=True)
        between = np.einsum("nk,nkm->nm", _shares(near, self.temperature_between), group.scores[nearest])
        level = (_shares(near, self.temperature) * group.level[nearest]).sum(axis=1, keepdims=True)
        mean: FloatArray = between - between.mean(axis=1, keepdims=True) + level
        return mean


class KnnStrategy:
    """See the module."""

    name = "knn"
    summary = "similarity-weighted mean over the nearest measured prompts (int8 index)"
    needs = "embedding, surface features"

    def select(self, cross_predict: CrossPredict, scores: FloatArray) -> Params:
        """Choose weight of form, number of neighbours and level's temperature; then the other two."""
        start: Params = {"components": 128, "neighbours": 100, "surface_weight": 0.5}
        weights = [_with(start, temperature=0.1, surface_weight=weight) for weight in _GRID_WEIGHTS]
        best = best_of(self, weights, cross_predict, scores)
        grid = [
            _with(best, neighbours=k, temperature=t) for k in _GRID_NEIGHBOURS for t in _GRID_TEMPERATURES
        ]
        best = best_of(self, grid, cross_predict, scores)
        smoother = [
            {**best, "temperature_between": t} for t in _GRID_TEMPERATURES if t >= best["temperature"]
        ]
        best = best_of(self, smoother, cross_predict, scores)
        return best_of(self, [{**best, "components": c} for c in _GRID_COMPONENTS], cross_predict, scores)

    def fit(self, inputs: Inputs, scores: FloatArray, params: Params, *, seed: int) -> Arrays:
        """Build the index; a set too large for the budget is thinned by a seeded draw."""
        rows, dimension = inputs.embeddings.shape
        size = inputs.surface.shape[1]
        components = min(int(number(params, "components", 1, 4096)), dimension, rows)
        room = (_BUDGET - 4 * dimension * (components + 1)) // (components + size + scores.shape[1])
        if rows > room:
            kept = np.sort(np.random.default_rng(seed).choice(rows, size=room, replace=False))
            inputs, scores = inputs.take(kept), scores[kept]
        space = fit_space(
            inputs, components=components, surface_weight=number(params, "surface_weight", 0, 100)
        )
        steps = np.where(np.isnan(scores), _MISSING, np.round(np.nan_to_num(scores) * _STEPS))
        return {
            **space.arrays(),
            **pack_index(space.place(inputs)),
            "prior": np.asarray([_mean_or_half(column) for column in scores.T], dtype=np.float32),
            "scores": steps.astype(np.uint8),
        }

    def load(
        self, params: Params, weights: Arrays, *, models: int, dimension: int, surface: int
    ) -> _KnnPredictor:
        """Check the tensors and unpack the index to float32."""
        space = read_space(weights, dimension=dimension, surface=surface)
        index = read_index(weights, space)
        steps = need(weights, "scores", np.uint8, (len(index), models))
        return _KnnPredictor(
            space=space,
            index=np.ascontiguousarray(index.T),
            groups=tuple(_groups(steps)),
            prior=np.clip(need(weights, "prior", np.float32, (models,)), 0, 1),
            neighbours=int(number(params, "neighbours", 1, 100_000)),
            temperature=np.float32(number(params, "temperature", 1e-3, 1e3)),
            temperature_between=np.float32(number(params, "temperature_between", 1e-3, 1e3)),
        )


def _with(params: Params, *, temperature: float, **changes: Any) -> Params:
    return {**params, **changes, "temperature": temperature, "temperature_between": temperature}


def _groups(steps: NDArray[np.uint8]) -> Iterator[_Group]:
    measured = steps != _MISSING
    for pattern in np.unique(measured, axis=1).T:
        rows = np.flatnonzero(pattern)
        if len(rows):
            columns = np.flatnonzero((measured == pattern[:, None]).all(axis=0))
            scores = steps[rows][:, columns].astype(np.float32) / np.float32(_STEPS)
            yield _Group(columns, None if len(rows) == len(steps) else rows, scores, scores.mean(axis=1))


def _ranked(similarity: FloatArray, *counts: int) -> NDArray[np.intp]:
    """Return rows of the index, those of the `counts` largest similarities last."""
    size = similarity.shape[1]
    return np.argpartition(similarity, sorted({size - min(count, size) for count in counts}), axis=1)


def _at(similarity: FloatArray, columns: NDArray[np.intp]) -> FloatArray:
    return similarity[np.arange(len(similarity))[:, None], columns]


def _shares(nearness: FloatArray, temperature: np.float32) -> FloatArray:
    weight: FloatArray = np.exp(nearness / temperature)
    weight /= weight.sum(axis=1, keepdims=True)
    return weight


def _mean_or_half(column: FloatArray) -> float:
    measured = column[~np.isnan(column)]
    return float(measured.mean()) if len(measured) else 0.5


STRATEGY = KnnStrategy()
