"""An evaluation's result as text for a terminal. Pure."""

from collections.abc import Mapping
from typing import Any

__all__ = ["report_text"]


def report_text(result: Mapping[str, Any]) -> str:
    """Return tables of `evaluate.evaluate`'s result."""
    artifact = result["artifact"]
    lines = [
        f"{artifact['name']} ({artifact['strategy']}) {artifact['digest'][:19]}…",
        f"{result['prompts_used']} of {result['prompts_given']} prompts used",
    ]
    for pool in result["pools"]:
        low, high = pool["aiq_gain_interval"]
        share = "not reached" if pool["cost_at_95"] is None else f"{pool['cost_at_95']:.3f}"
        lines += [
            "",
            f"{len(pool['models'])} models, {pool['prompts']} prompts",
            f"  AIQ                        {pool['aiq']:.4f}",
            f"  hull of single models      {pool['aiq_hull']:.4f}",
            f"  above the hull             {pool['aiq_gain']:+.4f}  95 % interval [{low:+.4f}, {high:+.4f}]",
            f"  best single model          {pool['best_model_quality']:.4f}  {pool['best_model']}",
            f"  routed, cost ignored       {pool['mean_quality']:.4f}",
            f"  oracle                     {pool['oracle_quality']:.4f}",
            f"  cost at 95 % of the best   {share}",
            "",
            "  cost_weight  quality  cost (best single model = 1)",
            *(
                f"  {at['cost_weight']:>11.4g}  {at['quality']:.4f}   {at['cost']:.3f}"
                for at in pool["curve"]
            ),
        ]
    width = max((len(model) for model in result["per_model"]), default=5)
    lines += ["", f"{'model':<{width}}  prompts    mean    RMSE  correlation"]
    for model, fit in result["per_model"].items():
        correlation = "-" if fit["correlation"] is None else f"{fit['correlation']:.3f}"
        lines.append(
            f"{model:<{width}}  {fit['prompts']:>7}  {fit['mean']:.4f}  {fit['rmse']:.4f}  {correlation}"
        )
    return "\n".join(lines)
