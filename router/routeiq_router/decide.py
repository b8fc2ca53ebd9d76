"""Chooses among candidates: pure, explicit, deterministic.

With weights, `score = wq * quality - wc * cost / (highest cost) - wl * latency / (highest latency)`, both shares among
the candidates; the highest score first, equal scores the cheaper first. With a floor, the cheapest candidate whose
predicted quality reaches it, and where none does the best; the score is then the quality. Whatever is still equal is
ordered by the seed, without one by declaration.

A candidate without a model (`None`) has no prediction: it comes after those that have one, in declared order. Where
nothing is predicted the declared order stands: a guess from a model's size was measured to be worse than none.
A latency that nobody measured counts as the lowest: it gets its chance to be measured.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from routeiq_router.errors import RouterError
from routeiq_router.objective import Objective

__all__ = ["Candidate", "Ranked", "chosen_by", "rank"]

_TIE_DIGITS = 9
"""Numbers that agree to this many decimals are equal: floating point must not break ties."""
_NEVER = float("inf")


@dataclass(frozen=True)
class Candidate:
    """One model group that may answer: its name, the artifact's model that stands for it, its unit cost.

    `latency` in any unit that all candidates share; infinite where it just failed, None where it is not known.
    """

    group: str
    model: str | None
    cost: float
    latency: float | None = None


@dataclass(frozen=True)
class Ranked:
    """A candidate with what decided; `quality` and `score` are None where nothing is predicted."""

    group: str
    model: str | None
    cost: float
    normalised_cost: float
    quality: float | None
    score: float | None
    normalised_latency: float = 0.0


def rank(
    candidates: Sequence[Candidate],
    quality: Mapping[str, float] | None,
    *,
    cost_weight: float = 0.0,
    objective: Objective | None = None,
    seed: int | None = None,
) -> tuple[Ranked, ...]:
    """Return the candidates, best first; with `quality` None in declared order, unscored.

    `cost_weight` stands for the objective `quality=1,cost=cost_weight` where none is given. Raises `RouterError`
    without candidates, with a weight, cost or latency that is negative or not a number, or with a candidate whose
    model has no quality.
    """
    if not candidates:
        raise RouterError(
            "no candidates to choose from", hint="list model groups under `routeiq.auto.candidates`"
        )
    if not 0 <= cost_weight < _NEVER:
        raise RouterError(f"cost_weight: {cost_weight!r} is not a number from 0 up", subject="cost_weight")
    for candidate in candidates:
        if not 0 <= candidate.cost < _NEVER:
            raise RouterError(f"{candidate.group}: cost {candidate.cost!r} is not a number from 0 up")
        if candidate.latency is not None and not 0 <= candidate.latency <= _NEVER:
            raise RouterError(f"{candidate.group}: latency {candidate.latency!r} is not a number from 0 up")
        if quality is not None and candidate.model is not None and candidate.model not in quality:
            raise RouterError(f"{candidate.group}: no quality is predicted for model {candidate.model!r}")
    wanted = objective or Objective(cost=cost_weight)
    scored = _scored(candidates, quality, wanted)
    if quality is None:
        return scored
    known = [entry for entry in scored if entry.quality is not None]
    order = {entry.group: _draw(seed, entry.group, place) for place, entry in enumerate(known)}
    if wanted.floor is None:
        known.sort(key=lambda e: (-round(e.score or 0.0, _TIE_DIGITS), e.cost, order[e.group]))
    else:
        least = _least(known, wanted.floor, of_best=wanted.of_best)
        known.sort(key=lambda e: (*_by_floor(e, least), order[e.group]))
    return (*known, *(entry for entry in scored if entry.quality is None))


def chosen_by(ranking: Sequence[Ranked], objective: Objective) -> str:
    """Return in words why the first of a `ranking` with predictions comes first."""
    if ranking[0].quality is None:
        return "declared order: the artifact knows none of the candidates"
    if objective.floor is None:
        terms = "cost and latency" if objective.latency else "cost"
        return f"highest quality minus weighted {terms}"
    known = [entry for entry in ranking if entry.quality is not None]
    least = _least(known, objective.floor, of_best=objective.of_best)
    if _by_floor(known[0], least)[0]:
        return f"highest quality: none reaches {objective}"
    return f"cheapest that reaches {objective}"


def _least(known: Sequence[Ranked], floor: float, *, of_best: bool) -> float:
    best = max((entry.quality or 0.0 for entry in known), default=0.0)
    return round(floor * best if of_best else floor, _TIE_DIGITS)


def _scored(
    candidates: Sequence[Candidate], quality: Mapping[str, float] | None, wanted: Objective
) -> tuple[Ranked, ...]:
    # What has no prediction must not change what a weight means for those that have one.
    compared = [candidate for candidate in candidates if candidate.model is not None]
    highest = max((candidate.cost for candidate in compared or candidates), default=0.0) or 1.0
    latencies = _latencies(candidates, compared)
    found = []
    for candidate, latency in zip(candidates, latencies, strict=True):
        share = candidate.cost / highest
        predicted = None if quality is None or candidate.model is None else quality[candidate.model]
        score = predicted
        if predicted is not None and wanted.floor is None:
            score = wanted.quality * predicted - wanted.cost * share - wanted.latency * latency
        found.append(
            Ranked(candidate.group, candidate.model, candidate.cost, share, predicted, score, latency)
        )
    return tuple(found)


def _latencies(candidates: Sequence[Candidate], compared: Sequence[Candidate]) -> list[float]:
    """Return each candidate's share, 0..1, of the highest latency; 1 for what just failed."""
    known = [c.latency for c in compared if c.latency is not None and c.latency != _NEVER]
    highest, lowest = max(known, default=0.0) or 1.0, min(known, default=0.0)
    return [
        1.0 if c.latency == _NEVER else min(1.0, (lowest if c.latency is None else c.latency) / highest)
        for c in candidates
    ]


def _by_floor(entry: Ranked, least: float) -> tuple[float, ...]:
    quality = round(entry.quality or 0.0, _TIE_DIGITS)
    return (0, entry.cost, -quality) if quality >= least else (1, -quality, entry.cost)


def _draw(seed: int | None, group: str, place: int) -> int:
    """Return the place in a tie."""
    if seed is None:
        return place
    return int.from_bytes(
        hashlib.blake2b(f"{seed} {group}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    )
