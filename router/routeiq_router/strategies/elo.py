"""Elo ratings: each prompt is a game that a model wins by answering well, against its cluster's difficulty.

Every cluster of prompts has a rating per model, which starts from the model's rating over all clusters and moves with
its own games, so that clusters with few games stay near it. A prompt is judged by the clusters near it. Games are
played in an order drawn from the seed. Elo (1978); Pelánek, "Applications of the Elo rating system in adaptive
educational systems" (2016): a task is a player too.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routeiq_router.errors import RouterError
from routeiq_router.strategies.common import clusters_of, from_logit, model_means, to_logit
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

__all__ = ["STRATEGY", "EloStrategy"]


@dataclass(frozen=True, slots=True)
class _EloPredictor:
    centroids: FloatArray  # [clusters, dimension]
    ratings: FloatArray  # [clusters, models], in logits above the cluster's difficulty
    temperature: np.float32

    def predict(self, inputs: Inputs) -> FloatArray:
        nearness = inputs.embeddings @ self.centroids.T - 0.5 * np.square(self.centroids).sum(axis=1)
        weight = np.exp((nearness - nearness.max(axis=1, keepdims=True)) / self.temperature)
        predicted: FloatArray = from_logit((weight / weight.sum(axis=1, keepdims=True)) @ self.ratings)
        return predicted


class EloStrategy:
    """See the module."""

    name = "elo"
    summary = "Elo ratings of the models in clusters of prompts"
    needs = "embedding"

    def select(self, cross_predict: CrossPredict, scores: FloatArray) -> Params:
        """Choose the number of clusters, then the step of a game."""
        start: Params = {"step": 0.1, "temperature": 0.05}
        best = best_of(self, [{**start, "clusters": k} for k in (8, 16, 32, 64)], cross_predict, scores)
        return best_of(self, [{**best, "step": s} for s in (0.05, 0.1, 0.2)], cross_predict, scores)

    def fit(self, inputs: Inputs, scores: FloatArray, params: Params, *, seed: int) -> Arrays:
        """Cluster, then play every prompt once."""
        table = inputs.embeddings.astype(np.float64)
        centroids, of = clusters_of(table, int(number(params, "clusters", 1, 100_000)), seed=seed)
        ratings = _play(
            scores, of, len(centroids), np.random.default_rng(seed), step=number(params, "step", 1e-4, 10)
        )
        return {
            "centroids": centroids.astype(np.float32),
            "ratings": ratings.astype(np.float32),
        }

    def load(
        self, params: Params, weights: Arrays, *, models: int, dimension: int, surface: int
    ) -> _EloPredictor:
        """Check the two tensors."""
        del surface
        centroids = need(weights, "centroids", np.float32, (None, dimension))
        if not len(centroids):
            raise RouterError(
                "weights.safetensors: tensor 'centroids' is empty", subject="weights.safetensors"
            )
        return _EloPredictor(
            centroids,
            need(weights, "ratings", np.float32, (len(centroids), models)),
            np.float32(number(params, "temperature", 1e-3, 1e3)),
        )


def _play(
    scores: FloatArray, cluster: NDArray[np.intp], clusters: int, draw: np.random.Generator, *, step: float
) -> NDArray[np.float64]:
    """Return [clusters, models] ratings above the cluster's difficulty."""
    ratings = np.tile(to_logit(model_means(scores)).astype(np.float64), (clusters, 1))
    difficulty = np.zeros(clusters)
    measured, known = ~np.isnan(scores), np.nan_to_num(scores).astype(np.float64)
    for row in draw.permutation(len(scores)):
        at = cluster[row]
        surprise = np.where(measured[row], known[row] - from_logit(ratings[at] - difficulty[at]), 0)
        ratings[at] += step * surprise
        # The task moves the other way, by what all of its opponents did.
        difficulty[at] -= step * surprise.sum() / max(int(measured[row].sum()), 1)
    return ratings - difficulty[:, None]


STRATEGY = EloStrategy()
