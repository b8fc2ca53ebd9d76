"""Models known by their own answers: a base strategy's predictions, mapped to each model's quality.

Made by `routeiq router calibrate` from another artifact, never trained: the artifact's models are the site's, the
base's are those that it was trained on. A prompt is judged by the base once, whatever the number of models.
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
)
from routeiq_router.strategies.registry import strategy

__all__ = ["STRATEGY", "CalibratedPredictor", "CalibratedStrategy"]

_PREFIX = "base."


@dataclass(frozen=True, slots=True)
class CalibratedPredictor:
    """Predicts with the base, and maps."""

    base: Predictor
    weights: NDArray[np.float64]  # [models, 2 + known]

    def predict(self, inputs: Inputs) -> FloatArray:
        """See `Predictor.predict`."""
        known = predict_blocks(self.base, inputs).astype(np.float64)
        predicted = [Ability.predict_with(row, known) for row in self.weights]
        result: FloatArray = np.stack(predicted, axis=1).astype(np.float32)
        return result

    def known(self, inputs: Inputs) -> NDArray[np.bool_]:
        """See `interface.Guarded.known`: what the base knows."""
        if isinstance(self.base, Guarded):
            return self.base.known(inputs)
        return np.ones(len(inputs), dtype=np.bool_)


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
        return CalibratedPredictor(base, table.astype(np.float64))


def _not_trained() -> RouterError:
    return RouterError("calibrated: is made from a trained artifact", hint="see `routeiq router calibrate`")


STRATEGY = CalibratedStrategy()
