"""From answers to an artifact: each group's ability on known difficulty, and what is said of it. Pure.

The artifact that is given tells how hard a prompt is and for whom; each group's answers say what it makes of that
(`ability.py`). The new artifact predicts for the groups alone: qualities of the known models were measured
elsewhere, with other checks, and do not compare with these.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routeiq_router.artifact import Artifact
from routeiq_router.calibration.ability import Ability, fit_ability
from routeiq_router.calibration.item import Item, suite_digest
from routeiq_router.data.split import prompt_fingerprints
from routeiq_router.errors import RouterError
from routeiq_router.strategies.calibrated import pack_asked
from routeiq_router.strategies.interface import FloatArray, Inputs, predict_blocks
from routeiq_router.strategies.registry import strategy

__all__ = [
    "LEAST_ANSWERS",
    "REPORT_SCHEMA",
    "Calibration",
    "calibrate",
    "check_base",
    "check_count",
    "least_answers",
]

REPORT_SCHEMA = "routeiq.calibration-report/v1"
LEAST_ANSWERS = 30
"""With fewer answers than this a group's level is known to no better than about +-0.18."""
_LEAST_SHARE = 0.5
_Z95 = 1.959964
_CALIBRATED = "calibrated"


@dataclass(frozen=True, slots=True)
class Calibration:
    """The new artifact, and the report as JSON values."""

    artifact: Artifact
    report: Mapping[str, Any]


def check_count(items: Sequence[Item]) -> None:
    """Raise `RouterError` for a suite that is too small to calibrate anything."""
    if len(items) < LEAST_ANSWERS:
        raise RouterError(f"{len(items)} prompts to ask, want at least {LEAST_ANSWERS}")


def least_answers(asked: int) -> int:
    """Return how many of `asked` prompts a group must have answered: half of them, and `LEAST_ANSWERS`."""
    return max(LEAST_ANSWERS, int(asked * _LEAST_SHARE))


def check_base(base: Artifact) -> None:
    """Raise `RouterError` for an artifact that is itself calibrated: its groups' qualities are no known models'."""
    if base.strategy == _CALIBRATED:
        hint = "start from the artifact that it was made from"
        raise RouterError(f"{base.name}: is calibrated itself", subject=base.name, hint=hint)


def calibrate(
    base: Artifact,
    items: Sequence[Item],
    inputs: Inputs,
    answers: Mapping[str, Mapping[str, bool]],
    costs: Mapping[str, float],
    *,
    name: str,
) -> Calibration:
    """Fit each group of `answers` (group to prompt id to right) on `items`, whose vectors are `inputs`.

    A group with too few answers is not in the artifact. Raises `RouterError` where none has enough, or the base is
    itself calibrated.
    """
    check_base(base)
    predictor = strategy(base.strategy).load(
        base.params,
        base.weights,
        models=len(base.models),
        dimension=inputs.embeddings.shape[1],
        surface=inputs.surface.shape[1],
    )
    known = predict_blocks(predictor, inputs).astype(np.float64)
    needed = least_answers(len(items))
    fitted: dict[str, Ability] = {}
    groups: dict[str, Any] = {}
    for group, said in answers.items():
        right = np.asarray([float(said[item.id]) if item.id in said else np.nan for item in items])
        asked = np.flatnonzero(~np.isnan(right))
        entry: dict[str, Any] = {
            "answered": len(asked),
            "missing": len(items) - len(asked),
            "correct": int(np.nansum(right)),
            "skills": _by(items, right, [item.skill for item in items]),
            "difficulties": _by(items, right, [str(item.difficulty) for item in items]),
            "calibrated": len(asked) >= needed,
        }
        if entry["calibrated"]:
            fitted[group] = fit_ability(known[asked], right[asked])
            mean, deviation = fitted[group].mean(known)
            low, high = max(mean - _Z95 * deviation, 0.0), min(mean + _Z95 * deviation, 1.0)
            entry |= {"ability": round(mean, 4), "interval": [round(low, 4), round(high, 4)]}
        else:
            entry["reason"] = f"{len(asked)} answers, want {needed}"
        groups[group] = entry
    if not fitted:
        raise RouterError(
            f"no group answered {needed} of {len(items)} prompts: nothing is calibrated",
            hint="see what the gateway says of the groups, and continue with --resume",
        )
    ranking = sorted(fitted, key=lambda group: (-groups[group]["ability"], group))
    report = {
        "schema": REPORT_SCHEMA,
        "suite": {"digest": suite_digest(items), "prompts": len(items)},
        "base": {"name": base.name, "digest": base.digest, "strategy": base.strategy},
        "groups": groups,
        "ranking": ranking,
    }
    return Calibration(_artifact(base, items, inputs, fitted, costs, report, name), report)


def _by(items: Sequence[Item], right: NDArray[np.float64], keys: Sequence[str]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for key in sorted(set(keys)):
        rows = [row for row in range(len(items)) if keys[row] == key and not np.isnan(right[row])]
        found[key] = {"answered": len(rows), "correct": int(sum(right[row] for row in rows))}
    return found


def _artifact(
    base: Artifact,
    items: Sequence[Item],
    inputs: Inputs,
    fitted: Mapping[str, Ability],
    costs: Mapping[str, float],
    report: Mapping[str, Any],
    name: str,
) -> Artifact:
    abilities: FloatArray = np.stack([one.weights for one in fitted.values()]).astype(np.float32)
    shown = prompt_fingerprints([item.prompt for item in items])
    summary = {"suite": report["suite"], "base": report["base"]}
    return Artifact(
        name=name,
        strategy=_CALIBRATED,
        models=tuple(fitted),
        costs={group: costs[group] for group in fitted},
        embedder=base.embedder,
        surface=base.surface,
        params={"strategy": base.strategy, "params": dict(base.params), "known": len(base.models)},
        training={**base.training, "calibration": summary},
        metrics={"calibration": report["groups"], "ranking": report["ranking"]},
        trained_prompts=np.unique(np.concatenate([base.trained_prompts, shown])),
        weights={
            **{f"base.{key}": value for key, value in base.weights.items()},
            **pack_asked(inputs.embeddings),
            "abilities": abilities,
        },
    )
