"""Recorded decisions once more, by another artifact: agreement, expected gain, cost. Pure.

Both choices are judged by the new artifact's predictions; it is the only judge there is, and it likes its own choices:
a gain that is predicted is not one that was measured. Costs are the call's own tokens at the group's prices.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from routeiq_router.artifact import Artifact
from routeiq_router.decide import Candidate, rank
from routeiq_router.errors import RouterError
from routeiq_router.objective import Objective
from routeiq_router.strategies.interface import FloatArray, Inputs, predict_blocks
from routeiq_router.strategies.registry import strategy
from routeiq_router.text import SURFACE, SURFACE_SIZE

__all__ = ["Option", "Recorded", "replay"]


@dataclass(frozen=True, slots=True)
class Option:
    """A candidate as it was weighed; `spend`: what the call would have cost there, in dollars."""

    group: str
    model: str | None
    cost: float
    latency: float | None = None
    spend: float | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """One decision: the group that came first, what it was chosen among and by, and what the prompt looked like."""

    group: str
    options: tuple[Option, ...]
    objective: Objective
    seed: int
    embedder: str
    surface_name: str
    vector: FloatArray
    surface: FloatArray


def replay(artifact: Artifact, decisions: Sequence[Recorded], model_map: Mapping[str, str]) -> dict[str, Any]:
    """Return the report; `model_map`: group → model of the artifact, before the recorded model and the group's name.

    Left out, and counted: decisions of another embedder, and those among whose groups the artifact knows none. Raises
    `RouterError` for a map to a model that the artifact does not know.
    """
    for group, model in model_map.items():
        if model not in artifact.models:
            raise RouterError(
                f"{group}: artifact {artifact.name!r} knows no model {model!r}",
                subject=group,
                hint=f"map it to one of: {', '.join(artifact.models)}",
            )
    fitting = [one for one in decisions if _fits(one, artifact)]
    mapped = [(one, _candidates(one, artifact.models, model_map)) for one in fitting]
    known = [(one, found) for one, found in mapped if any(item.model is not None for item in found)]
    qualities = _predict(artifact, [one for one, _ in known])
    return {
        "artifact": {"name": artifact.name, "strategy": artifact.strategy, "digest": artifact.digest},
        "decisions": len(decisions),
        "replayed": len(known),
        "left_out": {
            "other_embedder": len(decisions) - len(fitting),
            "unknown_groups": len(fitting) - len(known),
        },
        **_compare(artifact.models, known, qualities),
    }


def _fits(one: Recorded, artifact: Artifact) -> bool:
    return (
        one.embedder == artifact.embedder.digest
        and one.surface_name == artifact.surface == SURFACE
        and len(one.vector) == artifact.embedder.dimension
        and len(one.surface) == SURFACE_SIZE
    )


def _candidates(one: Recorded, models: Sequence[str], model_map: Mapping[str, str]) -> list[Candidate]:
    found = []
    for option in one.options:
        names = (model_map.get(option.group), option.model, option.group)
        model = next((name for name in names if name in models), None)
        found.append(Candidate(option.group, model, option.cost, option.latency))
    return found


def _predict(artifact: Artifact, decisions: Sequence[Recorded]) -> FloatArray:
    predictor = strategy(artifact.strategy).load(
        artifact.params,
        artifact.weights,
        models=len(artifact.models),
        dimension=artifact.embedder.dimension,
        surface=SURFACE_SIZE,
    )
    if not decisions:
        return np.zeros((0, len(artifact.models)), dtype=np.float32)
    vectors = np.stack([one.vector for one in decisions]).astype(np.float32)
    surfaces = np.stack([one.surface for one in decisions]).astype(np.float32)
    return predict_blocks(predictor, Inputs(vectors, surfaces))


def _compare(
    models: Sequence[str], known: Sequence[tuple[Recorded, list[Candidate]]], qualities: FloatArray
) -> dict[str, Any]:
    moved: Counter[tuple[str, str]] = Counter()
    quality: list[tuple[float, float]] = []
    spend: list[tuple[float, float]] = []
    for (one, candidates), row in zip(known, qualities.tolist(), strict=True):
        predicted = dict(zip(models, row, strict=True))
        chosen = rank(candidates, predicted, objective=one.objective, seed=one.seed)[0]
        moved[one.group, chosen.group] += 1
        before = next((item.model for item in candidates if item.group == one.group), None)
        if before is not None and chosen.quality is not None:
            quality.append((predicted[before], chosen.quality))
        costs = {option.group: option.spend for option in one.options}
        old, new = costs.get(one.group), costs.get(chosen.group)
        if old is not None and new is not None:
            spend.append((old, new))
    agreed = sum(count for (old, new), count in moved.items() if old == new)
    return {
        "agreement": agreed / len(known) if known else None,
        "quality": _means(quality),
        "spend": _means(spend),
        "moved": [
            {"from": old, "to": new, "decisions": count}
            for (old, new), count in sorted(moved.items(), key=lambda item: (-item[1], item[0]))
            if old != new
        ],
    }


def _means(pairs: Sequence[tuple[float, float]]) -> dict[str, Any] | None:
    if not pairs:
        return None
    before, after = (sum(values) / len(pairs) for values in zip(*pairs, strict=True))
    return {"decisions": len(pairs), "before": before, "after": after, "change": after - before}
