"""What a routing strategy is: it learns per-model quality from measured prompts, and predicts it with numpy.

A strategy decides how quality is predicted, nothing else: trade-offs with cost are `decide.py`'s, files
`artifact.py`'s, which prompts it may see `training/`'s. `fit` may import scikit-learn inside the function;
`load` and what it returns must not. Siblings never import each other (an ensemble goes through the registry).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from routeiq_router.errors import RouterError

__all__ = [
    "Arrays",
    "CrossPredict",
    "FloatArray",
    "Guarded",
    "GuardedAtOnce",
    "Inputs",
    "Locating",
    "Params",
    "Predictor",
    "Strategy",
    "best_of",
    "need",
    "number",
    "predict_blocks",
    "predict_known",
    "squared_error",
]

FloatArray = NDArray[np.float32]
Arrays = Mapping[str, NDArray[Any]]
Params = Mapping[str, Any]
"""Hyperparameters: JSON values; kept in `router.json`."""


@dataclass(frozen=True)
class Inputs:
    """Prompts as a strategy sees them."""

    embeddings: FloatArray
    """[n, dimension], unit length."""
    surface: FloatArray
    """[n, text.SURFACE_SIZE]."""

    def __len__(self) -> int:
        return len(self.embeddings)

    def take(self, rows: NDArray[np.intp]) -> "Inputs":
        """Return the prompts at `rows`."""
        return Inputs(self.embeddings[rows], self.surface[rows])


class Predictor(Protocol):
    """A fitted strategy. Stateless after construction, so safe from several threads."""

    def predict(self, inputs: Inputs) -> FloatArray:
        """Return the quality of each model per prompt, [n, models], 0..1."""


@runtime_checkable
class Locating(Predictor, Protocol):
    """A predictor that looks up what it learnt from, and can tell how near that is."""

    def predict_near(self, inputs: Inputs, count: int) -> tuple[FloatArray, FloatArray]:
        """Return what `predict` does, and the similarities, -1..1, of the `count` nearest prompts [n, at most count].

        The largest comes first.
        """


@runtime_checkable
class Guarded(Protocol):
    """A predictor that also tells which prompts are like nothing that it learnt from."""

    def known(self, inputs: Inputs) -> NDArray[np.bool_]:
        """Return per prompt [n] whether its prediction may decide; elsewhere the declared order should."""


@runtime_checkable
class GuardedAtOnce(Protocol):
    """A `Guarded` predictor that tells both for less than the two alone."""

    def predict_known(self, inputs: Inputs) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Return what `predict` and `known` do."""


CrossPredict = Callable[["Strategy", Params], FloatArray]
"""Cross-validated predictions [n, models] of a strategy with these parameters on the training prompts."""


class Strategy(Protocol):
    """One way to predict quality."""

    name: str
    summary: str
    needs: str
    """What a prompt must have, for `routeiq router strategies`."""

    def select(self, cross_predict: CrossPredict, scores: FloatArray) -> Params:
        """Choose hyperparameters by cross-validation; `scores` is [n, models], NaN where not measured."""

    def fit(self, inputs: Inputs, scores: FloatArray, params: Params, *, seed: int) -> Arrays:
        """Learn; return the arrays that `load` needs. `scores` has NaN where a model was not measured."""

    def load(
        self, params: Params, weights: Arrays, *, models: int, dimension: int, surface: int
    ) -> Predictor:
        """Check names, shapes and types of `weights` and return the predictor; raises `RouterError`."""


def squared_error(predicted: FloatArray, scores: FloatArray) -> float:
    """Return the mean over models of the mean squared error over the prompts where a model was measured."""
    measured = ~np.isnan(scores)
    errors = np.where(measured, (predicted.astype(np.float64) - np.nan_to_num(scores)) ** 2, 0.0)
    return float(np.mean(errors.sum(axis=0) / np.maximum(measured.sum(axis=0), 1)))


def predict_blocks(predictor: Predictor, inputs: Inputs, block: int = 512) -> FloatArray:
    """Predict [n, models], clipped to 0..1, `block` prompts at a time so that memory stays bounded."""
    if len(inputs) <= block:
        return np.clip(predictor.predict(inputs), 0, 1)
    starts = range(0, len(inputs), block)
    parts = [predictor.predict(inputs.take(np.arange(at, min(at + block, len(inputs))))) for at in starts]
    return np.clip(np.concatenate(parts), 0, 1)


def predict_known(predictor: Predictor, inputs: Inputs) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Predict [n, models], clipped to 0..1, for a few prompts, and tell which predictions may decide [n]."""
    if isinstance(predictor, GuardedAtOnce):
        predicted, known = predictor.predict_known(inputs)
    else:
        predicted = predictor.predict(inputs)
        known = predictor.known(inputs) if isinstance(predictor, Guarded) else np.ones(len(inputs), np.bool_)
    return np.clip(predicted, 0, 1), known


def best_of(
    strategy: Strategy, grid: Sequence[Params], cross_predict: CrossPredict, scores: FloatArray
) -> Params:
    """Return the entry of `grid` with the smallest cross-validated squared error; the first among equals.

    Squared error, not the routing gain itself, decides: the gain is too noisy over a few thousand prompts to
    choose by, and choosing by it would be choosing noise.
    """
    return min(grid, key=lambda params: round(squared_error(cross_predict(strategy, params), scores), 9))


def need(
    weights: Arrays,
    name: str,
    dtype: type[np.generic],
    shape: tuple[int | None, ...],
    *,
    subject: str = "weights.safetensors",
) -> NDArray[Any]:
    """Return array `name` of the file `subject`.

    Raises `RouterError` unless it has this type and shape (None: any) and is finite.
    """
    array = weights.get(name)
    if array is None:
        raise RouterError(f"{subject}: tensor {name!r} is missing", subject=subject)
    fits = len(array.shape) == len(shape) and all(
        want is None or got == want for got, want in zip(array.shape, shape, strict=True)
    )
    if array.dtype != dtype or not fits:
        wanted = "x".join("any" if size is None else str(size) for size in shape)
        raise RouterError(
            f"{subject}: tensor {name!r} is {array.dtype} {'x'.join(map(str, array.shape))}, "
            f"want {np.dtype(dtype)} {wanted}",
            subject=subject,
        )
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
        raise RouterError(f"{subject}: tensor {name!r} is not finite", subject=subject)
    return array


def number(params: Params, name: str, low: float, high: float) -> float:
    """Return the number `name` of `params`; raises `RouterError` when it is missing or not in `low..high`."""
    value = params.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise RouterError(
            f"router.json: parameter {name!r} is {value!r:.60}, want a number from {low:g} to {high:g}",
            subject="router.json",
        )
    return value
