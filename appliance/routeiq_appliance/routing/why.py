"""Why `auto` chose as it did, in plain data: what the decision's record keeps, and what explaining and replay read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from routeiq_appliance.routing.capabilities import Filtered
from routeiq_router.decide import Ranked

__all__ = ["Embedding", "Prices", "Why"]

Prices = tuple[int, int, int, int]
"""Pico-dollars per token in, token out, second and call."""
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Embedding:
    """What a prediction was made from, kept by opt-in: float16 numbers, the vector's first, then the surface's."""

    embedder: str
    """Digest of the embedder."""
    surface: str
    """Name of the list of surface features."""
    dimension: int
    """Numbers of the vector; the rest is the surface's."""
    data: bytes


@dataclass(slots=True)  # not frozen: made per call, and that would cost a microsecond
class Why:
    """One decision's."""

    seed: int
    objective: str | None = None
    """None: the strategy looks at none."""
    objective_from: str | None = None
    weighed: tuple[Ranked, ...] = ()
    """Candidates with predictions, and those without one."""
    prices: Mapping[str, Prices] | None = None
    """What the groups cost at that moment; a group that is not in it has no price."""
    needs: tuple[str, ...] = ()
    filtered: tuple[Filtered, ...] = ()
    undeclared: tuple[tuple[str, str], ...] = ()
    """(group, need) that nobody declared, and that was allowed."""
    last: tuple[tuple[str, str], ...] = ()
    """(group, reason) put last: it could not take a call."""
    embedding: Embedding | None = None

    def record(self, ranking: tuple[tuple[str, float | None], ...]) -> dict[str, Any]:
        """Return what the decision's record says beside strategy, score and reason; `ranking` as it was followed."""
        found: dict[str, Any] = {"ranking": [self._candidate(*entry) for entry in ranking], "seed": self.seed}
        if self.objective is not None:
            found |= {"objective": self.objective, "objective_from": self.objective_from}
        if self.needs:
            found["needs"] = list(self.needs)
        if self.filtered:
            found["filtered"] = [
                {"group": item.group, "filter": item.filter, "reason": item.reason} for item in self.filtered
            ]
        if self.undeclared:
            found["undeclared"] = [{"group": group, "need": need} for group, need in self.undeclared]
        if self.last:
            found["put_last"] = [{"group": group, "reason": reason} for group, reason in self.last]
        return found

    def _candidate(self, group: str, score: float | None) -> dict[str, Any]:
        entry: dict[str, Any] = {"group": group, "score": score}
        for ranked in self.weighed:
            if ranked.group == group and ranked.quality is not None:
                entry |= {
                    "model": ranked.model,
                    "quality": round(ranked.quality, _DIGITS),
                    "cost": round(ranked.normalised_cost, _DIGITS),
                    "latency": round(ranked.normalised_latency, _DIGITS),
                }
        if self.prices is not None and group in self.prices:
            entry["price"] = list(self.prices[group])
        return entry
