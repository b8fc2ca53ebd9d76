"""The strong model's quality, and by how much each smaller one falls short of it: two questions, learnt apart.

How hard a prompt is and whether a small model is as good as the large one vary differently, so each has its own
penalty. The strong model is the one with the highest mean. With two models this is the small-or-large router of Ding et
al., "Hybrid LLM: Cost-Efficient and Quality-Aware Query Routing" (2024).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routeiq_router.strategies.common import features, measured_groups, model_means
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

__all__ = ["STRATEGY", "HybridStrategy"]


@dataclass(frozen=True, slots=True)
class _HybridPredictor:
    level: FloatArray  # [dimension + surface + 1]: the strong model's quality
    gap: FloatArray  # [dimension + surface + 1, models]: the strong model's less each one's

    def predict(self, inputs: Inputs) -> FloatArray:
        table = np.concatenate([inputs.embeddings, inputs.surface], axis=1)
        level = table @ self.level[:-1] + self.level[-1]
        predicted: FloatArray = np.clip(level[:, None] - (table @ self.gap[:-1] + self.gap[-1]), 0, 1)
        return predicted


class HybridStrategy:
    """See the module."""

    name = "hybrid"
    summary = "quality of the strongest model, and each smaller one's gap to it"
    needs = "embedding, surface features; the strongest model on the others' prompts"

    def select(self, cross_predict: CrossPredict, scores: FloatArray) -> Params:
        """Choose the gap's penalty, then the level's."""
        gaps: list[Params] = [{"alpha_gap": a, "alpha_level": 10.0} for a in (3.0, 10.0, 30.0, 100.0)]
        best = best_of(self, gaps, cross_predict, scores)
        levels = [{**best, "alpha_level": a} for a in (3.0, 10.0, 30.0)]
        return best_of(self, levels, cross_predict, scores)

    def fit(self, inputs: Inputs, scores: FloatArray, params: Params, *, seed: int) -> Arrays:
        """Solve both regressions; deterministic, so `seed` is not used."""
        del seed
        table, means = features(inputs), model_means(scores)
        known = ~np.isnan(scores).all(axis=0)
        strong = int(np.argmax(np.where(known, means, -1)))
        rows = np.flatnonzero(~np.isnan(scores[:, strong]))
        level = _ridge(table[rows], scores[rows, strong][:, None], number(params, "alpha_level", 1e-6, 1e6))
        gap = np.zeros((len(level), scores.shape[1]))
        # Where the two share no prompt, their means differ by this much.
        gap[-1] = means[strong] - means
        short = scores[:, [strong]] - scores
        for rows, columns in measured_groups(short):
            gap[:, columns] = _ridge(
                table[rows], short[rows][:, columns], number(params, "alpha_gap", 1e-6, 1e6)
            )
        return {"level": level[:, 0].astype(np.float32), "gap": gap.astype(np.float32)}

    def load(
        self, params: Params, weights: Arrays, *, models: int, dimension: int, surface: int
    ) -> _HybridPredictor:
        """Check the two tensors."""
        number(params, "alpha_gap", 1e-6, 1e6)
        number(params, "alpha_level", 1e-6, 1e6)
        size = dimension + surface + 1
        return _HybridPredictor(
            need(weights, "level", np.float32, (size,)), need(weights, "gap", np.float32, (size, models))
        )


def _ridge(table: NDArray[np.float64], target: FloatArray, alpha: float) -> NDArray[np.float64]:
    """Return coefficients and, as last row, intercepts: [features + 1, targets]."""
    from sklearn.linear_model import Ridge  # noqa: PLC0415 - training only

    solver = Ridge(alpha=alpha, solver="cholesky").fit(table, target.astype(np.float64))
    coefficients = solver.coef_.reshape(target.shape[1], -1).T
    return np.concatenate([coefficients, np.reshape(solver.intercept_, (1, -1))])


STRATEGY = HybridStrategy()
