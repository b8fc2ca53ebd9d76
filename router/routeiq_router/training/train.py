"""Makes an artifact: hold out, choose, fit, judge on what was held out.

The same data, embedder, seed and library versions give the same bytes; `embeddings_sha256` in the artifact says
whether two CPUs gave the same vectors, the one thing that int8 kernels may do differently.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from routeiq_router.artifact import Artifact, EmbedderIdentity
from routeiq_router.data.costs import model_costs
from routeiq_router.data.dataset import Dataset
from routeiq_router.data.embedding import embed_prompts
from routeiq_router.data.split import SPLIT_RULE, fold_numbers, held_out, prompt_fingerprints
from routeiq_router.embedder import TRUNCATION, Embedder
from routeiq_router.errors import RouterError
from routeiq_router.evaluation.nested import check_apart
from routeiq_router.evaluation.report import quality_report
from routeiq_router.judged import FOREIGN_SHARE
from routeiq_router.strategies.interface import Inputs
from routeiq_router.strategies.registry import strategy
from routeiq_router.text import SURFACE, foreign_share, prompt_digest
from routeiq_router.training.pinned import pinned_threads
from routeiq_router.training.selection import INNER_FOLDS, Training, fit_predict, select_params
from routeiq_signing.progress import Progress

__all__ = ["MIN_PROMPTS", "TrainRequest", "train"]

MIN_PROMPTS = 20
"""Fewer prompts than this cannot even be cross-validated."""


@dataclass(frozen=True)
class TrainRequest:
    """What to make. `costs` is the table of unit costs; `holdout` the share of prompts kept to judge, 0..0.5."""

    name: str
    strategy: str
    costs: Mapping[str, float]
    seed: int = 0
    holdout: float = 0.1


def train(
    request: TrainRequest,
    data: Dataset,
    embedder: Embedder,
    *,
    embedder_name: str,
    cache: Path | None,
    progress: Progress,
) -> Artifact:
    """Return the artifact; `dump_artifact` gives its files.

    Raises `RouterError` for an unknown strategy, too few prompts, a prompt on both sides of the split, or a process
    without pinned kernels.
    """
    chosen = strategy(request.strategy)
    if not 0 <= request.holdout <= 0.5:
        raise RouterError(f"holdout: {request.holdout} is not a share from 0 to 0.5")
    outside = held_out(data.prompts, request.holdout)
    teach, judge = np.flatnonzero(~outside), np.flatnonzero(outside)
    digests = [prompt_digest(prompt) for prompt in data.prompts]
    different = len({digests[row] for row in teach})
    if different < MIN_PROMPTS:
        raise RouterError(f"{different} different prompts to train on, want at least {MIN_PROMPTS}")
    check_apart(teach, judge, digests)
    inputs = embed_prompts(embedder, data.prompts, cache=cache, progress=progress)
    training = Training(inputs, data.scores, fold_numbers(data.prompts, INNER_FOLDS)).take(teach)
    with pinned_threads():
        with progress.task("choosing parameters", None, "fit") as advance:
            params = select_params(chosen, training, seed=request.seed, advance=advance)
        weights = chosen.fit(training.inputs, training.scores, params, seed=request.seed)
        predicted = (
            fit_predict(chosen, training, params, inputs.take(judge), seed=request.seed)
            if len(judge)
            else None
        )
    costs, _ = model_costs(data.models, request.costs)
    held = [data.prompts[row] for row in judge]
    return Artifact(
        name=request.name,
        strategy=request.strategy,
        models=data.models,
        costs=costs,
        embedder=EmbedderIdentity(
            embedder_name, embedder.digest, embedder.dimension, TRUNCATION, embedder.kind
        ),
        surface=SURFACE,
        params=params,
        training={
            "data": [vars(source) for source in data.sources],
            "prompts": len(teach),
            "foreign_prompts": sum(foreign_share(data.prompts[row]) > FOREIGN_SHARE for row in teach),
            "held_out": {"fraction": request.holdout, "prompts": len(judge), "rule": SPLIT_RULE},
            "seed": request.seed,
            "embeddings_sha256": _digest(training.inputs),
            "libraries": {name: version(name) for name in ("numpy", "scikit-learn")},
        },
        metrics={}
        if predicted is None
        else quality_report(predicted, data.scores[judge], held, data.models, costs, seed=request.seed),
        trained_prompts=np.unique(prompt_fingerprints([data.prompts[row] for row in teach])),
        weights=weights,
    )


def _digest(inputs: Inputs) -> str:
    return hashlib.sha256(np.ascontiguousarray(inputs.embeddings).tobytes()).hexdigest()
