"""Part of a data set: some tasks, some models. Pure."""

from collections.abc import Sequence

from routeiq_router.data.dataset import Dataset
from routeiq_router.errors import RouterError

__all__ = ["subset"]


def subset(data: Dataset, *, tasks: Sequence[str] = (), models: Sequence[str] = ()) -> Dataset:
    """Return the rows of `tasks` (a task `a` includes every `a:b`) and the scores of `models`; empty: all.

    Rows without a score of any of the models are left out. Raises `RouterError` for a task or model that is not there.
    """
    names = ", ".join(source.name for source in data.sources)
    known = sorted({task for task in data.tasks if task})
    for task in tasks:
        if not any(_within(one, task) for one in known):
            listed = ", ".join(known[:20]) or "the data names no task"
            raise RouterError(f"{names}: no task {task[:80]!r}", subject=names, hint=f"one of: {listed}")
    for model in models:
        if model not in data.models:
            hint = f"one of: {', '.join(data.models)}"
            raise RouterError(f"{names}: measures no model {model[:80]!r}", subject=names, hint=hint)
    if not tasks and not models:
        return data
    wanted = tuple(sorted(set(models))) or data.models
    scores = data.scores_for(wanted)
    rows = [
        row
        for row in range(len(data))
        if (not tasks or any(_within(data.tasks[row], task) for task in tasks))
        and (scores[row] == scores[row]).any()
    ]
    return data.take(rows, wanted)


def _within(task: str, wanted: str) -> bool:
    return task == wanted or task.startswith(f"{wanted}:")
