"""What routing is worth where it has not learnt: on tasks, and for models, that were left out of training.

Left-out task: every other task teaches, parameters are chosen there too. Left-out models: the others teach; then every
model, new or known, gives `CALIBRATION` answers of its own, on prompts that teach nothing and judge nothing, and its
ability is fitted on them, as `routeiq router calibrate` does it for all of a site's models (`calibration/ability.py`).
"Same tasks": folds of all prompts; "other tasks": the judged task is in neither part.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routeiq_router.calibration.ability import fit_ability
from routeiq_router.evaluation.hull import Array
from routeiq_router.evaluation.nested import Chooser, check_apart
from routeiq_router.strategies.interface import FloatArray, Params, Strategy
from routeiq_router.training.selection import Training, fit_predict

__all__ = ["CALIBRATION", "LeftOut", "left_out_models", "model_groups"]

CALIBRATION = 400
"""Answers of its own by which a left-out model is known."""
_CHOOSING = 1000
"""Prompts on which parameters are chosen; they judge nothing here."""


@dataclass(frozen=True)
class LeftOut:
    """Models that were left out together, and predictions [n, models] for all; NaN rows were not judged."""

    columns: tuple[int, ...]
    predicted: FloatArray


def model_groups(costs: Sequence[float], size: int) -> list[tuple[int, ...]]:
    """Return the columns in groups of about `size`, at least two, each from cheap models to dear ones."""
    order = np.argsort(np.asarray(costs), kind="stable")
    groups = min(max(len(order) // size, 2), len(order))
    return [tuple(sorted(int(column) for column in order[start::groups])) for start in range(groups)]


def left_out_models(
    strategy: Strategy,
    training: Training,
    parts: NDArray[np.int64],
    groups: Sequence[tuple[int, ...]],
    digests: Sequence[bytes],
    *,
    seed: int,
    advance: Callable[[int], object],
) -> list[LeftOut]:
    """Return predictions for each of `groups` (columns left out together); `training.scores` has none missing.

    `parts` [n] are judged one after the other; the parameters are chosen once a group, on prompts that are not judged.
    """
    draw = np.random.default_rng(seed)
    count = len(parts)
    choosing = np.zeros(count, dtype=np.bool_)
    choosing[draw.choice(count, min(_CHOOSING, count // 4), replace=False)] = True
    models = training.scores.shape[1]
    left = [np.full((count, models), np.nan, dtype=np.float32) for _ in groups]
    known = [np.setdiff1d(np.arange(models), group) for group in groups]
    chosen: list[Params] = []
    for columns in known:
        part = _columns(training.take(np.flatnonzero(choosing)), columns)
        chosen.append(Chooser(part, seed=seed).choose(strategy))
    for number in np.unique(parts):
        judge = np.flatnonzero((parts == number) & ~choosing)
        rest = np.flatnonzero(parts != number)
        asked = np.sort(draw.choice(rest, min(CALIBRATION, len(rest) // 2), replace=False))
        teach = np.setdiff1d(rest, asked)
        check_apart(np.concatenate([teach, asked]), judge, digests)
        for columns, params, table in zip(known, chosen, left, strict=True):
            both = training.inputs.take(np.concatenate([asked, judge]))
            inside = _columns(training.take(teach), columns)
            said = fit_predict(strategy, inside, params, both, seed=seed).astype(np.float64)
            for model in range(models):
                answers: Array = training.scores[asked, model].astype(np.float64)
                ability = fit_ability(said[: len(asked)], answers)
                table[judge, model] = ability.predict(said[len(asked) :])
            advance(1)
    return [LeftOut(group, table) for group, table in zip(groups, left, strict=True)]


def _columns(training: Training, columns: NDArray[np.intp]) -> Training:
    return Training(training.inputs, training.scores[:, columns], training.folds)
