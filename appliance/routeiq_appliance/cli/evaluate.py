"""`routeiq router evaluate`: how good routing is, of an artifact or of strategies."""

# ruff: noqa: PLC0415 - numpy reads its environment when it is imported.

import importlib.util
import json
from pathlib import Path
from typing import Any

import click

from routeiq_appliance.cli.router_support import (
    PATH,
    cache_option,
    check_file,
    costs_option,
    default_cache,
    embedder_folder,
    embedder_option,
    key_option,
    load_router,
    run_pinned,
    warn,
)
from routeiq_appliance.cli.support import BarProgress, emit, json_option
from routeiq_signing.errors import RouteIQError
from routeiq_signing.files import write_atomic

__all__ = ["evaluate"]

_PARTS = ("nested", "tasks", "models")


@click.command()
@click.option("--artifact", type=PATH, help="Folder of an artifact to judge")
@click.option("--strategy", "names", multiple=True, help="Strategy to judge, or `all`; repeatable")
@click.option("--data", required=True, multiple=True, type=PATH, help="JSON Lines with scores; repeatable")
@click.option(
    "--task", "tasks", multiple=True, help="Only prompts of this task (`mmlu` is `mmlu:…` too); repeatable"
)
@click.option("--models", help="Only these models: A,B,…")
@click.option(
    "--part",
    "parts",
    multiple=True,
    type=click.Choice(_PARTS),
    help="With --strategy: what to leave out  [default: all]",
)
@click.option("--folds", default=5, show_default=True, help="With --strategy: outer folds")
@click.option(
    "--near",
    default=0.95,
    show_default=True,
    help="With --strategy: cosine of near-copies, which teach nothing",
)
@costs_option
@click.option("--seed", default=0, show_default=True, help="Of every draw")
@click.option("--out", type=PATH, help="JSON file to write the report to")
@click.option("--plot", type=PATH, help="Picture to write, .png or .svg: quality against cost")
@key_option
@embedder_option
@cache_option
@json_option
def evaluate(
    artifact: Path | None,
    names: tuple[str, ...],
    data: tuple[Path, ...],
    tasks: tuple[str, ...],
    models: str | None,
    parts: tuple[str, ...],
    folds: int,
    near: float,
    costs: Path | None,
    seed: int,
    out: Path | None,
    plot: Path | None,
    key: Path | None,
    embedder: Path | None,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Measure an artifact on prompts that it was not trained on, or strategies by nested cross-validation.

    DATA holds lines `{"id", "prompt", "scores": {model: 0..1}}`, and `"task"` where tasks are to be told apart; a model
    that is absent was not measured.
    """
    if (artifact is None) == (not names):
        raise click.UsageError("give either --artifact DIR or --strategy NAME")
    from routeiq_router.data.costs import read_costs
    from routeiq_router.data.dataset import read_data
    from routeiq_router.data.subset import subset
    from routeiq_router.evaluation.plot import check_plot

    if plot:
        check_plot(plot)
    check_file(out)
    check_file(plot)
    if names and _start_pinned():
        return
    given = subset(read_data(data, scored=True), tasks=tasks, models=models.split(",") if models else ())
    if artifact is not None:
        from routeiq_router.evaluation.evaluate import evaluate as judge
        from routeiq_router.evaluation.text import report_text

        result = judge(
            load_router(artifact, embedder, key),
            given,
            costs=read_costs(costs) if costs else None,
            seed=seed,
            cache=cache or default_cache(),
            progress=BarProgress(),
        )
        text, title = report_text(result), result["artifact"]["name"]
        pools = [{**pool, "strategies": {result["artifact"]["strategy"]: pool}} for pool in result["pools"]]
    else:
        from routeiq_router.embedder import Embedder
        from routeiq_router.evaluation.compare import PARTS, Comparison, compare
        from routeiq_router.evaluation.table import comparison_text
        from routeiq_router.folder import read_unsigned
        from routeiq_router.strategies.registry import strategy_names

        wanted = tuple(strategy_names()) if "all" in names else names
        request = Comparison(
            wanted, read_costs(costs), folds=folds, seed=seed, near=near, parts=parts or PARTS
        )
        encoder = Embedder.load(read_unsigned(embedder_folder(embedder)), cache_size=0)
        result = compare(request, given, encoder, cache=cache or default_cache(), progress=BarProgress())
        text, title, pools = comparison_text(result), ", ".join(path.name for path in data), result["pools"]
    _write(result, pools, title, out, plot)
    for warning in result["warnings"]:
        warn(warning)
    emit(result, as_json=as_json, text=text)


def _start_pinned() -> bool:
    """Tell whether the command ran in a process of its own, with pinned linear algebra; False: this is that one."""
    if importlib.util.find_spec("sklearn") is None:
        hint = "evaluate in a clone, or install `routeiq-router[train]`"
        raise RouteIQError("judging strategies needs scikit-learn, which is not installed here", hint=hint)
    from routeiq_router.training.pinned import ENVIRONMENT, is_pinned

    if is_pinned():
        return False
    run_pinned("evaluate", ENVIRONMENT)
    return True


def _write(
    result: dict[str, Any], pools: list[dict[str, Any]], title: str, out: Path | None, plot: Path | None
) -> None:
    if out:
        write_atomic(out, (json.dumps(result, indent=1, sort_keys=True) + "\n").encode())
    if plot:
        from routeiq_router.evaluation.plot import plot_pool

        if not pools:
            raise RouteIQError(f"{plot}: no routing figures to draw", subject=str(plot))
        write_atomic(plot, plot_pool(pools[0], title=title, path=plot))
