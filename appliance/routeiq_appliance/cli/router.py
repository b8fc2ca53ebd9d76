"""`routeiq router`: train, evaluate and apply routing artifacts."""

# ruff: noqa: PLC0415 - numpy reads its environment when it is imported, and the gateway's image has neither
# scikit-learn nor the build system: each verb imports what it needs.

import importlib.util
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from routeiq_appliance.cli.distil import distil
from routeiq_appliance.cli.support import BarProgress, RouteIQGroup, emit, json_option
from routeiq_signing.errors import RouteIQError
from routeiq_signing.files import write_atomic
from routeiq_signing.keys import load_public_key
from routeiq_signing.model_trust import verify_model_folder

if TYPE_CHECKING:
    from routeiq_router.router import Router
    from routeiq_vendor.workspace import Workspace

__all__ = ["router"]

_PATH = click.Path(path_type=Path)
_EMBEDDER = "all-MiniLM-L6-v2"
_IN_MODELS = Path("sentence-transformers") / _EMBEDDER

_artifact_option = click.option("--artifact", required=True, type=_PATH, help="Folder of the artifact")
_costs_option = click.option(
    "--costs", type=_PATH, help="JSON file, model to cost; goes before the default table"
)
_embedder_option = click.option(
    "--embedder",
    type=_PATH,
    help="Folder of the embedder  [default: in ROUTEIQ_MODELS_PATH, else in build/dev/models]",
)
_key_option = click.option(
    "--key", type=_PATH, help="Public key (PEM) that must have signed artifact and embedder"
)
_cache_option = click.option(
    "--cache",
    type=_PATH,
    help="Folder that keeps vectors between runs  [default: build/cache/embeddings in a clone]",
)


@click.group(cls=RouteIQGroup)
def router() -> None:
    """Train, evaluate and apply routing artifacts."""
    # Before onnxruntime and tokenizers are imported, in this process and those it starts.
    os.environ.update(ORT_DISABLE_TELEMETRY="1", HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")


router.add_command(distil)


@router.command()
@json_option
def strategies(as_json: bool) -> None:
    """List the routing strategies and what each looks at."""
    from routeiq_router.strategies.registry import strategy, strategy_names

    found = [strategy(name) for name in strategy_names()]
    rows = [{"name": one.name, "summary": one.summary, "needs": one.needs} for one in found]
    text = "\n".join(f"{row['name']:<10} {row['summary']}  (needs {row['needs']})" for row in rows)
    emit({"strategies": rows}, as_json=as_json, text=text)


@router.command()
@click.option(
    "--data", required=True, multiple=True, type=_PATH, help="JSON Lines, plain or gzip; repeatable"
)
@click.option("--strategy", "strategy_name", required=True, help="One of `routeiq router strategies`")
@click.option("--out", required=True, type=_PATH, help="Folder for the artifact")
@_costs_option
@click.option("--seed", default=0, show_default=True, help="Of every draw")
@click.option(
    "--holdout", default=0.1, show_default=True, help="Share of prompts kept from training, to judge"
)
@_embedder_option
@_cache_option
def train(
    data: tuple[Path, ...],
    strategy_name: str,
    out: Path,
    costs: Path | None,
    seed: int,
    holdout: float,
    embedder: Path | None,
    cache: Path | None,
) -> None:
    """Train an artifact on measured prompts; the same input gives the same bytes.

    DATA holds lines `{"id", "prompt", "scores": {model: 0..1}}`; a model that is absent was not measured.
    """
    if importlib.util.find_spec("sklearn") is None:
        hint = "train in a clone, or install `routeiq-router[train]`, and carry the artifact here"
        raise RouteIQError("training needs scikit-learn, which is not installed here", hint=hint)
    from routeiq_router.training.pinned import ENVIRONMENT, is_pinned

    if not is_pinned():
        _run_pinned(ENVIRONMENT)
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
        _warn(f"costs are guessed from names for {', '.join(guessed)}; give --costs")
    request = TrainRequest(
        name=out.resolve().name, strategy=strategy_name, costs=table, seed=seed, holdout=holdout
    )
    artifact = train(
        request,
        dataset,
        Embedder.load(read_unsigned(_embedder_folder(embedder)), cache_size=0),
        embedder_name=_EMBEDDER if embedder is None else embedder.resolve().name,
        cache=cache or _default_cache(),
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
    click.echo(out)


@router.command()
@_artifact_option
@click.option("--data", required=True, multiple=True, type=_PATH, help="JSON Lines with scores; repeatable")
@_costs_option
@click.option("--seed", default=0, show_default=True, help="Of the bootstrap")
@_key_option
@_embedder_option
@_cache_option
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

    loaded = _load(artifact, embedder, key)
    result = evaluate(
        loaded,
        read_data(data, scored=True),
        costs=read_costs(costs) if costs else None,
        seed=seed,
        cache=cache or _default_cache(),
        progress=BarProgress(),
    )
    for warning in result["warnings"]:
        _warn(warning)
    emit(result, as_json=as_json, text=report_text(result))


@router.command()
@_artifact_option
@click.option(
    "--data", required=True, multiple=True, type=_PATH, help="JSON Lines with id and prompt; repeatable"
)
@click.option("--out", required=True, type=_PATH, help="JSON Lines to write")
@_key_option
@_embedder_option
def predict(
    artifact: Path, data: tuple[Path, ...], out: Path, key: Path | None, embedder: Path | None
) -> None:
    """Predict each model's quality per prompt: lines `{"id", "predicted": {model: 0..1}}`."""
    from routeiq_router.data.dataset import read_data

    loaded = _load(artifact, embedder, key)
    dataset = read_data(data, scored=False)
    lines = []
    with BarProgress().task("predicting", len(dataset), "prompt") as advance:
        for identity, prompt in zip(dataset.ids, dataset.prompts, strict=True):
            predicted = {model: round(quality, 6) for model, quality in loaded.predict(prompt).items()}
            lines.append(json.dumps({"id": identity, "predicted": predicted}, ensure_ascii=False) + "\n")
            advance(1)
    write_atomic(out, "".join(lines).encode())
    click.echo(out)


def _load(artifact: Path, embedder: Path | None, key: Path | None) -> "Router":
    from routeiq_router.folder import read_unsigned
    from routeiq_router.router import Router

    if key is None:
        _warn("signature not checked: no --key")
        return Router.load(read_unsigned(artifact), read_unsigned(_embedder_folder(embedder)))
    return Router.load(_verified(artifact, key), _verified(_embedder_folder(embedder), key))


def _verified(folder: Path, key: Path) -> Mapping[str, bytes]:
    bundle, models = os.environ.get("ROUTEIQ_BUNDLE_JSON"), os.environ.get("ROUTEIQ_MODELS_PATH")
    return verify_model_folder(
        folder,
        key=load_public_key(key),
        bundle_json=Path(bundle) if bundle else None,
        models_root=Path(models) if models else None,
    ).files


def _embedder_folder(chosen: Path | None) -> Path:
    if chosen is not None:
        return chosen
    models = os.environ.get("ROUTEIQ_MODELS_PATH")
    if models:
        return Path(models) / _IN_MODELS
    workspace = _checkout()
    if workspace is None:
        raise RouteIQError(
            "no embedder: ROUTEIQ_MODELS_PATH is not set", hint="set it, or give --embedder DIR"
        )
    return _lay_out(workspace)


def _checkout() -> "Workspace | None":
    """Return the clone that this command runs from, or None in an image or an installation."""
    if importlib.util.find_spec("routeiq_vendor") is None:
        return None
    from routeiq_vendor.workspace import Workspace

    workspace = Workspace.find(os.environ)
    return workspace if workspace.locks.is_dir() else None


def _lay_out(workspace: "Workspace") -> Path:
    """Return the embedder's folder in a clone; takes it out of the pool, where `make fetch` puts it."""
    from routeiq_vendor.documents import read_document
    from routeiq_vendor.weights.lock import WeightsLock
    from routeiq_vendor.weights.store import RUNTIME_FILES, layout_model

    folder = workspace.build / "dev" / "models" / _IN_MODELS
    if all((folder / name).is_file() for name in RUNTIME_FILES):
        return folder
    weights = read_document(workspace.locks / "weights.lock.json", WeightsLock).models[_EMBEDDER]
    if not all(workspace.pool.has(weights.contents[name]) for name in RUNTIME_FILES):
        hint = "fetch it with `make fetch`, or give --embedder DIR"
        raise RouteIQError(f"{folder}: no embedder here", subject=str(folder), hint=hint)
    return layout_model(workspace.pool, weights, folder)


def _default_cache() -> Path | None:
    workspace = _checkout()
    return workspace.build / "cache" / "embeddings" if workspace else None


def _run_pinned(environment: Mapping[str, str]) -> None:
    """Run this very command again where linear algebra is pinned; it reads the environment only when it loads."""
    context = click.get_current_context()
    arguments = [argument for name, value in context.params.items() for argument in _spell(name, value)]
    code = "from routeiq_appliance.cli.main import main; main(prog_name='routeiq')"
    command = [sys.executable, "-c", code, "router", "train", *arguments]
    finished = subprocess.run(command, env={**os.environ, **environment}, check=False)
    if finished.returncode:
        raise click.exceptions.Exit(finished.returncode if finished.returncode > 0 else 1)


def _spell(name: str, value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, tuple):
        return [argument for item in value for argument in _spell(name, item)]
    return [f"--{'strategy' if name == 'strategy_name' else name}", str(value)]


def _warn(text: str) -> None:
    click.echo(f"warning: {text}", err=True)
