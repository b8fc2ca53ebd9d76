"""Balancing strategies: the order in which a group's deployments are tried. Pure, but for the dice that they are given.

In all of them a lower `order` of a deployment comes first, whatever the strategy says. Which deployments are
candidates is decided before (`tags`, the kind of the call), which of them can take a call after (`breaker`, limits).
"""

import itertools
import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from routeiq_appliance.config.sections import BALANCING
from routeiq_appliance.errors import ConfigError
from routeiq_appliance.pipeline.types import Deployment, Price
from routeiq_appliance.routing.board import Board, Numbers

__all__ = ["Balancer", "make_balancer"]

_Deployments = Sequence[Deployment]
_Rank = tuple[float, ...]
_BAND = 0.1
"""Deployments within this share of the fastest are equally fast: calls are spread over them."""
_MAX_KEPT = 512
"""Sets of deployments whose turn is remembered; callers' tags make more than the groups are."""
_TYPICAL_CALL = (600, 300, 6, 1)
"""Tokens in, tokens out, seconds, calls: what prices of different kinds are compared for."""


class Balancer(Protocol):
    """One per worker."""

    name: str

    def order(self, group: str, deployments: _Deployments) -> tuple[Deployment, ...]:
        """Return `deployments` (one or more) in the order to try them."""


class RoundRobin:
    """Each in its turn: among those of the lowest `order`, and alike among the next."""

    name = "round-robin"

    def __init__(self) -> None:
        self._turns: dict[tuple[int, ...], _Turns] = {}

    def order(self, group: str, deployments: _Deployments) -> tuple[Deployment, ...]:
        """See `Balancer.order`."""
        del group
        if len(deployments) == 1:
            return tuple(deployments)
        # By the deployments themselves: calls with other tags must not use up each other's turns. The entry holds
        # them, so their ids stay theirs.
        key = tuple(map(id, deployments))
        turns = self._turns.get(key)
        if turns is None:
            if len(self._turns) >= _MAX_KEPT:
                self._turns.clear()
            turns = self._turns[key] = _Turns(deployments)
        return turns.next()


class _Turns:
    """The rotations of one set of deployments, made once."""

    __slots__ = ("_count", "_rotations")

    def __init__(self, deployments: _Deployments) -> None:
        levels = _levels(deployments)
        # The first level decides who gets calls; lower ones only need not always fall on the same.
        rounds = len(levels[0])
        self._rotations = [
            tuple(itertools.chain.from_iterable(_rotated(level, turn) for level in levels)) for turn in range(rounds)
        ]  # fmt: skip
        self._count = 0

    def next(self) -> tuple[Deployment, ...]:
        turn = self._count
        self._count = turn + 1 if turn + 1 < len(self._rotations) else 0
        return self._rotations[turn]


class Declared:
    """As the configuration has them."""

    name = "order"

    def order(self, group: str, deployments: _Deployments) -> tuple[Deployment, ...]:
        """See `Balancer.order`."""
        del group
        if len(deployments) == 1:
            return tuple(deployments)
        first = deployments[0].order
        if all(d.order == first for d in deployments):
            return tuple(deployments)
        return tuple(sorted(deployments, key=lambda d: d.order))


class Ranked:
    """Sorts by what `rank` gives for each, the lowest first; what is equal is drawn."""

    def __init__(self, name: str, rank: Callable[[Deployment], _Rank], dice: random.Random) -> None:
        self.name = name
        self._rank = rank
        self._dice = dice

    def order(self, group: str, deployments: _Deployments) -> tuple[Deployment, ...]:
        """See `Balancer.order`."""
        del group
        if len(deployments) == 1:
            return tuple(deployments)
        draw, rank = self._dice.random, self._rank
        return tuple(sorted(deployments, key=lambda d: (d.order, *rank(d), draw())))


class Fastest:
    """The fastest first, those within `band` of it in any order; what was not measured lately comes before all."""

    name = "lowest-latency"

    def __init__(self, board: Board, dice: random.Random, *, band: float = _BAND) -> None:
        self._board = board
        self._dice = dice
        self._band = band

    def order(self, group: str, deployments: _Deployments) -> tuple[Deployment, ...]:
        """See `Balancer.order`."""
        del group
        if len(deployments) == 1:
            return tuple(deployments)
        return tuple(itertools.chain.from_iterable(self._sorted(level) for level in _levels(deployments)))

    def _sorted(self, level: list[Deployment]) -> list[Deployment]:
        now = self._board.clock()
        seen = [self._board.numbers(d.id) for d in level]
        latencies = [numbers.latency(now) for numbers in seen]
        best = min((latency for latency in latencies if latency is not None), default=math.inf)
        near = best * (1.0 + self._band)
        ranks = [
            (*_speed(latency, near, numbers), self._dice.random(), number)
            for number, (latency, numbers) in enumerate(zip(latencies, seen, strict=True))
        ]
        return [level[rank[-1]] for rank in sorted(ranks)]


def make_balancer(
    name: str, *, board: Board, dice: random.Random | None = None, band: float = _BAND
) -> Balancer:
    """Return the strategy of `name`, ours or LiteLLM's (`config.sections.BALANCING`).

    `band`: the share above the lowest latency that counts as equally fast. Raises `ConfigError` for another name.
    """
    dice = dice or random.Random()  # noqa: S311 - spreads load, guards nothing
    makers: Mapping[str, Callable[[], Balancer]] = {
        "round-robin": RoundRobin,
        "order": Declared,
        "random": lambda: Ranked("random", lambda _: (), dice),
        "weighted": lambda: Ranked("weighted", lambda d: _share(d.weight, dice), dice),
        "least-busy": lambda: Ranked("least-busy", lambda d: (board.running(d.id),), dice),
        "lowest-cost": lambda: Ranked("lowest-cost", lambda d: (_cost(d.price),), dice),
        "usage-based": lambda: Ranked("usage-based", lambda d: _usage(d, board.numbers(d.id)), dice),
        "lowest-latency": lambda: Fastest(board, dice, band=band),
    }
    make = makers.get(BALANCING.get(name, ""))
    if make is None:
        raise ConfigError(
            f"routing_strategy: `{name[:64]}` is no balancing strategy",
            subject="router_settings.routing_strategy",
            hint=f"choose one of: {', '.join(BALANCING)}",
        )
    return make()


def _share(weight: float, dice: random.Random) -> _Rank:
    """Return a draw that puts the whole group in the order of drawing by weight without replacement.

    Exponential arrivals at rate `weight` (Efraimidis and Spirakis, 2006, in logarithms: a power of a weight far from 1
    would lose its digits). Weight 0 comes last, as in LiteLLM never by choice.
    """
    return (-math.log(1.0 - dice.random()) / weight,) if weight > 0 else (math.inf,)


def _speed(latency: float | None, near: float, numbers: Numbers) -> tuple[int, float]:
    """Return the place in the order: to be measured, near the fastest, slower, being measured, failed just now."""
    if latency is None:
        # One call at a time explores; others must not pile up on what may be slow.
        return (3, numbers.running) if numbers.running else (0, 0.0)
    if latency == math.inf:
        return (4, numbers.running)
    return (1, 0.0) if latency <= near else (2, latency)


def _cost(price: Price | None) -> float:
    """Return the price of a typical call; what has none comes last."""
    if price is None:
        return math.inf
    tokens_in, tokens_out, seconds, calls = _TYPICAL_CALL
    return float(
        tokens_in * price.input_token
        + tokens_out * price.output_token
        + seconds * price.second
        + calls * price.call
    )


def _usage(deployment: Deployment, numbers: Numbers) -> _Rank:
    """Return the share of the deployment's own limits that is used (0 without limits), then what is used at all."""
    tokens = numbers.expected_tokens
    share = tokens / deployment.tpm if deployment.tpm else 0.0
    if deployment.rpm:
        share = max(share, numbers.requests / deployment.rpm)
    return (share, tokens, numbers.requests)


def _levels(deployments: _Deployments) -> list[list[Deployment]]:
    """Return the deployments by their `order`, the lowest first."""
    levels: dict[int, list[Deployment]] = {}
    for deployment in deployments:
        levels.setdefault(deployment.order, []).append(deployment)
    return [levels[order] for order in sorted(levels)]


def _rotated(level: list[Deployment], turn: int) -> Iterable[Deployment]:
    first = turn % len(level)
    return (*level[first:], *level[:first])
