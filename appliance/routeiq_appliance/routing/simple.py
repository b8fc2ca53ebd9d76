"""Strategies that read no prompt: the declared order, and round-robin."""

import itertools

from routeiq_appliance.routing.interface import Choice

__all__ = ["DeclaredOrder", "RoundRobin"]


class DeclaredOrder:
    """The first candidate: what an uncalibrated gateway can honestly do."""

    name = "declared-order"

    async def choose(self, prompt: str, candidates: tuple[str, ...]) -> Choice:
        """See `RoutingStrategy.choose`."""
        del prompt
        return Choice(
            candidates[0],
            self.name,
            None,
            tuple((c, None) for c in candidates),
            "first of the declared order",
        )


class RoundRobin:
    """Each candidate in turn."""

    name = "round-robin"

    def __init__(self) -> None:
        self._turns = itertools.count()

    async def choose(self, prompt: str, candidates: tuple[str, ...]) -> Choice:
        """See `RoutingStrategy.choose`."""
        del prompt
        first = next(self._turns) % len(candidates)
        order = (*candidates[first:], *candidates[:first])
        return Choice(order[0], self.name, None, tuple((c, None) for c in order), "its turn")
