"""Routing quality as numbers: pure functions over predictions, measured scores and costs.

Two things are measured: how well quality is predicted (error, correlation per model), and what routing by it
is worth: the area under the cost-quality curve (AIQ, Hu et al., "RouterBench", 2024) against the
upper hull of always calling a single model, or mixing two of them at random. The hull, not a random router, is the
honest baseline. All arrays are [prompts, models] without missing entries.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "COST_WEIGHTS",
    "Array",
    "Fit",
    "RoutingValue",
    "Sweep",
    "bootstrap_gain",
    "fit_per_model",
    "routing_value",
    "sweep",
]

Array = NDArray[np.float64]

CURVE_WEIGHTS: tuple[float, ...] = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""The trade-offs that a report lists."""

COST_WEIGHTS: tuple[float, ...] = tuple(
    sorted({*CURVE_WEIGHTS, *(float(w) for w in np.round(np.geomspace(0.001, 10, 81), 4)), 1e6})
)
"""The trade-offs that a curve is drawn through: from quality alone to cost alone."""


@dataclass(frozen=True)
class Sweep:
    """What routing costs and gives at each of `COST_WEIGHTS`, and each single model alone."""

    chosen_quality: Array  # [weights, prompts]
    chosen_cost: Array  # [weights, prompts]
    scores: Array  # [prompts, models]
    costs: Array  # [prompts, models]


@dataclass(frozen=True)
class RoutingValue:
    """The value of a router on one set of prompts; qualities 0..1, costs in the unit of the cost table."""

    aiq: float
    """Mean quality over the range of costs between the cheapest and the dearest model, at the router's best."""
    aiq_hull: float
    """The same for the hull of single models."""
    best_model: int
    best_quality: float
    best_model_cost: float
    quality_at_no_cost_weight: float
    """Mean measured quality of what is chosen when cost does not count."""
    oracle_quality: float
    cost_at_95: float | None
    """The least cost that reaches 95 % of the best single model's quality, as a share of that model's cost."""

    @property
    def gain(self) -> float:
        """AIQ above the hull."""
        return self.aiq - self.aiq_hull


@dataclass(frozen=True)
class Fit:
    """How well one model's quality is predicted, over the prompts on which it was measured."""

    prompts: int
    mean: float
    rmse: float
    baseline_rmse: float
    """The error of always saying this model's mean here."""
    correlation: float | None


def sweep(predicted: Array, scores: Array, unit_costs: Sequence[float], tokens: Array) -> Sweep:
    """Route every prompt at every cost weight by the serving rule: quality - weight * cost / highest cost.

    A call costs unit cost x tokens of its prompt; the rule itself sees unit costs only, as in `decide.rank`.
    """
    units = np.asarray(unit_costs, dtype=np.float64)
    normalised = units / (units.max() or 1.0)
    # Cheapest first, so that argmax breaks ties towards the cheaper model, as serving does.
    order = np.argsort(units, kind="stable")
    weighted = np.stack([np.round(predicted - w * normalised, 9)[:, order] for w in COST_WEIGHTS])
    choice = order[np.argmax(weighted, axis=2)]
    costs = tokens[:, None] * units[None, :]
    rows = np.arange(len(scores))
    return Sweep(scores[rows, choice], costs[rows, choice], scores, costs)


def routing_value(result: Sweep, counts: Array | None = None) -> RoutingValue:
    """Return the value over all prompts, or with each prompt taken `counts` times (for the bootstrap)."""
    counts = np.ones(len(result.scores)) if counts is None else counts
    share = counts / counts.sum()
    single_quality, single_cost = share @ result.scores, share @ result.costs
    quality = result.chosen_quality @ share
    cost = result.chosen_cost @ share
    low, high = float(single_cost.min()), float(single_cost.max())
    best = int(np.lexsort((single_cost, -single_quality))[0])
    target = 0.95 * single_quality[best]
    return RoutingValue(
        aiq=_area(cost, quality, low, high),
        aiq_hull=_area(single_cost, single_quality, low, high),
        best_model=best,
        best_quality=float(single_quality[best]),
        best_model_cost=float(single_cost[best]),
        quality_at_no_cost_weight=float(quality[0]),
        oracle_quality=float(share @ result.scores.max(axis=1)),
        cost_at_95=_cost_of(cost, quality, float(target), float(single_cost[best])),
    )


def bootstrap_gain(result: Sweep, *, seed: int, rounds: int = 1000) -> tuple[float, float]:
    """Return the 95 % percentile interval of the AIQ gain over the hull, prompts drawn with replacement."""
    draw = np.random.default_rng(seed)
    count = len(result.scores)
    drawn = (np.bincount(draw.integers(0, count, count), minlength=count) for _ in range(rounds))
    gains = [routing_value(result, counts.astype(np.float64)).gain for counts in drawn]
    low, high = np.quantile(gains, [0.025, 0.975])
    return float(low), float(high)


def fit_per_model(predicted: Array, scores: Array) -> list[Fit | None]:
    """Return the fit of each model (None: never measured); `scores` may have NaN."""
    return [_fit(predicted[:, column], scores[:, column]) for column in range(scores.shape[1])]


def _fit(predicted: Array, scores: Array) -> Fit | None:
    measured = ~np.isnan(scores)
    if not measured.any():
        return None
    said, true = predicted[measured], scores[measured]
    varies = float(said.std()) > 0 and float(true.std()) > 0
    return Fit(
        prompts=int(measured.sum()),
        mean=float(true.mean()),
        rmse=float(np.sqrt(np.mean((said - true) ** 2))),
        baseline_rmse=float(true.std()),
        correlation=float(np.corrcoef(said, true)[0, 1]) if varies else None,
    )


def _hull(cost: Array, quality: Array) -> tuple[Array, Array]:
    """Return the corners of the non-decreasing concave upper hull, cheapest first (Andrew's monotone chain)."""
    order = np.lexsort((-quality, cost))
    corners: list[tuple[float, float]] = []
    for x, y in zip(cost[order].tolist(), quality[order].tolist(), strict=True):
        if corners and y <= corners[-1][1]:
            continue
        while len(corners) >= 2 and _below(corners[-2], corners[-1], (x, y)):
            corners.pop()
        corners.append((x, y))
    points = np.asarray(corners, dtype=np.float64)
    return points[:, 0], points[:, 1]


def _below(first: tuple[float, float], middle: tuple[float, float], last: tuple[float, float]) -> bool:
    return (middle[1] - first[1]) * (last[0] - first[0]) <= (last[1] - first[1]) * (middle[0] - first[0])


def _area(cost: Array, quality: Array, low: float, high: float) -> float:
    """Return the mean height of the hull over `low..high`; flat beyond its ends."""
    x, y = _hull(cost, quality)
    if high <= low:
        return float(y[-1])
    grid = np.unique(np.clip(np.concatenate([[low, high], x]), low, high))
    return float(np.trapezoid(np.interp(grid, x, y), grid) / (high - low))


def _cost_of(cost: Array, quality: Array, target: float, reference: float) -> float | None:
    """Return the least cost on the hull that reaches `target`, as a share of `reference`."""
    x, y = _hull(cost, quality)
    if y[-1] < target or reference <= 0:
        return None
    at = int(np.argmax(y >= target))
    if at == 0:
        return float(x[0] / reference)
    share = (target - y[at - 1]) / (y[at] - y[at - 1])
    return float((x[at - 1] + share * (x[at] - x[at - 1])) / reference)
