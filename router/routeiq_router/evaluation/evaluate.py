"""How good an artifact is on a data file: leaves out what it was trained on, predicts, reports.

An artifact carries fingerprints of its training prompts, so a figure on prompts that it has seen cannot be taken by
mistake: they are left out, or, when nothing else is there, the report says that it is worthless as an estimate.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from routeiq_router.data.dataset import Dataset
from routeiq_router.data.embedding import embed_prompts
from routeiq_router.data.split import prompt_fingerprints
from routeiq_router.errors import RouterError
from routeiq_router.evaluation.report import quality_report
from routeiq_router.router import Router
from routeiq_signing.progress import Progress

__all__ = ["evaluate"]


def evaluate(
    router: Router,
    data: Dataset,
    *,
    costs: Mapping[str, float] | None = None,
    seed: int = 0,
    cache: Path | None,
    progress: Progress,
) -> dict[str, Any]:
    """Return the report as JSON values; `warnings` holds what a reader must know before using the figures.

    `costs` (a table of unit costs) goes before the artifact's own. Raises `RouterError` when the data measures
    none of the artifact's models.
    """
    models = router.models
    scores = data.scores_for(models)
    usable = ~np.isnan(scores).all(axis=1)
    if not usable.any():
        raise RouterError(
            f"the data measures none of the artifact's models ({', '.join(models)})",
            hint="evaluate on data for these models, or train an artifact on this data",
        )
    seen = np.isin(prompt_fingerprints(data.prompts), router.artifact.trained_prompts)
    warnings = _warnings(data, models, seen[usable])
    rows = np.flatnonzero(usable if seen[usable].all() else usable & ~seen)
    prompts = [data.prompts[row] for row in rows]
    inputs = embed_prompts(router.embedder, prompts, cache=cache, progress=progress)
    table = {model: float((costs or {}).get(model, router.artifact.costs[model])) for model in models}
    predicted = router.predict_many(inputs.embeddings, inputs.surface)
    report = quality_report(predicted, scores[rows], prompts, models, table, seed=seed)
    if not report["pools"]:
        warnings.append("too few prompts with two or more models measured: no routing figures")
    headline = (
        {name: value for name, value in report["pools"][0].items() if name != "curve"}
        if report["pools"]
        else {}
    )
    return {
        **headline,
        "artifact": {"name": router.name, "digest": router.digest, "strategy": router.strategy},
        "data": [vars(source) for source in data.sources],
        "prompts_given": len(data),
        "prompts_used": len(rows),
        "prompts_left_out_as_trained_on": 0 if seen[usable].all() else int((usable & seen).sum()),
        "costs": table,
        "warnings": warnings,
        "per_model": report["models"],
        "pools": report["pools"],
    }


def _warnings(data: Dataset, models: tuple[str, ...], seen: np.ndarray[Any, np.dtype[np.bool_]]) -> list[str]:
    warnings = []
    if seen.all():
        warnings.append("every prompt was trained on: these figures say nothing about other prompts")
    elif seen.any():
        warnings.append(
            f"{int(seen.sum())} prompts were trained on and are left out; "
            f"the other {int((~seen).sum())} are used"
        )
    unknown = sorted(set(data.models) - set(models))
    if unknown:
        warnings.append(f"models unknown to the artifact are ignored: {', '.join(unknown)}")
    return warnings
