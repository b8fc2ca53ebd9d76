"""How good strategies are on some data: nested cross-validation; and what is left on unseen tasks, for unseen models.

Decides what is measured and against what; the arithmetic is `metrics.py`'s and `pairs.py`'s, the predictions are
`nested.py`'s and `unseen.py`'s. The same data, embedder and seed give the same report.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routeiq_router.data.costs import model_costs
from routeiq_router.data.dataset import Dataset
from routeiq_router.data.embedding import embed_prompts
from routeiq_router.data.split import fold_numbers
from routeiq_router.embedder import Embedder
from routeiq_router.errors import RouterError
from routeiq_router.evaluation.duplicates import near_other_parts
from routeiq_router.evaluation.nested import nested
from routeiq_router.evaluation.pools import MIN_POOL, find_pools
from routeiq_router.evaluation.standings import Standing, models_report, pool_report, tasks_report
from routeiq_router.evaluation.unseen import CALIBRATION, left_out_models, model_groups
from routeiq_router.strategies.interface import FloatArray, Strategy
from routeiq_router.strategies.registry import strategy
from routeiq_router.text import prompt_digest
from routeiq_router.training.pinned import pinned_threads
from routeiq_router.training.selection import INNER_FOLDS, Training
from routeiq_signing.progress import Progress

__all__ = ["PARTS", "REPORT_SCHEMA", "Comparison", "compare"]

REPORT_SCHEMA = "routeiq.evaluation/v1"
PARTS = ("nested", "tasks", "models")
"""What a report may hold: prompts, tasks and models that were not learnt from."""
_MIN_PROMPTS = 20
_LEFT_OUT_TOGETHER = 3
"""Models that are new at a time, at least: routing among them alone is what a site does that has none of the others."""
_CHOOSING = 1000
"""Prompts on which parameters are chosen at most, drawn from those that teach: a choice per part and strategy."""
_MANY_TASKS, _TASK_GROUPS = 20, 5
"""More tasks than the first number are left out in so many groups; with models left out, tasks always are."""
_BASELINE = "best"


@dataclass(frozen=True)
class Comparison:
    """What to measure. `near` is the cosine from which prompts count as copies; above 1 none does."""

    strategies: tuple[str, ...]
    costs: Mapping[str, float]
    folds: int = 5
    seed: int = 0
    near: float = 0.95
    parts: tuple[str, ...] = PARTS


def compare(
    request: Comparison, data: Dataset, embedder: Embedder, *, cache: Path | None, progress: Progress
) -> dict[str, Any]:
    """Return the report as JSON values; raises `RouterError` for data that cannot say anything about routing."""
    if not 2 <= request.folds <= 20:
        raise RouterError(f"folds: {request.folds} is not from 2 to 20", subject="folds")
    strategies = [strategy(name) for name in dict.fromkeys(request.strategies)]
    _check(data)
    costs, guessed = model_costs(data.models, request.costs)
    inputs = embed_prompts(embedder, data.prompts, cache=cache, progress=progress)
    # The outer folds take other bytes of the digest than the inner ones.
    outer = fold_numbers(data.prompts, request.folds, salt=1)
    training = Training(inputs, data.scores, fold_numbers(data.prompts, INNER_FOLDS))
    digests = [prompt_digest(prompt) for prompt in data.prompts]
    near = near_other_parts(inputs.embeddings, outer, request.near)
    warnings = [f"costs are guessed from names for {', '.join(guessed)}; give --costs"] if guessed else []
    again = len(digests) - len(set(digests))
    if again:
        warnings.append(
            f"{again} prompts stand there again with another id: they share a fold with their copies"
        )
    result: dict[str, Any] = {
        "schema": REPORT_SCHEMA,
        "data": [vars(source) for source in data.sources],
        "prompts": len(data),
        "models": list(data.models),
        "tasks": dict(sorted(Counter(data.tasks).items())),
        "costs": costs,
        "embedder": {"kind": embedder.kind, "digest": embedder.digest},
        "folds": request.folds,
        "seed": request.seed,
        "near_duplicates": {
            "cosine": request.near,
            "same_text": again,
            "left_out_of_training": {str(fold): len(rows) for fold, rows in near.items()},
        },
        "warnings": warnings,
        "pools": [],
    }
    standings = [
        Standing.of(pool, data.scores, data.prompts, costs, seed=request.seed)
        for pool in find_pools(data.scores.astype(np.float64), data.models)
    ]
    work = _Work(request, strategies, training, digests, progress)
    with pinned_threads():
        if "nested" in request.parts:
            said = work.folds(outer, near)
            result["pools"] = [pool_report(standing, said) for standing in standings]
        tasks = _task_parts(data)
        if "tasks" in request.parts:
            if tasks.any():
                told = work.tasks(tasks)
                result["leave_one_task_out"] = [
                    tasks_report(standing, told, data.tasks, _BASELINE) for standing in standings
                ]
            else:
                warnings.append("one task only ('task' in the data): nothing is said about unseen tasks")
        if "models" in request.parts:
            wide = next((one for one in standings if len(one.pool.models) > 2), None)
            if wide is None:
                warnings.append(
                    "fewer than three models on the same prompts: nothing is said about unseen models"
                )
            else:
                units = [costs[name] for name in wide.pool.models]
                result["leave_models_out"] = work.models(wide, outer, tasks, units)
    return result


@dataclass(frozen=True)
class _Work:
    """The long part, with its progress bars."""

    request: Comparison
    strategies: list[Strategy]
    training: Training
    digests: list[bytes]
    progress: Progress

    def folds(
        self, outer: NDArray[np.int64], near: Mapping[int, NDArray[np.intp]]
    ) -> dict[str, tuple[FloatArray, list[Any]]]:
        with self.progress.task("folds", len(np.unique(outer)) * len(self.strategies), "strategy") as advance:
            return nested(
                self.strategies,
                self.training,
                outer,
                self.digests,
                near=near,
                seed=self.request.seed,
                most=_CHOOSING,
                advance=advance,
            )

    def tasks(self, numbers: NDArray[np.int64]) -> dict[str, FloatArray]:
        near = near_other_parts(self.training.inputs.embeddings, numbers, self.request.near)
        # A prompt that stands in two tasks would teach the one from the other.
        same = _same_text(self.digests, numbers)
        near = {part: np.union1d(rows, same[part]) for part, rows in near.items()}
        wanted = self.strategies
        if all(one.name != _BASELINE for one in wanted):
            wanted = [*wanted, strategy(_BASELINE)]
        with self.progress.task(
            "tasks left out", len(np.unique(numbers)) * len(wanted), "strategy"
        ) as advance:
            found = nested(
                wanted,
                self.training,
                numbers,
                self.digests,
                near=near,
                seed=self.request.seed,
                most=_CHOOSING,
                advance=advance,
            )
        return {name: predicted for name, (predicted, _) in found.items()}

    def models(
        self, standing: Standing, outer: NDArray[np.int64], tasks: NDArray[np.int64], costs: list[float]
    ) -> dict[str, Any]:
        pool = standing.pool
        training = self.training.take(pool.rows)
        training = Training(training.inputs, training.scores[:, pool.columns], training.folds)
        digests = [self.digests[row] for row in pool.rows]
        groups = model_groups(costs, _LEFT_OUT_TOGETHER)
        kinds = {"same_tasks": outer[pool.rows]}
        if len(np.unique(tasks[pool.rows])) > 1:
            kinds["other_tasks"] = tasks[pool.rows] % _TASK_GROUPS
        report: dict[str, Any] = {}
        for one in self.strategies:
            report[one.name] = {}
            for kind, parts in kinds.items():
                steps = len(np.unique(parts)) * len(groups)
                with self.progress.task(f"models left out, {one.name}", steps, "group") as advance:
                    left = left_out_models(
                        one, training, parts, groups, digests, seed=self.request.seed, advance=advance
                    )
                report[one.name][kind] = models_report(standing, left)
        return {"models": list(pool.models), "answers": CALIBRATION, "strategies": report}


def _task_parts(data: Dataset) -> NDArray[np.int64]:
    """Return the number of each prompt's task; of a group of tasks where there are many."""
    _, numbers = np.unique(np.asarray(data.tasks or [""] * len(data)), return_inverse=True)
    parts = numbers.astype(np.int64)
    return parts % _TASK_GROUPS if parts.max() >= _MANY_TASKS else parts


def _same_text(digests: list[bytes], parts: NDArray[np.int64]) -> dict[int, NDArray[np.intp]]:
    """Return for each part the rows of other parts whose normal form is in it."""
    inside = {int(part): {digests[row] for row in np.flatnonzero(parts == part)} for part in np.unique(parts)}
    return {
        part: np.asarray(
            [row for row in np.flatnonzero(parts != part) if digests[row] in found], dtype=np.intp
        )
        for part, found in inside.items()
    }


def _check(data: Dataset) -> None:
    names = ", ".join(source.name for source in data.sources)
    if len(data) < _MIN_PROMPTS:
        raise RouterError(f"{names}: {len(data)} prompts, want at least {_MIN_PROMPTS}", subject=names)
    if len(data.models) < 2:
        one = ", ".join(data.models) or "no model"
        raise RouterError(f"{names}: measures {one} alone; there is nothing to route between", subject=names)
    if not find_pools(data.scores.astype(np.float64), data.models):
        raise RouterError(
            f"{names}: no two models were measured on the same {MIN_POOL} prompts",
            subject=names,
            hint="measure the models on the same prompts; which of two is better cannot be learnt otherwise",
        )
