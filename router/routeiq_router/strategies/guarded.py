"""An ensemble's predictions, calibrated, and trusted only as far as the prompt is like those that were trained on.

Two guards around the base. Calibration (Platt's): each model's predictions are mapped by a logistic curve fitted on
predictions for prompts that the base had not seen. Familiarity: the mean similarity to the nearest trained prompts, in
meaning and form, which the base looks up anyway (`interface.Locating`). Below the range that trained prompts have among
themselves the differences between models shrink to those of their means (how hard a prompt is for all of them stays as
predicted), and far below it nothing decides (`known`), so that the declared order does.

The range is measured on the training prompts, each against the others. Its ends are fixed quantiles, low ones: on tasks
left out, twice as wide a range gained less, and none at all only a little less (docs/routing.md).
Platt (1999); Hendrycks and Gimpel, "A Baseline for Detecting Misclassified and Out-of-Distribution Examples" (2017).
"""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from routeiq_router.errors import RouterError
from routeiq_router.strategies.common import (
    from_logit,
    model_means,
    platt,
    to_logit,
)
from routeiq_router.strategies.interface import (
    Arrays,
    CrossPredict,
    FloatArray,
    Inputs,
    Locating,
    Params,
    Predictor,
    need,
    predict_blocks,
)
from routeiq_router.strategies.registry import strategy

__all__ = ["STRATEGY", "GuardedPredictor", "GuardedStrategy"]

_BASE = "ensemble"
_NEAREST = 20
_SELF = 0.99
"""A trained prompt's similarity to itself in an int8 index is more."""
_QUANTILES = (0.002, 0.005, 0.05)
"""Of the trained prompts' own familiarity: below the first unknown, from the second to the third ever more trusted."""
_FOLDS = 4
_BLOCK = 512
_PRIOR = 20.0
"""Calibration starts from "as predicted" and needs some evidence to leave it."""


@dataclass(frozen=True, slots=True)
class GuardedPredictor:
    """A `Predictor` that also says which prompts it knows nothing like."""

    base: Locating
    slope: FloatArray  # [models]
    intercept: FloatArray  # [models]
    means: FloatArray  # [models]
    bounds: FloatArray  # [3]: unknown below, untrusted at, trusted from

    def predict(self, inputs: Inputs) -> FloatArray:
        """See `Predictor.predict`."""
        return self.predict_known(inputs)[0]

    def known(self, inputs: Inputs) -> NDArray[np.bool_]:
        """See `interface.Guarded.known`."""
        return self.predict_known(inputs)[1]

    def predict_known(self, inputs: Inputs) -> tuple[FloatArray, NDArray[np.bool_]]:
        """See `interface.GuardedAtOnce.predict_known`."""
        said, near = self.base.predict_near(inputs, _NEAREST)
        familiarity = near.mean(axis=1)
        known: NDArray[np.bool_] = familiarity >= self.bounds[0]
        return self._guarded(said, familiarity), known

    def _guarded(self, said: FloatArray, familiarity: FloatArray) -> FloatArray:
        logits = to_logit(np.clip(said, 0, 1))
        calibrated = from_logit(self.slope * logits + self.intercept)
        _, low, high = self.bounds
        trust = np.clip((familiarity - low) / max(high - low, np.float32(1e-6)), 0, 1)[:, None]
        level, mean = calibrated.mean(axis=1, keepdims=True), self.means.mean()
        between = (self.means - mean) + trust * ((calibrated - level) - (self.means - mean))
        predicted: FloatArray = np.clip(level + between, 0, 1).astype(np.float32)
        return predicted


class GuardedStrategy:
    """See the module. Parameters: `base` (the base strategy's own)."""

    name = "guarded"
    summary = "ensemble, calibrated, shrunk to the models' means for prompts unlike the trained ones"
    needs = "embedding, surface features"

    def select(self, cross_predict: CrossPredict, scores: FloatArray) -> Params:
        """Let the base choose."""
        return {"base": strategy(_BASE).select(cross_predict, scores)}

    def fit(self, inputs: Inputs, scores: FloatArray, params: Params, *, seed: int) -> Arrays:
        """Fit the base, and both guards; the folds come from `seed`."""
        base, own, draw = strategy(_BASE), _own(params), np.random.default_rng(seed)
        unseen = np.empty(scores.shape, dtype=np.float32)
        folds = draw.permutation(len(inputs)) % _FOLDS
        for fold in range(_FOLDS):
            there, here = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            made = base.fit(inputs.take(there), scores[there], own, seed=seed)
            unseen[here] = predict_blocks(_load(own, made, scores.shape[1], inputs), inputs.take(here))
        learnt = base.fit(inputs, scores, own, seed=seed)
        among = _familiarity_among(cast(Locating, _load(own, learnt, scores.shape[1], inputs)), inputs)
        guard = {
            **_platt(unseen, scores),
            "means": model_means(scores),
            "bounds": np.quantile(among, _QUANTILES).astype(np.float32),
        }
        return {
            **{f"base.{name}": array for name, array in learnt.items()},
            **{f"guard.{name}": array for name, array in guard.items()},
        }

    def load(
        self, params: Params, weights: Arrays, *, models: int, dimension: int, surface: int
    ) -> GuardedPredictor:
        """Check base and guards."""
        own, guard = _within(weights, "base."), _within(weights, "guard.")
        base = strategy(_BASE).load(_own(params), own, models=models, dimension=dimension, surface=surface)
        bounds = need(guard, "bounds", np.float32, (3,))
        if not (np.diff(bounds) >= 0).all():
            raise RouterError(
                "weights.safetensors: tensor 'guard.bounds' is not in order", subject="weights.safetensors"
            )
        return GuardedPredictor(
            cast(Locating, base),
            need(guard, "slope", np.float32, (models,)),
            need(guard, "intercept", np.float32, (models,)),
            np.clip(need(guard, "means", np.float32, (models,)), 0, 1),
            bounds,
        )


def _familiarity_among(base: Locating, inputs: Inputs) -> FloatArray:
    """Return the familiarity of each trained prompt to the others, [n]."""
    found = np.empty(len(inputs), dtype=np.float32)
    for at in range(0, len(inputs), _BLOCK):
        rows = np.arange(at, min(at + _BLOCK, len(inputs)))
        _, near = base.predict_near(inputs.take(rows), _NEAREST + 1)
        # A large set's index leaves some out: those have no self to leave out.
        own = near[:, 0] > _SELF
        found[rows] = np.where(own, near[:, 1:].mean(axis=1), near[:, :_NEAREST].mean(axis=1))
    return found


def _platt(unseen: FloatArray, scores: FloatArray) -> dict[str, FloatArray]:
    slope, intercept = np.ones(scores.shape[1]), np.zeros(scores.shape[1])
    for column in range(scores.shape[1]):
        rows = np.flatnonzero(~np.isnan(scores[:, column]))
        rise, intercept[column] = platt(to_logit(unseen[rows, column]), scores[rows, column], penalty=_PRIOR)
        # A curve that falls would turn a model's predictions round.
        slope[column] = max(rise, 0.0)
    return {"slope": slope.astype(np.float32), "intercept": intercept.astype(np.float32)}


def _load(params: Params, weights: Arrays, models: int, inputs: Inputs) -> Predictor:
    dimension, surface = inputs.embeddings.shape[1], inputs.surface.shape[1]
    return strategy(_BASE).load(params, weights, models=models, dimension=dimension, surface=surface)


def _within(weights: Arrays, prefix: str) -> Arrays:
    return {key.removeprefix(prefix): array for key, array in weights.items() if key.startswith(prefix)}


def _own(params: Params) -> Params:
    own: Any = params.get("base")
    if not isinstance(own, dict):
        raise RouterError("router.json: parameters of 'base' are missing", subject="router.json")
    return own


STRATEGY = GuardedStrategy()
