"""Balancing strategies: the order in which a group's deployments are tried. Pure, but for the dice that they are given.

In all of them a lower `order` of a deployment comes first, whatever the strategy says.
"""

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from routeiq_appliance.pipeline.types import Deployment
from routeiq_appliance.routing.board import Board

__all__ = ["Balancer", "make_balancer"]

_Deployments = Sequence[Deployment]
_BAND = 0.1
"""Deployments within this share of the fastest are equally fast: calls are spread over them."""


class Balancer(Protocol):
    """One per worker."""

    name: str

    def order(self, group: str, deployments: _Deployments) -> tuple[Deployment, ...]:
        """Return `deployments` (one or more) in the order to try them."""


class RoundRobin:
    """Each in its turn."""

    name = "round-robin"

    def __init__(self) -> None:
        self._turns: dict[str, itertools.count[int]] = {}

    def order(self, group: str, deployments: _Deployments) -> tuple[Deployment, ...]:
        """See `Balancer.order`."""
        if len(deployments) == 1:
            return tuple(deployments)
        turns = self._turns.get(group)
        if turns is None:
            turns = self._turns[group] = itertools.count()
        first = next(turns) % len(deployments)
        return _by_order((*deployments[first:], *deployments[:first]))


class Ranked:
    """Sorts by a number, the lowest first; what is equal is drawn."""

    def __init__(self, name: str, key: Callable[[Deployment], float], dice: random.Random) -> None:
        self.name = name
        self._key = key
        self._dice = dice

    def order(self, group: str, deployments: _Deployments) -> tuple[Deployment, ...]:
        """See `Balancer.order`."""
        del group
        if len(deployments) == 1:
            return tuple(deployments)
        keyed = [(d.order, self._key(d), self._dice.random(), d) for d in deployments]
        keyed.sort(key=lambda item: item[:3])
        return tuple(item[3] for item in keyed)


class Declared:
    """As the configuration has them."""

    name = "order"

    def order(self, group: str, deployments: _Deployments) -> tuple[Deployment, ...]:
        """See `Balancer.order`."""
        del group
        return _by_order(deployments)


class Weighted:
    """Drawn without replacement by weight (Efraimidis and Spirakis, 2006); weight 0 comes last."""

    name = "weighted"

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice

    def order(self, group: str, deployments: _Deployments) -> tuple[Deployment, ...]:
        """See `Balancer.order`."""
        del group
        if len(deployments) == 1:
            return tuple(deployments)
        keyed = [
            (d.order, -(self._dice.random() ** (1.0 / d.weight)) if d.weight > 0 else 1.0, n, d)
            for n, d in enumerate(deployments)
        ]
        keyed.sort(key=lambda item: item[:3])
        return tuple(item[3] for item in keyed)


class Fastest:
    """The fastest first, those alike in any order; what was never measured before all, so that it gets measured."""

    name = "lowest-latency"

    def __init__(self, board: Board, dice: random.Random) -> None:
        self._board = board
        self._dice = dice

    def order(self, group: str, deployments: _Deployments) -> tuple[Deployment, ...]:
        """See `Balancer.order`."""
        del group
        if len(deployments) == 1:
            return tuple(deployments)
        numbers = {d.id: self._board.numbers(d.id) for d in deployments}
        measured = [n.latency for n in numbers.values() if n.latency is not None]
        near = min(measured) * (1 + _BAND) if measured else 0.0

        def key(deployment: Deployment) -> tuple[int, float, float]:
            found = numbers[deployment.id]
            if found.latency is None:
                # One call at a time explores; others must not pile up on what may be slow.
                return (deployment.order, float(found.running), self._dice.random())
            return (
                deployment.order,
                0.5 if found.latency <= near else 1.0 + found.latency,
                self._dice.random(),
            )

        return tuple(sorted(deployments, key=key))


def make_balancer(name: str, *, board: Board, dice: random.Random | None = None) -> Balancer:
    """Return the strategy of our `name` (`config.sections.BALANCING` has LiteLLM's)."""
    dice = dice or random.Random()  # noqa: S311 - spreads load, guards nothing
    ranked: Mapping[str, Callable[[Deployment], float]] = {
        "random": lambda _: 0.0,
        "least-busy": lambda d: float(board.numbers(d.id).running),
        "lowest-cost": _price,
        "usage-based": lambda d: _usage(d, board),
    }
    if name in ranked:
        return Ranked(name, ranked[name], dice)
    others: Mapping[str, Callable[[], Balancer]] = {
        "round-robin": RoundRobin,
        "order": Declared,
        "weighted": lambda: Weighted(dice),
        "lowest-latency": lambda: Fastest(board, dice),
    }
    return others[name]()


def _by_order(deployments: _Deployments) -> tuple[Deployment, ...]:
    first = deployments[0].order
    if all(d.order == first for d in deployments):
        return tuple(deployments)
    return tuple(sorted(deployments, key=lambda d: d.order))


def _price(deployment: Deployment) -> float:
    """Return the price of a typical token, in and out alike; what has none comes last."""
    price = deployment.price
    return (
        float("inf")
        if price is None
        else float(price.input_token + price.output_token + price.second + price.call)
    )


def _usage(deployment: Deployment, board: Board) -> float:
    """Return the share of the deployment's own limits that is used; without limits, its tokens this minute."""
    numbers = board.numbers(deployment.id)
    if not deployment.tpm and not deployment.rpm:
        return float(numbers.tokens)
    tokens = numbers.tokens / deployment.tpm if deployment.tpm else 0.0
    return max(tokens, numbers.requests / deployment.rpm if deployment.rpm else 0.0)
