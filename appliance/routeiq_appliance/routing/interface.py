"""What a routing strategy is: it ranks groups for a prompt."""

from dataclasses import dataclass
from typing import Protocol

__all__ = ["Choice", "RoutingStrategy"]


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


class RoutingStrategy(Protocol):
    """One per worker."""

    name: str

    async def choose(self, prompt: str, candidates: tuple[str, ...]) -> Choice:
        """Choose among `candidates` (one or more, in declared order); never fails for a prompt."""
