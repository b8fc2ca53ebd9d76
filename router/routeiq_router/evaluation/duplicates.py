"""Prompts that are nearly the same: what one of them teaches, another would only repeat. Pure.

Copies in normal form (`text.prompt_digest`) always share a fold. Here are the rest: prompts whose vectors' cosine is at
least a threshold. They may judge, but not teach what judges their like.
"""

import numpy as np
from numpy.typing import NDArray

from routeiq_router.strategies.interface import FloatArray

__all__ = ["near_other_parts"]

_BLOCK = 512


def near_other_parts(
    embeddings: FloatArray, parts: NDArray[np.int64], threshold: float
) -> dict[int, NDArray[np.intp]]:
    """Return for each part the rows of other parts with a near-copy in it, sorted.

    `embeddings` [n, dimension] of unit length, `parts` [n]; `threshold` is a cosine, above 1 finds nothing.
    """
    near: dict[int, set[int]] = {int(part): set() for part in np.unique(parts)}
    if threshold > 1:
        return {part: np.empty(0, dtype=np.intp) for part in near}
    for start in range(0, len(embeddings), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(embeddings)))
        alike = embeddings[rows] @ embeddings.T >= threshold
        alike &= parts[rows][:, None] != parts[None, :]
        for here, other in zip(*np.nonzero(alike), strict=True):
            near[int(parts[other])].add(int(rows[here]))
    return {part: np.asarray(sorted(rows), dtype=np.intp) for part, rows in near.items()}
