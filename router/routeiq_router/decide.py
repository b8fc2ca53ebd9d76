"""Chooses among candidates: pure, explicit, deterministic.

Objective: `score = quality - cost_weight * cost / (highest cost among the candidates)`. Highest score first;
equal scores go to the cheaper candidate, then to the one declared first. Where nothing is predicted the
declared order stands: a guess from a model's size was measured to be worse than none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from routeiq_router.errors import RouterError

__all__ = ["Candidate", "Ranked", "rank"]

_TIE_DIGITS = 9
"""Scores that agree to this many decimals are equal: floating point must not break ties."""


@dataclass(frozen=True)
class Candidate:
    """One model group that may answer: its name, the artifact's model that stands for it, its unit cost."""

    group: str
    model: str
    cost: float


@dataclass(frozen=True)
class Ranked:
    """A candidate with what decided; `quality` and `score` are None where nothing is predicted."""

    group: str
    model: str
    cost: float
    normalised_cost: float
    quality: float | None
    score: float | None


def rank(
    candidates: Sequence[Candidate], quality: Mapping[str, float] | None, *, cost_weight: float
) -> tuple[Ranked, ...]:
    """Return the candidates, best first; with `quality` None in declared order, unscored.

    Raises `RouterError` without candidates, with a weight or cost that is negative or not a number, or with
    a candidate whose model has no quality.
    """
    if not candidates:
        raise RouterError(
            "no candidates to choose from", hint="list model groups under `routeiq.auto.candidates`"
        )
    if not 0 <= cost_weight < float("inf"):
        raise RouterError(f"cost_weight: {cost_weight!r} is not a number from 0 up", subject="cost_weight")
    for candidate in candidates:
        if not 0 <= candidate.cost < float("inf"):
            raise RouterError(f"{candidate.group}: cost {candidate.cost!r} is not a number from 0 up")
        if quality is not None and candidate.model not in quality:
            raise RouterError(f"{candidate.group}: no quality is predicted for model {candidate.model!r}")
    highest = max(candidate.cost for candidate in candidates) or 1.0
    ranked = [_score(candidate, quality, cost_weight, candidate.cost / highest) for candidate in candidates]
    if quality is None:
        return tuple(ranked)
    # sorted() is stable: what is equal in score and cost stays in declared order.
    return tuple(sorted(ranked, key=lambda entry: (-round(entry.score or 0.0, _TIE_DIGITS), entry.cost)))


def _score(
    candidate: Candidate, quality: Mapping[str, float] | None, cost_weight: float, normalised_cost: float
) -> Ranked:
    predicted = None if quality is None else quality[candidate.model]
    score = None if predicted is None else predicted - cost_weight * normalised_cost
    return Ranked(candidate.group, candidate.model, candidate.cost, normalised_cost, predicted, score)
