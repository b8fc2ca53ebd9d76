"""Predictions and scores as one report: JSON values, rounded so that they read well and compare exactly.

Routing can only be judged on prompts where every candidate was measured, so prompts are grouped by the set of
models measured on them (a pool); sets that are too small to say anything only count for the models' own fit.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from routeiq_router.data.costs import call_tokens
from routeiq_router.evaluation.metrics import (
    COST_WEIGHTS,
    CURVE_WEIGHTS,
    Sweep,
    bootstrap_gain,
    fit_per_model,
    routing_value,
    sweep,
)
from routeiq_router.strategies.interface import FloatArray

__all__ = ["MIN_POOL", "quality_report"]

MIN_POOL = 30
"""Prompts below which a pool's routing figures would be noise."""


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
    said, true = predicted.astype(np.float64), scores.astype(np.float64)
    fits = fit_per_model(said, true)
    tokens = np.asarray([call_tokens(prompt) for prompt in prompts])
    measured = ~np.isnan(true)
    patterns, counts = np.unique(measured, axis=0, return_counts=True)
    pools = []
    for pattern, count in sorted(zip(patterns, counts, strict=True), key=lambda item: (-item[1], *item[0])):
        columns = np.flatnonzero(pattern)
        if len(columns) < 2 or count < MIN_POOL:
            continue
        rows = np.flatnonzero((measured == pattern).all(axis=1))
        names = [models[int(column)] for column in columns]
        result = sweep(
            said[rows][:, columns], true[rows][:, columns], [costs[name] for name in names], tokens[rows]
        )
        pools.append(_pool(result, names, seed))
    return {
        "models": {
            name: {key: _round(value) for key, value in vars(fit).items()}
            for name, fit in zip(models, fits, strict=True)
            if fit
        },
        "pools": pools,
    }


def _pool(result: Sweep, names: list[str], seed: int) -> dict[str, Any]:
    value = routing_value(result)
    low, high = bootstrap_gain(result, seed=seed)
    return {
        "models": names,
        "prompts": len(result.scores),
        "aiq": _round(value.aiq),
        "aiq_hull": _round(value.aiq_hull),
        "aiq_gain": _round(value.gain),
        "aiq_gain_interval": [_round(low), _round(high)],
        "best_model": names[value.best_model],
        "best_model_quality": _round(value.best_quality),
        "mean_quality": _round(value.quality_at_no_cost_weight),
        "oracle_quality": _round(value.oracle_quality),
        "cost_at_95": _round(value.cost_at_95),
        "curve": [_point(result, weight, value.best_model_cost) for weight in CURVE_WEIGHTS],
    }


def _point(result: Sweep, weight: float, reference: float) -> dict[str, Any]:
    at = COST_WEIGHTS.index(weight)
    quality, cost = float(result.chosen_quality[at].mean()), float(result.chosen_cost[at].mean())
    return {"cost_weight": weight, "quality": _round(quality), "cost": _round(cost / reference)}


def _round(value: float | int | None) -> float | int | None:
    return round(value, 4) if isinstance(value, float) else value
