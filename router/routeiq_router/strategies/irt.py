"""Item response theory: a prompt's difficulty and discriminations come from its text, a model has abilities.

The qualities that a base strategy predicts for the known models are taken apart, in logits: their mean over the models
is (minus) the difficulty, the principal components of the rest are the discriminations. The models are then described
by their abilities (the multidimensional two-parameter logistic model; Reckase, 2009):

    logit P(model answers prompt well) = offset + scale x (-difficulty) + abilities . discriminations

For routing: Song et al., "IRT-Router" (2025). Models that were not there in training are `calibration/`'s matter.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routeiq_router.errors import RouterError
from routeiq_router.strategies.common import from_logit, to_logit
from routeiq_router.strategies.interface import (
    Arrays,
    CrossPredict,
    FloatArray,
    Inputs,
    Params,
    Predictor,
    best_of,
    need,
    number,
    predict_blocks,
)
from routeiq_router.strategies.registry import strategy

__all__ = ["STRATEGY", "IrtPredictor", "IrtStrategy"]

_BASE = "ensemble"
_PREFIX = "base."


@dataclass(frozen=True, slots=True)
class IrtPredictor:
    """Predicts from what a prompt is like and what each model can do."""

    base: Predictor
    components: FloatArray  # [models, skills]
    centre: FloatArray  # [models]
    values: FloatArray  # [models, skills + 2]

    def predict(self, inputs: Inputs) -> FloatArray:
        """See `Predictor.predict`."""
        table = _items(np.clip(self.base.predict(inputs), 0, 1), self.components, self.centre)
        predicted: FloatArray = from_logit(table @ self.values.T).astype(np.float32)
        return predicted


class IrtStrategy:
    """See the module. Parameters: `base` (the base strategy's own) and `skills`."""

    name = "irt"
    summary = "item response theory: a prompt's difficulty from its text, a model's abilities"
    needs = "embedding, surface features; several models on the same prompts"

    def select(self, cross_predict: CrossPredict, scores: FloatArray) -> Params:
        """Let the base choose, then choose the number of skills."""
        base = strategy(_BASE).select(cross_predict, scores)
        most = max(scores.shape[1] - 1, 1)
        skills = sorted({min(count, most) for count in (1, 2, 4, 8)})
        return best_of(self, [{"base": base, "skills": k} for k in skills], cross_predict, scores)

    def fit(self, inputs: Inputs, scores: FloatArray, params: Params, *, seed: int) -> Arrays:
        """Fit the base; take apart what it predicts for prompts that it has not seen (two halves)."""
        base, own = strategy(_BASE), _own(params)
        skills = min(int(number(params, "skills", 1, 1000)), scores.shape[1])
        half = np.random.default_rng(seed).permutation(len(inputs)) % 2 == 0
        unseen = np.empty(scores.shape, dtype=np.float64)
        for learn, judge in ((half, ~half), (~half, half)):
            there, here = np.flatnonzero(learn), np.flatnonzero(judge)
            made = base.fit(inputs.take(there), scores[there], own, seed=seed)
            unseen[here] = predict_blocks(
                _load(own, made, models=scores.shape[1], inputs=inputs), inputs.take(here)
            )
        logits = to_logit(unseen)
        centre = logits.mean(axis=0)
        rest = logits - logits.mean(axis=1, keepdims=True)
        _, axes = np.linalg.eigh(np.cov((rest - rest.mean(axis=0)).T).reshape(len(centre), -1))
        components = _signed(axes[:, ::-1][:, :skills])
        table = _items(unseen, components, centre - logits.mean())
        values = np.linalg.lstsq(table, logits, rcond=None)[0].T
        return {
            **{f"{_PREFIX}{k}": v for k, v in base.fit(inputs, scores, own, seed=seed).items()},
            "components": components.astype(np.float32),
            "centre": (centre - logits.mean()).astype(np.float32),
            "values": values.astype(np.float32),
        }

    def load(
        self, params: Params, weights: Arrays, *, models: int, dimension: int, surface: int
    ) -> IrtPredictor:
        """Check base and tensors."""
        number(params, "skills", 1, 1000)
        own = {k.removeprefix(_PREFIX): v for k, v in weights.items() if k.startswith(_PREFIX)}
        components = need(weights, "components", np.float32, (models, None))
        return IrtPredictor(
            strategy(_BASE).load(_own(params), own, models=models, dimension=dimension, surface=surface),
            components,
            need(weights, "centre", np.float32, (models,)),
            need(weights, "values", np.float32, (models, components.shape[1] + 2)),
        )


def _items(quality: NDArray[Any], components: NDArray[Any], centre: NDArray[Any]) -> NDArray[np.float64]:
    """Return what abilities are multiplied with, [n, skills + 2]: one, minus the difficulty, the discriminations."""
    logits = to_logit(quality)
    level = logits.mean(axis=1)
    skills = (logits - level[:, None] - centre) @ components
    ones = np.ones((len(level), 1))
    return np.concatenate(
        [ones, level.astype(np.float32)[:, None], skills.astype(np.float32)], axis=1, dtype=np.float64
    )


def _load(params: Params, weights: Arrays, *, models: int, inputs: Inputs) -> Predictor:
    dimension, surface = inputs.embeddings.shape[1], inputs.surface.shape[1]
    return strategy(_BASE).load(params, weights, models=models, dimension=dimension, surface=surface)


def _signed(axes: NDArray[Any]) -> NDArray[Any]:
    """Return the axes with their largest entry positive: a solver may turn them."""
    largest = np.abs(axes).argmax(axis=0)
    signed: NDArray[Any] = axes * np.sign(axes[largest, np.arange(axes.shape[1])])
    return signed


def _own(params: Params) -> Params:
    own: Any = params.get("base")
    if not isinstance(own, dict):
        raise RouterError("router.json: parameters of 'base' are missing", subject="router.json")
    return own


STRATEGY = IrtStrategy()
