"""Prompts fall into clusters; a cluster has each model's mean quality, drawn towards the model's mean over all.

A prompt is judged by the clusters near it, weighted by similarity. The smallest artifact that knows kinds of prompts:
a site can read it. MacQueen, k-means (1967); the shrinkage is the Gaussian prior's (`strength` prompts at the mean).
"""

from dataclasses import dataclass

import numpy as np

from routeiq_router.errors import RouterError
from routeiq_router.strategies.common import clusters_of, features, model_means
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

__all__ = ["STRATEGY", "CentroidStrategy"]


@dataclass(frozen=True, slots=True)
class _CentroidPredictor:
    centroids: FloatArray  # [clusters, dimension + surface]
    quality: FloatArray  # [clusters, models]
    temperature: np.float32

    def predict(self, inputs: Inputs) -> FloatArray:
        table = np.concatenate([inputs.embeddings, inputs.surface], axis=1)
        # The squared distance without the prompt's own length, which is the same to all clusters.
        nearness = table @ self.centroids.T - 0.5 * np.square(self.centroids).sum(axis=1)
        weight = np.exp((nearness - nearness.max(axis=1, keepdims=True)) / self.temperature)
        predicted: FloatArray = (weight / weight.sum(axis=1, keepdims=True)) @ self.quality
        return predicted


class CentroidStrategy:
    """See the module."""

    name = "centroid"
    summary = "mean quality in clusters of prompts, by nearness"
    needs = "embedding, surface features"

    def select(self, cross_predict: CrossPredict, scores: FloatArray) -> Params:
        """Choose the number of clusters, then the temperature."""
        start: Params = {"strength": 10.0, "temperature": 0.1}
        best = best_of(self, [{**start, "clusters": k} for k in (16, 32, 64, 128)], cross_predict, scores)
        warmer = [{**best, "temperature": t} for t in (0.03, 0.1, 0.2)]
        return best_of(self, warmer, cross_predict, scores)

    def fit(self, inputs: Inputs, scores: FloatArray, params: Params, *, seed: int) -> Arrays:
        """Cluster from `seed`, then average what was measured in each."""
        table = features(inputs)
        centroids, of = clusters_of(table, int(number(params, "clusters", 1, 100_000)), seed=seed)
        member = np.equal(of[:, None], np.arange(len(centroids))).astype(np.float64)
        measured = (~np.isnan(scores)).astype(np.float64)
        strength, means = number(params, "strength", 0.01, 1e6), model_means(scores)
        total = member.T @ np.nan_to_num(scores).astype(np.float64) + strength * means
        return {
            "centroids": centroids.astype(np.float32),
            "quality": (total / (member.T @ measured + strength)).astype(np.float32),
        }

    def load(
        self, params: Params, weights: Arrays, *, models: int, dimension: int, surface: int
    ) -> _CentroidPredictor:
        """Check the two tensors."""
        centroids = need(weights, "centroids", np.float32, (None, dimension + surface))
        if not len(centroids):
            raise RouterError(
                "weights.safetensors: tensor 'centroids' is empty", subject="weights.safetensors"
            )
        return _CentroidPredictor(
            centroids,
            need(weights, "quality", np.float32, (len(centroids), models)),
            np.float32(number(params, "temperature", 1e-3, 1e3)),
        )


STRATEGY = CentroidStrategy()
