"""Routing quality as numbers: pure functions over predictions, measured scores and costs.

Two things are measured: how well quality is predicted (error, correlation per model), and what routing by it
is worth: the area under the cost-quality curve (AIQ, Hu et al., "RouterBench", 2024) against the
upper hull of always calling a single model, or mixing two of them at random. The hull, not a random router, is the
honest baseline. All arrays are [prompts, models] without missing entries.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from routeiq_router.evaluation.hull import Array, area, cost_of

__all__ = [
    "COST_WEIGHTS",
    "CURVE_WEIGHTS",
    "Fit",
    "RoutingValue",
    "Sweep",
    "bootstrap_gain",
    "bootstrap_gains",
    "expected_calibration_error",
    "fit_per_model",
    "routing_value",
    "sweep",
]

CURVE_WEIGHTS: tuple[float, ...] = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""The trade-offs that a report lists."""

COST_WEIGHTS: tuple[float, ...] = tuple(
    sorted({*CURVE_WEIGHTS, *(float(w) for w in np.round(np.geomspace(0.001, 10, 81), 4)), 1e6})
)
"""The trade-offs that a curve is drawn through: from quality alone to cost alone."""


_ROUNDS_AT_ONCE = 50
"""Bootstrap rounds that share a matrix product: fifty are ten times as fast as one by one."""


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

    cost_at_100: float | None
    """The same for all of its quality."""

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
    ece: float
    """Expected calibration error; see `expected_calibration_error`."""


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
    return RoutingValue(
        aiq=area(cost, quality, low, high),
        aiq_hull=area(single_cost, single_quality, low, high),
        best_model=best,
        best_quality=float(single_quality[best]),
        best_model_cost=float(single_cost[best]),
        quality_at_no_cost_weight=float(quality[0]),
        oracle_quality=float(share @ result.scores.max(axis=1)),
        cost_at_95=cost_of(cost, quality, 0.95 * float(single_quality[best]), float(single_cost[best])),
        cost_at_100=cost_of(cost, quality, float(single_quality[best]), float(single_cost[best])),
    )


def bootstrap_gains(result: Sweep, *, seed: int, rounds: int = 1000) -> Array:
    """Return the AIQ gain over the hull in each round, [rounds], prompts drawn with replacement.

    Paired: the same seed and number of prompts give the same draws, so the gains of two routers on the same prompts may
    be subtracted round by round, and the hull is that of the drawn prompts. Efron and Tibshirani, "An Introduction to
    the Bootstrap" (1993), chapter 13.
    """
    draw = np.random.default_rng(seed)
    count = len(result.scores)
    gains = []
    for start in range(0, rounds, _ROUNDS_AT_ONCE):
        size = min(_ROUNDS_AT_ONCE, rounds - start)
        drawn = [np.bincount(draw.integers(0, count, count), minlength=count) for _ in range(size)]
        share = np.asarray(drawn, dtype=np.float64).T / count
        quality, cost = result.chosen_quality @ share, result.chosen_cost @ share
        single_quality, single_cost = result.scores.T @ share, result.costs.T @ share
        for at in range(size):
            low, high = float(single_cost[:, at].min()), float(single_cost[:, at].max())
            singles = area(single_cost[:, at], single_quality[:, at], low, high)
            gains.append(area(cost[:, at], quality[:, at], low, high) - singles)
    return np.asarray(gains)


def bootstrap_gain(result: Sweep, *, seed: int, rounds: int = 1000) -> tuple[float, float]:
    """Return the 95 % percentile interval of the AIQ gain over the hull."""
    low, high = np.quantile(bootstrap_gains(result, seed=seed, rounds=rounds), [0.025, 0.975])
    return float(low), float(high)


def expected_calibration_error(predicted: Array, scores: Array, bins: int = 15) -> float:
    """Return the mean distance between what is predicted and what is measured, over bins of equally many predictions.

    `predicted` and `scores` are [n], without missing entries. Naeini et al., "Obtaining Well Calibrated Probabilities
    Using Bayesian Binning" (2015), with bins of equal mass, which do not depend on how predictions spread; equal
    predictions stay together, so that the order of the prompts does not count.
    """
    _, inverse, counts = np.unique(predicted, return_inverse=True, return_counts=True)
    place = np.minimum((np.cumsum(counts) - counts / 2) * bins / len(predicted), bins - 1).astype(np.int64)[
        inverse
    ]
    gap = np.bincount(place, weights=predicted - scores, minlength=bins)
    return float(np.abs(gap).sum() / len(predicted))


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
        ece=expected_calibration_error(said, true),
    )
