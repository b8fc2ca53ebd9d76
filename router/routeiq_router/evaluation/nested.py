"""Predictions in which no prompt had a part in fitting or choosing what judged it: nested cross-validation.

For every outer fold hyperparameters are chosen again on the other folds, as `routeiq router train` chooses them. What
near-copies of the judged prompts teach is left out (`near`). Cawley and Talbot, "On Over-fitting in Model Selection"
(2010): a figure taken where the choice was made is too good.
"""

import json
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from routeiq_router.errors import RouterError
from routeiq_router.strategies.interface import FloatArray, Params, Strategy
from routeiq_router.training.selection import Training, fit_predict

__all__ = ["Chooser", "check_apart", "nested"]

Chosen = tuple[FloatArray, list[Params]]


class Chooser:
    """Chooses a strategy's parameters on one training set; what one strategy tried, another (an ensemble) reuses.

    `most`: prompts to choose on, drawn by the seed where there are more; None: all.
    """

    def __init__(self, training: Training, *, seed: int, most: int | None = None) -> None:
        if most is not None and len(training.scores) > most:
            draw = np.random.default_rng(seed)
            training = training.take(np.sort(draw.choice(len(training.scores), most, replace=False)))
        self._training, self._seed = training, seed
        self._seen: dict[str, FloatArray] = {}

    def choose(self, strategy: Strategy) -> Params:
        """Return the parameters; each candidate is fitted once."""

        def cross_predict(candidate: Strategy, params: Params) -> FloatArray:
            key = json.dumps([candidate.name, params], sort_keys=True)
            if key not in self._seen:
                self._seen[key] = self._cross_predict(candidate, params)
            return self._seen[key]

        return strategy.select(cross_predict, self._training.scores)

    def _cross_predict(self, strategy: Strategy, params: Params) -> FloatArray:
        training = self._training
        result = np.zeros_like(training.scores)
        for fold in np.unique(training.folds):
            inside, outside = np.flatnonzero(training.folds != fold), np.flatnonzero(training.folds == fold)
            rest = training.inputs.take(outside)
            result[outside] = fit_predict(strategy, training.take(inside), params, rest, seed=self._seed)
        return result


def check_apart(teach: NDArray[np.intp], judge: NDArray[np.intp], digests: Sequence[bytes]) -> None:
    """Raise `RouterError` when a prompt's normal form is on both sides: a figure taken so would be worthless."""
    shared = {digests[row] for row in teach} & {digests[row] for row in judge}
    if shared:
        raise RouterError(
            f"{len(shared)} prompts would both teach and judge", hint="split by `data.split.fold_numbers`"
        )


def nested(
    strategies: Sequence[Strategy],
    training: Training,
    outer: NDArray[np.int64],
    digests: Sequence[bytes],
    *,
    near: Mapping[int, NDArray[np.intp]],
    seed: int,
    most: int | None,
    advance: Callable[[int], object],
) -> dict[str, Chosen]:
    """Return each strategy's predictions [n, models] and the parameters chosen in each fold.

    `outer` [n] numbers the parts (folds, or tasks); `near[part]` are rows that must not teach what judges that part;
    `digests` [n] are of the prompts' normal forms; parameters are chosen on at most `most` prompts (None: all).
    `advance(1)` after each part and strategy. Raises `RouterError` when a prompt is on both sides.
    """
    found: dict[str, Chosen] = {one.name: (np.zeros_like(training.scores), []) for one in strategies}
    for part in np.unique(outer):
        judge = np.flatnonzero(outer == part)
        teach = np.setdiff1d(np.flatnonzero(outer != part), near.get(int(part), np.empty(0, dtype=np.intp)))
        check_apart(teach, judge, digests)
        inside = training.take(teach)
        chooser = Chooser(inside, seed=seed, most=most)
        for strategy in strategies:
            params = chooser.choose(strategy)
            predicted, chosen = found[strategy.name]
            predicted[judge] = fit_predict(strategy, inside, params, training.inputs.take(judge), seed=seed)
            chosen.append(params)
            advance(1)
    return found
