"""Where prompts are near each other in meaning and in form: unit vectors made of embedding and surface features.

The embedding is centred and reduced by PCA, the surface features standardised; an index of such vectors is int8.
Decides nothing about what nearness is good for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routeiq_router.strategies.interface import FloatArray, Inputs, need

__all__ = ["Space", "fit_space", "pack_index", "read_index", "read_space"]


@dataclass(frozen=True, slots=True)
class Space:
    """Maps a prompt to a unit vector [components + surface]."""

    projection: FloatArray  # [dimension, components]
    centre: FloatArray  # [dimension]
    surface_mean: FloatArray  # [surface]
    surface_scale: FloatArray  # [surface]

    def place(self, inputs: Inputs) -> FloatArray:
        """Return [n, components + surface], float32."""
        meaning = _unit((inputs.embeddings - self.centre) @ self.projection)
        form = (inputs.surface - self.surface_mean) * self.surface_scale
        return _unit(np.concatenate([meaning, form], axis=1))

    def arrays(self) -> dict[str, FloatArray]:
        """Return what `read_space` reads."""
        return {
            "projection": self.projection,
            "centre": self.centre,
            "surface_mean": self.surface_mean,
            "surface_scale": self.surface_scale,
        }


def fit_space(inputs: Inputs, *, components: int, surface_weight: float) -> Space:
    """Return the space of these prompts; form weighs `surface_weight` against meaning's 1."""
    from sklearn.decomposition import PCA  # noqa: PLC0415 - training only

    size = inputs.surface.shape[1]
    components = min(components, *inputs.embeddings.shape)
    pca = PCA(n_components=components, svd_solver="covariance_eigh").fit(inputs.embeddings.astype(np.float64))
    spread = inputs.surface.std(axis=0, dtype=np.float64)
    # A feature that never varies says nothing; standardising it would blow up noise.
    scale = np.where(spread > 1e-6, 1 / np.maximum(spread, 1e-6), 0) / np.sqrt(size)
    return Space(
        projection=np.ascontiguousarray(pca.components_.T, dtype=np.float32),
        centre=pca.mean_.astype(np.float32),
        surface_mean=inputs.surface.mean(axis=0, dtype=np.float64).astype(np.float32),
        surface_scale=(scale * surface_weight).astype(np.float32),
    )


def pack_index(vectors: FloatArray) -> dict[str, NDArray[Any]]:
    """Return `index` int8 [n, size] and its `step`."""
    step = np.float32(max(float(np.abs(vectors).max()), 1e-6) / 127)
    return {"index": np.round(vectors / step).astype(np.int8), "step": np.asarray([step], dtype=np.float32)}


def read_space(weights: Mapping[str, NDArray[Any]], *, dimension: int, surface: int) -> Space:
    """Check the four tensors; raises `RouterError`."""
    return Space(
        projection=need(weights, "projection", np.float32, (dimension, None)),
        centre=need(weights, "centre", np.float32, (dimension,)),
        surface_mean=need(weights, "surface_mean", np.float32, (surface,)),
        surface_scale=need(weights, "surface_scale", np.float32, (surface,)),
    )


def read_index(weights: Mapping[str, NDArray[Any]], space: Space) -> FloatArray:
    """Check and unpack the index to float32 [n, components + surface]; raises `RouterError`."""
    size = space.projection.shape[1] + len(space.surface_mean)
    index = need(weights, "index", np.int8, (None, size))
    unpacked: FloatArray = index.astype(np.float32) * need(weights, "step", np.float32, (1,))
    return unpacked


def _unit(vectors: NDArray[np.floating[Any]]) -> FloatArray:
    length = np.sqrt(np.square(vectors).sum(axis=1, keepdims=True))
    return np.asarray(vectors / np.maximum(length, np.float32(1e-9)), dtype=np.float32)
