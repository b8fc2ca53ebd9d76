"""Models known by their own answers: a base strategy's predictions, mapped to each model's quality.

Made by `routeiq router calibrate` from another artifact, never trained: the artifact's models are the site's, the
base's are those that it was trained on. A prompt is judged by the base once, whatever the number of models.

What the base knows nothing like may still be like what was asked in calibration: that was measured too, so it decides.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routeiq_router.calibration.ability import Ability
from routeiq_router.errors import RouterError
from routeiq_router.strategies.interface import (
    Arrays,
    FloatArray,
    Guarded,
    Inputs,
    Params,
    Predictor,
    need,
    number,
    predict_blocks,
    predict_known,
)
from routeiq_router.strategies.registry import strategy

__all__ = ["STRATEGY", "CalibratedPredictor", "CalibratedStrategy", "pack_asked", "unpack_asked"]

_PREFIX = "base."
_INT8 = 127
_MOST = 4000
"""Prompts that are kept, 384 bytes each."""
_QUANTILE = 0.05
_NEAR = (0.5, 0.8)


@dataclass(frozen=True, slots=True)
class CalibratedPredictor:
    """Predicts with the base, and maps."""

    base: Predictor
    weights: NDArray[np.float64]  # [models, 2 + known]
    asked: FloatArray  # [prompts, dimension], the calibration's
    near: np.float32

    def predict(self, inputs: Inputs) -> FloatArray:
        """See `Predictor.predict`."""
        return self._mapped(predict_blocks(self.base, inputs))

    def known(self, inputs: Inputs) -> NDArray[np.bool_]:
        """See `interface.Guarded.known`: what the base knows, and what is like a prompt that was asked."""
        if not isinstance(self.base, Guarded):
            return np.ones(len(inputs), dtype=np.bool_)
        return self._or_asked(self.base.known(inputs), inputs)

    def predict_known(self, inputs: Inputs) -> tuple[FloatArray, NDArray[np.bool_]]:
        """See `interface.GuardedAtOnce`: the base is asked once for both."""
        said, known = predict_known(self.base, inputs)
        return self._mapped(said), self._or_asked(known, inputs)

    def _mapped(self, said: FloatArray) -> FloatArray:
        exact = said.astype(np.float64)
        mapped: FloatArray = np.stack(
            [Ability.predict_with(row, exact) for row in self.weights], axis=1
        ).astype(np.float32)
        return mapped

    def _or_asked(self, known: NDArray[np.bool_], inputs: Inputs) -> NDArray[np.bool_]:
        if known.all():
            return known
        like: NDArray[np.bool_] = (inputs.embeddings @ self.asked.T).max(axis=1) >= self.near
        return known | like


class CalibratedStrategy:
    """See the module. Parameters: `strategy` and `params` of the base, the number of `known` models."""

    name = "calibrated"
    summary = "another artifact's predictions, mapped to models that answered a calibration suite"
    needs = "an artifact, and answers of the site's own models"

    def select(self, *_: object) -> Params:
        """Refuse: it is not trained."""
        raise _not_trained()

    def fit(self, *_: object, seed: int) -> Arrays:  # noqa: ARG002 - the interface's name
        """Refuse: it is not trained."""
        raise _not_trained()

    def load(
        self, params: Params, weights: Arrays, *, models: int, dimension: int, surface: int
    ) -> CalibratedPredictor:
        """Check base and map."""
        known = int(number(params, "known", 1, 1000))
        name, own = params.get("strategy"), params.get("params")
        if not isinstance(name, str) or not isinstance(own, dict) or name == self.name:
            raise RouterError("router.json: parameters 'strategy' and 'params' do not name a base",
                              subject="router.json")  # fmt: skip
        inside: dict[str, NDArray[Any]] = {
            key.removeprefix(_PREFIX): array for key, array in weights.items() if key.startswith(_PREFIX)
        }
        base = strategy(name).load(own, inside, models=known, dimension=dimension, surface=surface)
        table = need(weights, "abilities", np.float32, (models, known + 2))
        asked = need(weights, "asked", np.int8, (None, dimension))
        if not len(asked):
            raise RouterError("weights.safetensors: tensor 'asked' is empty", subject="weights.safetensors")
        near = need(weights, "near", np.float32, (1,))
        return CalibratedPredictor(base, table.astype(np.float64), unpack_asked(asked), near[0])


def pack_asked(embeddings: FloatArray) -> dict[str, NDArray[Any]]:
    """Return what is kept of the prompts that were asked: vectors as int8, and the cosine from which one is like them.

    That is what most of them have to their nearest other; prompts of one pattern must not ask for a copy.
    """
    most = embeddings[:_MOST]
    packed = np.round(most * _INT8).astype(np.int8)
    similarity = most @ most.T
    np.fill_diagonal(similarity, -1)
    near = np.clip(np.quantile(similarity.max(axis=1), _QUANTILE), *_NEAR)
    return {"asked": packed, "near": np.asarray([near], dtype=np.float32)}


def unpack_asked(asked: NDArray[np.int8]) -> FloatArray:
    """Return the vectors that `pack_asked` was given, to a hundredth."""
    unpacked: FloatArray = asked.astype(np.float32) / np.float32(_INT8)
    return unpacked


def _not_trained() -> RouterError:
    return RouterError("calibrated: is made from a trained artifact", hint="see `routeiq router calibrate`")


STRATEGY = CalibratedStrategy()
