"""Strategies that read no prompt: the declared order, each in turn, any, the one with the fewest calls under way."""

import itertools
import random
from collections.abc import Mapping, Sequence

from routeiq_appliance.routing.board import Board
from routeiq_appliance.routing.interface import Choice, Terms

__all__ = ["DeclaredOrder", "LeastBusy", "Random", "RoundRobin"]


class DeclaredOrder:
    """The first candidate: what an uncalibrated gateway can honestly do."""

    name = "declared-order"

    async def choose(self, prompt: str, candidates: tuple[str, ...], terms: Terms) -> Choice:
        """See `RoutingStrategy.choose`."""
        del prompt, terms
        return _choice(self.name, candidates, "first of the declared order")


class RoundRobin:
    """Each candidate in turn."""

    name = "round-robin"

    def __init__(self) -> None:
        self._turns = itertools.count()

    async def choose(self, prompt: str, candidates: tuple[str, ...], terms: Terms) -> Choice:
        """See `RoutingStrategy.choose`."""
        del prompt, terms
        first = next(self._turns) % len(candidates)
        return _choice(self.name, (*candidates[first:], *candidates[:first]), "its turn")


class Random:
    """Any candidate."""

    name = "random"

    def __init__(self, dice: random.Random | None = None) -> None:
        self._dice = dice or random.Random()  # noqa: S311 - spreads load, guards nothing

    async def choose(self, prompt: str, candidates: tuple[str, ...], terms: Terms) -> Choice:
        """See `RoutingStrategy.choose`."""
        del prompt, terms
        return _choice(self.name, tuple(self._dice.sample(candidates, len(candidates))), "drawn")


class LeastBusy:
    """The candidate with the fewest calls under way per deployment, as this worker sees it; equals take turns.

    `deployments` are the ids of each group's, one or more.
    """

    name = "least-busy"

    def __init__(self, board: Board, deployments: Mapping[str, Sequence[str]]) -> None:
        self._board = board
        self._deployments = deployments
        self._turns = itertools.count()

    async def choose(self, prompt: str, candidates: tuple[str, ...], terms: Terms) -> Choice:
        """See `RoutingStrategy.choose`."""
        del prompt, terms
        first = next(self._turns) % len(candidates)
        # sorted() is stable: the rotation decides between equals.
        ranking = sorted((*candidates[first:], *candidates[:first]), key=self._load)
        return _choice(self.name, tuple(ranking), "fewest calls under way")

    def _load(self, group: str) -> float:
        members = self._deployments[group]
        return sum(self._board.running(name) for name in members) / len(members)


def _choice(name: str, order: tuple[str, ...], reason: str) -> Choice:
    return Choice(order[0], name, None, tuple((group, None) for group in order), reason)
