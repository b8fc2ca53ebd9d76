"""What a routing strategy is: it ranks groups for a prompt."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from routeiq_appliance.routing.why import Embedding
from routeiq_router.decide import Ranked
from routeiq_router.objective import Objective

__all__ = ["Choice", "RoutingStrategy", "Terms"]


@dataclass(slots=True)  # not frozen: made per call, and that would cost a microsecond
class Terms:
    """What a choice is made by, beside the prompt; strategies without predictions need none of it."""

    objective: Objective = field(default_factory=Objective)
    seed: int = 0
    """Orders equals."""
    costs: Mapping[str, float] | None = None
    """What this call would cost in each group, in any unit; None: they have no prices, and the artifact's hold."""
    latencies: Mapping[str, float | None] | None = None
    """How slow each group is (`standing`); None: the objective does not ask."""


@dataclass(slots=True)  # not frozen: made per call, and that would cost a microsecond
class Choice:
    """The group chosen, and why."""

    group: str
    strategy: str
    score: float | None
    ranking: tuple[tuple[str, float | None], ...]
    """All candidates with their scores, best first."""
    reason: str
    artifact: str | None = None
    """Digest of the artifact that decided."""
    cached: bool = False
    """Whether a prediction that was remembered decided."""
    weighed: tuple[Ranked, ...] = ()
    """What predictions were weighed; empty where none were."""
    embedding: Embedding | None = None
    """What they were made from, where that is kept."""


class RoutingStrategy(Protocol):
    """One per worker."""

    name: str

    async def choose(self, prompt: str, candidates: tuple[str, ...], terms: Terms) -> Choice:
        """Choose among `candidates` (one or more, in declared order); never fails for a prompt."""
