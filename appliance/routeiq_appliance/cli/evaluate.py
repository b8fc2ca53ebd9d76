"""`routeiq router evaluate`: how good routing is, of an artifact or of strategies."""

# ruff: noqa: PLC0415 - numpy reads its environment when it is imported.

from pathlib import Path

import click

from routeiq_appliance.cli.router_support import (
    PATH,
    artifact_option,
    cache_option,
    costs_option,
    default_cache,
    embedder_option,
    key_option,
    load_router,
    warn,
)
from routeiq_appliance.cli.support import BarProgress, emit, json_option

__all__ = ["evaluate"]


@click.command()
@artifact_option
@click.option("--data", required=True, multiple=True, type=PATH, help="JSON Lines with scores; repeatable")
@costs_option
@click.option("--seed", default=0, show_default=True, help="Of the bootstrap")
@key_option
@embedder_option
@cache_option
@json_option
def evaluate(
    artifact: Path,
    data: tuple[Path, ...],
    costs: Path | None,
    seed: int,
    key: Path | None,
    embedder: Path | None,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Measure an artifact on prompts that it was not trained on."""
    from routeiq_router.data.costs import read_costs
    from routeiq_router.data.dataset import read_data
    from routeiq_router.evaluation.evaluate import evaluate
    from routeiq_router.evaluation.text import report_text

    loaded = load_router(artifact, embedder, key)
    result = evaluate(
        loaded,
        read_data(data, scored=True),
        costs=read_costs(costs) if costs else None,
        seed=seed,
        cache=cache or default_cache(),
        progress=BarProgress(),
    )
    for warning in result["warnings"]:
        warn(warning)
    emit(result, as_json=as_json, text=report_text(result))
