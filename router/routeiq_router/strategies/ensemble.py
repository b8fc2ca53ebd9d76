"""A weighted mean of knn, ridge and mlp: neighbours know the tasks seen, the others carry across them.

All of them see the surface features. Members are chosen each on its own, then their shares on the same cross-validated
predictions.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from routeiq_router.errors import RouterError
from routeiq_router.strategies.interface import (
    Arrays,
    CrossPredict,
    FloatArray,
    Inputs,
    Locating,
    Params,
    Predictor,
    number,
    squared_error,
)
from routeiq_router.strategies.registry import strategy

__all__ = ["STRATEGY", "EnsembleStrategy"]

_MEMBERS = ("knn", "mlp", "ridge")
_LOCATOR = "knn"
_STEPS = 10
"""Shares are chosen in tenths."""


@dataclass(frozen=True)
class _EnsemblePredictor:
    locator: Locating  # knn, whatever its share
    locator_share: np.float32
    others: tuple[tuple[np.float32, Predictor], ...]  # those with a share

    def predict(self, inputs: Inputs) -> FloatArray:
        return self._mixed(self.locator.predict(inputs), inputs)

    def predict_near(self, inputs: Inputs, count: int) -> tuple[FloatArray, FloatArray]:
        predicted, near = self.locator.predict_near(inputs, count)
        return self._mixed(predicted, inputs), near

    def _mixed(self, located: FloatArray, inputs: Inputs) -> FloatArray:
        mixed: FloatArray = self.locator_share * located
        for share, member in self.others:
            mixed = mixed + share * member.predict(inputs)
        return mixed


class EnsembleStrategy:
    """See the module. Parameters: each member's own by its name, and `shares` of the members, which sum to one."""

    name = "ensemble"
    summary = "weighted mean of knn, ridge and mlp"
    needs = "embedding, surface features"

    def select(self, cross_predict: CrossPredict, scores: FloatArray) -> Params:
        """Choose each member's parameters, then the shares."""
        chosen = {name: strategy(name).select(cross_predict, scores) for name in _MEMBERS}
        said = [cross_predict(strategy(name), chosen[name]).astype(np.float64) for name in _MEMBERS]
        best = min(
            _shares(len(_MEMBERS), _STEPS),
            key=lambda shares: round(squared_error(_mixed(said, shares), scores), 9),
        )
        return {**chosen, "shares": {name: n / _STEPS for name, n in zip(_MEMBERS, best, strict=True)}}

    def fit(self, inputs: Inputs, scores: FloatArray, params: Params, *, seed: int) -> Arrays:
        """Fit the members; tensors are called `<member>.<tensor>`."""
        return {
            f"{name}.{tensor}": array
            for name in _read_shares(params)
            for tensor, array in strategy(name).fit(inputs, scores, _member(params, name), seed=seed).items()
        }

    def load(
        self, params: Params, weights: Arrays, *, models: int, dimension: int, surface: int
    ) -> _EnsemblePredictor:
        """Load the members, also one without a share, which is not asked afterwards."""
        shares = {name: np.float32(share) for name, share in _read_shares(params).items()}
        members = {
            name: strategy(name).load(
                _member(params, name),
                _own(weights, name),
                models=models,
                dimension=dimension,
                surface=surface,
            )
            for name in shares
        }
        locator = cast(Locating, members.pop(_LOCATOR))
        others = tuple((shares[name], member) for name, member in members.items() if shares[name] > 0)
        return _EnsemblePredictor(locator, shares[_LOCATOR], others)


def _shares(members: int, steps: int) -> Iterator[tuple[int, ...]]:
    """Give all ways to share `steps` among `members`."""
    if members == 1:
        yield (steps,)
        return
    for own in range(steps, -1, -1):
        for rest in _shares(members - 1, steps - own):
            yield (own, *rest)


def _mixed(said: list[NDArray[np.float64]], shares: tuple[int, ...]) -> FloatArray:
    weight = np.asarray(shares, dtype=np.float64) / _STEPS
    mixed: FloatArray = np.tensordot(weight, np.stack(said), axes=1).astype(np.float32)
    return mixed


def _read_shares(params: Params) -> dict[str, float]:
    if "shares" not in params:
        # As artifacts had it while there were two members.
        share = number(params, "knn_share", 0, 1)
        return {"knn": share, "ridge": 1 - share}
    shares: Any = params["shares"]
    if not isinstance(shares, dict) or sorted(shares) != list(_MEMBERS):
        raise RouterError(
            f"router.json: parameter 'shares' is {shares!r:.60}, want one of each member",
            subject="router.json",
        )
    found = {name: number(shares, name, 0, 1) for name in _MEMBERS}
    if abs(sum(found.values()) - 1) > 1e-6:
        raise RouterError("router.json: parameter 'shares' does not sum to 1", subject="router.json")
    return found


def _member(params: Params, name: str) -> Params:
    member: Any = params.get(name)
    if not isinstance(member, dict):
        raise RouterError(f"router.json: parameters of {name!r} are missing", subject="router.json")
    return member


def _own(weights: Arrays, name: str) -> Arrays:
    prefix = f"{name}."
    return {key.removeprefix(prefix): array for key, array in weights.items() if key.startswith(prefix)}


STRATEGY = EnsembleStrategy()
