"""`routeiq router`: train, evaluate and apply routing artifacts."""

# ruff: noqa: PLC0415 - numpy reads its environment when it is imported, and the gateway's image has neither
# scikit-learn nor the build system: each verb imports what it needs.

import importlib.util
import json
import os
import shlex
from pathlib import Path

import click

from routeiq_appliance.cli.calibrate import calibrate
from routeiq_appliance.cli.decisions import explain
from routeiq_appliance.cli.distil import distil
from routeiq_appliance.cli.evaluate import evaluate
from routeiq_appliance.cli.replay import replay
from routeiq_appliance.cli.router_support import (
    DEFAULT_EMBEDDER,
    DEFAULT_STRATEGY,
    PATH,
    artifact_option,
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
from routeiq_appliance.cli.support import BarProgress, RouteIQGroup, emit, json_option
from routeiq_signing.errors import RouteIQError
from routeiq_signing.files import write_atomic

__all__ = ["router"]


@click.group(cls=RouteIQGroup)
def router() -> None:
    """Train, evaluate and apply routing artifacts."""
    # Before onnxruntime and tokenizers are imported, in this process and those it starts.
    os.environ.update(ORT_DISABLE_TELEMETRY="1", HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")


router.add_command(calibrate)
router.add_command(distil)
router.add_command(explain)
router.add_command(replay)
router.add_command(evaluate)


@router.command()
@json_option
def strategies(as_json: bool) -> None:
    """List the routing strategies, what each looks at and what it was measured to be worth."""
    from routeiq_router.measured import read_measured, shown
    from routeiq_router.strategies.registry import strategy, strategy_names

    found, measured = [strategy(name) for name in strategy_names()], read_measured()
    rows = [
        {"name": one.name, "summary": one.summary, "needs": one.needs, "measured": measured.get(one.name, {})}
        for one in found
    ]
    text = "\n".join(
        f"{one.name:<10} {one.summary}  (needs {one.needs})\n"
        f"{'':<10} above the hull of single models: {shown(measured.get(one.name, {}))}"
        for one in found
    )
    emit({"strategies": rows}, as_json=as_json, text=text)


@router.command()
@click.option("--data", required=True, multiple=True, type=PATH, help="JSON Lines, plain or gzip; repeatable")
@click.option(
    "--strategy",
    "strategy_name",
    default=DEFAULT_STRATEGY,
    show_default=True,
    help="One of `routeiq router strategies`",
)
@click.option("--out", required=True, type=PATH, help="Folder for the artifact")
@costs_option
@click.option("--seed", default=0, show_default=True, help="Of every draw")
@click.option(
    "--holdout", default=0.1, show_default=True, help="Share of prompts kept from training, to judge"
)
@embedder_option
@cache_option
@json_option
def train(
    data: tuple[Path, ...],
    strategy_name: str,
    out: Path,
    costs: Path | None,
    seed: int,
    holdout: float,
    embedder: Path | None,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Train an artifact on measured prompts; the same input gives the same bytes.

    DATA holds lines `{"id", "prompt", "scores": {model: 0..1}}`; a model that is absent was not measured.
    """
    if importlib.util.find_spec("sklearn") is None:
        hint = "train in a clone, or install `routeiq-router[train]`, and carry the artifact here"
        raise RouteIQError("training needs scikit-learn, which is not installed here", hint=hint)
    from routeiq_router.training.pinned import ENVIRONMENT, is_pinned

    if not is_pinned():
        run_pinned("train", ENVIRONMENT)
        return
    from routeiq_router.artifact import WEIGHTS_FILE, dump_artifact
    from routeiq_router.data.costs import model_costs, read_costs
    from routeiq_router.data.dataset import read_data
    from routeiq_router.embedder import Embedder
    from routeiq_router.folder import check_target, read_unsigned, write_artifact
    from routeiq_router.strategies.registry import strategy
    from routeiq_router.training.card import write_card
    from routeiq_router.training.train import TrainRequest, train

    strategy(strategy_name)
    check_target(out)
    table, dataset = read_costs(costs), read_data(data, scored=True)
    guessed = model_costs(dataset.models, table)[1]
    if guessed:
        warn(f"costs are guessed from names for {', '.join(guessed)}; give --costs")
    request = TrainRequest(
        name=out.resolve().name, strategy=strategy_name, costs=table, seed=seed, holdout=holdout
    )
    artifact = train(
        request,
        dataset,
        Embedder.load(read_unsigned(embedder_folder(embedder)), cache_size=0),
        embedder_name=DEFAULT_EMBEDDER if embedder is None else embedder.resolve().name,
        cache=cache or default_cache(),
        progress=BarProgress(),
    )
    files = dump_artifact(artifact)
    given = [("data", path.name) for path in data] + [("strategy", strategy_name)]
    given += [("costs", costs.name)] if costs else []
    given += [("holdout", str(holdout)), ("seed", str(seed)), ("out", artifact.name)]
    command = " ".join(["routeiq router train", *(f"--{name} {shlex.quote(value)}" for name, value in given)])
    card = write_card(artifact, weights_size=len(files[WEIGHTS_FILE]), command=command)
    write_artifact(out, {**files, "README.md": card.encode()})
    click.echo(card, err=True)
    told = ("name", "strategy", "models", "training", "metrics")
    emit(
        {"out": str(out), **{name: getattr(artifact, name) for name in told}}, as_json=as_json, text=str(out)
    )


@router.command()
@artifact_option
@click.option(
    "--data", required=True, multiple=True, type=PATH, help="JSON Lines with id and prompt; repeatable"
)
@click.option("--out", type=PATH, help="JSON Lines to write  [default: stdout]")
@key_option
@embedder_option
@json_option
def predict(
    artifact: Path,
    data: tuple[Path, ...],
    out: Path | None,
    key: Path | None,
    embedder: Path | None,
    as_json: bool,
) -> None:
    """Predict each model's quality per prompt: lines `{"id", "predicted": {model: 0..1}}`.

    With --json and --out, what was done is told as JSON; the lines themselves are the same.
    """
    from routeiq_router.data.dataset import read_data

    check_file(out)
    loaded = load_router(artifact, embedder, key)
    dataset = read_data(data, scored=False)
    lines = []
    with BarProgress().task("predicting", len(dataset), "prompt") as advance:
        for identity, prompt in zip(dataset.ids, dataset.prompts, strict=True):
            predicted = {model: round(quality, 6) for model, quality in loaded.predict(prompt).items()}
            # In ASCII: an id may hold half of a surrogate pair, which UTF-8 cannot say.
            lines.append(json.dumps({"id": identity, "predicted": predicted}) + "\n")
            advance(1)
    if out is None:
        click.echo("".join(lines), nl=False)
        return
    write_atomic(out, "".join(lines).encode())
    done = {
        "artifact": loaded.name,
        "models": list(loaded.models),
        "out": str(out),
        "prompts": len(lines),
    }
    emit(done, as_json=as_json, text=str(out))
