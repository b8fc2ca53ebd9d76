"""Predictions and scores as one report: JSON values, rounded so that they read well and compare exactly.

Routing can only be judged on prompts where every candidate was measured, so prompts are grouped by the set of
models measured on them (a pool, `pools.py`); prompts in none only count for the models' own fit.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from routeiq_router.data.costs import call_tokens
from routeiq_router.evaluation.hull import Array, hull
from routeiq_router.evaluation.metrics import (
    COST_WEIGHTS,
    CURVE_WEIGHTS,
    Sweep,
    bootstrap_gains,
    fit_per_model,
    routing_value,
    sweep,
)
from routeiq_router.evaluation.pairs import pair_value
from routeiq_router.evaluation.pools import MIN_POOL, find_pools
from routeiq_router.strategies.interface import FloatArray

__all__ = [
    "MIN_POOL",
    "baseline_report",
    "interval",
    "prompt_tokens",
    "quality_report",
    "rounded",
    "value_report",
]


def quality_report(
    predicted: FloatArray,
    scores: FloatArray,
    prompts: Sequence[str],
    models: Sequence[str],
    costs: Mapping[str, float],
    *,
    seed: int,
) -> dict[str, Any]:
    """Return `{"models": {...}, "pools": [...]}`, the pool with most prompts first.

    `predicted` and `scores` are [n, models]; NaN in `scores` is not measured.
    """
    said, true, tokens = predicted.astype(np.float64), scores.astype(np.float64), prompt_tokens(prompts)
    pools = []
    for pool in find_pools(true, models):
        rows, columns = pool.rows, pool.columns
        part, judged = said[rows][:, columns], true[rows][:, columns]
        units = [costs[name] for name in pool.models]
        result = sweep(part, judged, units, tokens[rows])
        value = value_report(result, part, pool.models, bootstrap_gains(result, seed=seed))
        baselines = baseline_report(judged, units, tokens[rows], pool.models)
        pools.append({"models": list(pool.models), "prompts": len(rows), **value, **baselines})
    return {
        "models": {
            name: {key: rounded(number) for key, number in vars(fit).items()}
            for name, fit in zip(models, fit_per_model(said, true), strict=True)
            if fit
        },
        "pools": pools,
    }


def value_report(
    result: Sweep, predicted: Array, names: Sequence[str], gains: Array | None = None
) -> dict[str, Any]:
    """Return what routing by `predicted` [n, models] is worth; `gains` are those of the bootstrap's rounds."""
    value = routing_value(result)
    reference = value.best_model_cost or 1.0
    corners = hull(result.chosen_cost.mean(axis=1), result.chosen_quality.mean(axis=1))
    report: dict[str, Any] = {
        "aiq": rounded(value.aiq),
        "aiq_hull": rounded(value.aiq_hull),
        "aiq_gain": rounded(value.gain),
        "best_model": names[value.best_model],
        "best_model_quality": rounded(value.best_quality),
        "mean_quality": rounded(value.quality_at_no_cost_weight),
        "oracle_quality": rounded(value.oracle_quality),
        "cost_at_95": rounded(value.cost_at_95),
        "cost_at_100": rounded(value.cost_at_100),
        "curve": [_point(result, weight, reference) for weight in CURVE_WEIGHTS],
        "frontier": _points(corners[0] / reference, corners[1]),
    }
    if gains is not None:
        report["aiq_gain_interval"] = interval(gains)
    pair = pair_value(predicted, result.scores) if len(names) == 2 else None
    if pair:
        report["pair"] = {
            "weak": names[pair.weak],
            "strong": names[pair.strong],
            "apgr": rounded(pair.apgr),
            "cpt_50": rounded(pair.cpt_50),
            "cpt_80": rounded(pair.cpt_80),
        }
    return report


def baseline_report(
    scores: Array, units: Sequence[float], tokens: Array, names: Sequence[str]
) -> dict[str, Any]:
    """Return what needs no prediction: single models and their hull, a random model, the oracle.

    Costs are shares of the best single model's. The oracle takes the cheapest of the models that score most.
    """
    result = sweep(scores, scores, units, tokens)
    value = routing_value(result)
    reference = value.best_model_cost or 1.0
    cost, quality = result.costs.mean(axis=0) / reference, scores.mean(axis=0)
    most = scores.max(axis=1, keepdims=True)
    cheapest = np.where(scores >= most, result.costs, np.inf).min(axis=1)
    return {
        "hull": _points(*hull(cost, quality)),
        "singles": {
            name: {"quality": rounded(float(quality[at])), "cost": rounded(float(cost[at]))}
            for at, name in enumerate(names)
        },
        "random": {"quality": rounded(float(quality.mean())), "cost": rounded(float(cost.mean()))},
        "oracle": {
            "aiq": rounded(value.aiq),
            "quality": rounded(float(most.mean())),
            "cost": rounded(float(cheapest.mean() / reference)),
        },
    }


def interval(gains: Array) -> list[float]:
    """Return the 95 % percentile interval of the rounds' values."""
    low, high = np.quantile(gains, [0.025, 0.975])
    return [round(float(low), 4), round(float(high), 4)]


def prompt_tokens(prompts: Sequence[str]) -> Array:
    """Return the tokens that a call with each prompt is charged for, [n]."""
    return np.asarray([call_tokens(prompt) for prompt in prompts])


def rounded(value: float | int | None) -> float | int | None:
    """Return a figure with four decimals; whole numbers and None as they are."""
    return round(value, 4) if isinstance(value, float) else value


def _points(cost: Array, quality: Array) -> list[list[float]]:
    return [[round(x, 4), round(y, 4)] for x, y in zip(cost.tolist(), quality.tolist(), strict=True)]


def _point(result: Sweep, weight: float, reference: float) -> dict[str, Any]:
    at = COST_WEIGHTS.index(weight)
    quality, cost = float(result.chosen_quality[at].mean()), float(result.chosen_cost[at].mean())
    return {"cost_weight": weight, "quality": rounded(quality), "cost": rounded(cost / reference)}
