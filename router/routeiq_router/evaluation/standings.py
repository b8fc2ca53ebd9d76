"""Predictions of several strategies on one pool, side by side, with the baselines: single models, random, oracle. Pure.

All strategies are judged on the same bootstrap draws, so that their differences have intervals too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from routeiq_router.evaluation.hull import Array
from routeiq_router.evaluation.metrics import bootstrap_gains, fit_per_model, routing_value, sweep
from routeiq_router.evaluation.pools import MIN_POOL, Pool
from routeiq_router.evaluation.report import baseline_report, interval, prompt_tokens, rounded, value_report
from routeiq_router.evaluation.unseen import LeftOut
from routeiq_router.strategies.interface import FloatArray

__all__ = ["Standing", "models_report", "pool_report", "tasks_report"]


@dataclass(frozen=True)
class Standing:
    """One pool: scores [rows, models], unit costs, tokens."""

    pool: Pool
    scores: Array
    units: list[float]
    tokens: Array
    seed: int

    @classmethod
    def of(
        cls, pool: Pool, scores: FloatArray, prompts: Sequence[str], costs: Mapping[str, float], *, seed: int
    ) -> "Standing":
        """Cut the pool out of the whole table."""
        return cls(
            pool,
            scores[pool.rows][:, pool.columns].astype(np.float64),
            [costs[name] for name in pool.models],
            prompt_tokens([prompts[row] for row in pool.rows]),
            seed,
        )

    def own(self, predicted: FloatArray) -> Array:
        """Return this pool's part of predictions for the whole table."""
        return predicted[self.pool.rows][:, self.pool.columns].astype(np.float64)

    def gains(self, predicted: Array, rows: Any = slice(None), columns: Any = slice(None)) -> Array:
        """Return the bootstrap's gains over the hull."""
        return bootstrap_gains(self._sweep(predicted, rows, columns), seed=self.seed)

    def gain(self, predicted: Array, rows: Any = slice(None), columns: Any = slice(None)) -> float:
        """Return the gain over the hull of single models."""
        return routing_value(self._sweep(predicted, rows, columns)).gain

    def _sweep(self, predicted: Array, rows: Any = slice(None), columns: Any = slice(None)) -> Any:
        units = np.asarray(self.units)[columns].tolist()
        return sweep(predicted[rows][:, columns], self.scores[rows][:, columns], units, self.tokens[rows])

    def value(self, predicted: Array) -> dict[str, Any]:
        """Return the figures of routing by these predictions, with their interval, errors and calibration."""
        result = self._sweep(predicted)
        report = value_report(result, predicted, self.pool.models, bootstrap_gains(result, seed=self.seed))
        fits = [fit for fit in fit_per_model(predicted, self.scores) if fit]
        related = [fit.correlation for fit in fits if fit.correlation is not None]
        report["rmse"] = rounded(float(np.mean([fit.rmse for fit in fits])))
        report["ece"] = rounded(float(np.mean([fit.ece for fit in fits])))
        report["correlation"] = rounded(float(np.mean(related))) if related else None
        return report


def pool_report(standing: Standing, said: Mapping[str, tuple[FloatArray, list[Any]]]) -> dict[str, Any]:
    """Return the pool's baselines and every strategy's figures, best gain first."""
    strategies = {}
    for name, (predicted, params) in said.items():
        strategies[name] = {**standing.value(standing.own(predicted)), "params": params}
    ranked = sorted(strategies, key=lambda name: (-strategies[name]["aiq_gain"], name))
    names = standing.pool.models
    value = next(iter(strategies.values()))
    return {
        "models": list(names),
        "prompts": len(standing.scores),
        **{key: value[key] for key in ("aiq_hull", "best_model", "best_model_quality")},
        **baseline_report(standing.scores, standing.units, standing.tokens, names),
        "strategies": {name: strategies[name] for name in ranked},
    }


def tasks_report(
    standing: Standing, told: Mapping[str, FloatArray], tasks: Sequence[str], baseline: str
) -> dict[str, Any]:
    """Return each strategy's gain on tasks left out: over the hull, and over each model's mean on the other tasks."""
    own = np.asarray([tasks[row] for row in standing.pool.rows])
    flat = standing.own(told[baseline])
    flat_gains, flat_gain = standing.gains(flat), standing.gain(flat)
    rows = {task: np.flatnonzero(own == task) for task in sorted(set(own.tolist()))}
    rows = {task: found for task, found in rows.items() if len(found) >= MIN_POOL}
    report = {}
    for name, predicted in told.items():
        said = standing.own(predicted)
        gains, gain = standing.gains(said), standing.gain(said)
        report[name] = {
            "gain": rounded(gain),
            "gain_interval": interval(gains),
            "over_constant": rounded(gain - flat_gain),
            "over_constant_interval": interval(gains - flat_gains),
            "tasks": {
                task: {
                    "prompts": len(found),
                    "gain": rounded(standing.gain(said, found)),
                    "over_constant": rounded(standing.gain(said, found) - standing.gain(flat, found)),
                }
                for task, found in rows.items()
            },
        }
    return {"models": list(standing.pool.models), "baseline": baseline, "strategies": report}


def models_report(standing: Standing, left: Sequence[LeftOut]) -> dict[str, Any]:
    """Return the gains among all models, some of them new, and among the new ones alone; means over the groups."""
    names, groups = standing.pool.models, []
    for one in left:
        said = one.predicted.astype(np.float64)
        rows, columns = np.flatnonzero(~np.isnan(said).any(axis=1)), np.asarray(one.columns)
        cuts = {"among_all": slice(None), **({"all_new": columns} if len(columns) > 1 else {})}
        groups.append((one.columns, {cut: _gains(standing, said, rows, at) for cut, at in cuts.items()}))
    report: dict[str, Any] = {"groups": []}
    for new, found in groups:
        gains = {cut: rounded(gain) for cut, (gain, _) in found.items()}
        report["groups"].append({"new": [names[column] for column in new], **gains})
    for cut in ("among_all", "all_new"):
        every = [found[cut] for _, found in groups if cut in found]
        report[cut] = {
            "gain": rounded(float(np.mean([gain for gain, _ in every]))),
            "gain_interval": interval(np.mean([rounds for _, rounds in every], axis=0)),
        }
    return report


def _gains(standing: Standing, said: Array, rows: Any, columns: Any) -> tuple[float, Array]:
    return standing.gain(said, rows, columns), standing.gains(said, rows, columns)
