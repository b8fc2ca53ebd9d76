"""The card of an artifact: what it is, what it was made from, how good it is, what it is not for. Pure."""

from collections.abc import Sequence
from typing import Any

from routeiq_router.artifact import Artifact

__all__ = ["write_card"]

_LIMITS = """\
## Use and limits

- Ranks the models below, or model groups that a configuration maps to them, by predicted quality and cost.
- On tasks unlike its training data it loses its advantage: expect what a constant choice would give.
- It says which model is likely to answer well, not whether an answer is right.
- Quality is what the data's own scoring measured; costs are the table's, not a bill.
- It works with the embedder named below only; anything else is refused when it is loaded.
"""


def write_card(artifact: Artifact, *, weights_size: int, command: str) -> str:
    """Return the card as Markdown for an artifact and the command that makes it again."""
    training = artifact.training
    held_out = training["held_out"]
    size = f"{weights_size / 1e6:.2f} MB"
    libraries = ", ".join(f"{name} {release}" for name, release in sorted(training["libraries"].items()))
    lines = [
        f"# {artifact.name}",
        "",
        f"Strategy `{artifact.strategy}`; {len(artifact.models)} models; {size}; no prompt inside.",
        "",
        "Made by (the same data and embedder give the same bytes):",
        "",
        "```console",
        f"$ {command}",
        "```",
        "",
        _LIMITS,
        "## Made from",
        "",
        *_table(
            ["data", "rows", "SHA-256"],
            [[d["name"], d["rows"], f"`{d['sha256']}`"] for d in training["data"]],
        ),
        "",
        f"- Trained on {training['prompts']} prompts; {held_out['prompts']} ({held_out['fraction']:.0%}) held out.",
        f"- Embedder: {artifact.embedder.name}, `{artifact.embedder.digest}`.",
        f"- Seed {training['seed']}; {libraries}; parameters `{_flat(artifact.params)}`.",
        "",
        "## Held-out prompts",
        "",
    ]
    for pool in artifact.metrics.get("pools", []):
        lines += [*_pool(pool), ""]
    fits = artifact.metrics.get("models", {})
    rows = [
        [
            model,
            f"{artifact.costs[model]:g}",
            fit["prompts"],
            fit["mean"],
            fit["rmse"],
            fit["baseline_rmse"],
            fit["correlation"],
            fit["ece"],
        ]
        for model, fit in fits.items()
    ]
    lines += _table(
        ["model", "cost", "prompts", "mean quality", "RMSE", "RMSE of its mean", "correlation", "ECE"], rows
    )
    if fits:
        mean = sum(fit["ece"] for fit in fits.values()) / len(fits)
        lines += [
            "",
            f"ECE: expected calibration error, 15 bins of equal mass; {mean:.4f} in the mean of the models.",
        ]
    return "\n".join(lines) + "\n"


def _pool(pool: dict[str, Any]) -> list[str]:
    low, high = pool["aiq_gain_interval"]
    share = "not reached" if pool["cost_at_95"] is None else f"{pool['cost_at_95']:.3f}"
    return _table(
        ["measure", "value"],
        [
            ["prompts", pool["prompts"]],
            ["AIQ (mean quality over the cost range)", pool["aiq"]],
            ["AIQ of the hull of single models", pool["aiq_hull"]],
            ["AIQ above the hull [95 % interval]", f"{pool['aiq_gain']:+.4f} [{low:+.4f}, {high:+.4f}]"],
            ["cost at 95 % of the best model's quality", share],
            ["quality when cost does not count", pool["mean_quality"]],
            [f"quality of the best single model ({pool['best_model']})", pool["best_model_quality"]],
            ["quality of an oracle", pool["oracle_quality"]],
        ],
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    return [f"| {' | '.join(map(str, row))} |" for row in (head, ["---"] * len(head), *rows)]


def _flat(params: Any) -> str:
    return ", ".join(
        f"{name} ({_flat(value)})" if isinstance(value, dict) else f"{name} {value}"
        for name, value in sorted(params.items())
    )
