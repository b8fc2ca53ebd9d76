"""Which prompts can judge routing between which models: those on which all of them were measured. Pure.

Scores may be missing anywhere. Prompts with the same set of measured models are a pool. Where measuring was too ragged
for any such set to be large enough, models measured least are left out until the others share enough prompts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routeiq_router.evaluation.hull import Array

__all__ = ["MIN_POOL", "Pool", "find_pools"]

MIN_POOL = 30
"""Prompts below which a pool's routing figures would be noise."""


@dataclass(frozen=True)
class Pool:
    """Rows and columns of the score table without a missing entry."""

    models: tuple[str, ...]
    columns: NDArray[np.intp]
    rows: NDArray[np.intp]


def find_pools(scores: Array, models: Sequence[str]) -> list[Pool]:
    """Return the pools of `scores` [n, models] (NaN: not measured), the one with most prompts first."""
    measured = ~np.isnan(scores)
    patterns, counts = np.unique(measured, axis=0, return_counts=True)
    pools = []
    for pattern, count in sorted(zip(patterns, counts, strict=True), key=lambda item: (-item[1], *item[0])):
        if pattern.sum() >= 2 and count >= MIN_POOL:
            same = np.asarray(measured == pattern).all(axis=1)
            pools.append(_pool(np.flatnonzero(pattern), same, models))
    if not pools:
        pools = _shared(measured, models)
    return pools


def _shared(measured: NDArray[np.bool_], models: Sequence[str]) -> list[Pool]:
    columns = np.flatnonzero(measured.any(axis=0))
    while len(columns) >= 2:
        rows = measured[:, columns].all(axis=1)
        if rows.sum() >= MIN_POOL:
            return [_pool(columns, rows, models)]
        columns = np.delete(columns, np.argmin(measured[:, columns].sum(axis=0)))
    return []


def _pool(columns: NDArray[np.intp], rows: Any, models: Sequence[str]) -> Pool:
    return Pool(tuple(models[int(column)] for column in columns), columns, np.flatnonzero(rows))
