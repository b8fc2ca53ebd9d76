"""What the verbs of `routeiq router` share: options, where the embedder is, loading an artifact, pinned processes."""

# ruff: noqa: PLC0415 - numpy reads its environment when it is imported, and the gateway's image has no build system.

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from routeiq_signing.errors import RouteIQError
from routeiq_signing.model_keys import load_model_keys
from routeiq_signing.model_trust import verify_model_folder

if TYPE_CHECKING:
    from routeiq_router.router import Router
    from routeiq_vendor.workspace import Workspace

__all__ = [
    "DEFAULT_EMBEDDER",
    "DEFAULT_STRATEGY",
    "PATH",
    "artifact_option",
    "cache_option",
    "check_file",
    "costs_option",
    "default_cache",
    "embedder_folder",
    "embedder_option",
    "key_option",
    "load_router",
    "run_pinned",
    "verified_or_unsigned",
    "warn",
]

PATH = click.Path(path_type=Path)
DEFAULT_EMBEDDER = "all-MiniLM-L6-v2"
DEFAULT_STRATEGY = "guarded"
_IN_MODELS = Path("sentence-transformers") / DEFAULT_EMBEDDER

artifact_option = click.option("--artifact", required=True, type=PATH, help="Folder of the artifact")
costs_option = click.option(
    "--costs", type=PATH, help="JSON file, model to cost; goes before the default table"
)
embedder_option = click.option(
    "--embedder",
    type=PATH,
    help="Folder of the embedder  [default: in ROUTEIQ_MODELS_PATH, else in build/dev/models]",
)
key_option = click.option(
    "--key", type=PATH, help="Public key (PEM) that must have signed artifact and embedder"
)
cache_option = click.option(
    "--cache",
    type=PATH,
    help="Folder that keeps vectors between runs  [default: build/cache/embeddings in a clone]",
)


def load_router(artifact: Path, embedder: Path | None, key: Path | None) -> "Router":
    """Return the loaded artifact; with `key` only if that key signed it and its embedder, else with a warning."""
    from routeiq_router.folder import read_unsigned
    from routeiq_router.router import Router

    if key is None:
        warn("signature not checked: no --key")
        return Router.load(read_unsigned(artifact), read_unsigned(embedder_folder(embedder)))
    return Router.load(_verified(artifact, key), _verified(embedder_folder(embedder), key))


def verified_or_unsigned(artifact: Path, key: Path | None) -> Mapping[str, bytes]:
    """Return an artifact's files; with `key` only if that key signed them, else with a warning."""
    from routeiq_router.folder import read_unsigned

    if key is None:
        warn("signature not checked: no --key")
        return read_unsigned(artifact)
    return _verified(artifact, key)


def _verified(folder: Path, key: Path) -> Mapping[str, bytes]:
    bundle, models = os.environ.get("ROUTEIQ_BUNDLE_JSON"), os.environ.get("ROUTEIQ_MODELS_PATH")
    return verify_model_folder(
        folder,
        key=load_model_keys(key),
        bundle_json=Path(bundle) if bundle else None,
        models_root=Path(models) if models else None,
    ).files


def embedder_folder(chosen: Path | None) -> Path:
    """Return the embedder's folder: the chosen one, or the site's, or the clone's, laid out on first use."""
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
    weights = read_document(workspace.locks / "weights.lock.json", WeightsLock).models[DEFAULT_EMBEDDER]
    if not all(workspace.pool.has(weights.contents[name]) for name in RUNTIME_FILES):
        hint = "fetch it with `make fetch`, or give --embedder DIR"
        raise RouteIQError(f"{folder}: no embedder here", subject=str(folder), hint=hint)
    return layout_model(workspace.pool, weights, folder)


def default_cache() -> Path | None:
    """Return the folder that keeps vectors between runs in a clone; None elsewhere."""
    workspace = _checkout()
    return workspace.build / "cache" / "embeddings" if workspace else None


def run_pinned(verb: str, environment: Mapping[str, str]) -> None:
    """Run this very command again where linear algebra is pinned; it reads the environment only when it loads."""
    context = click.get_current_context()
    spelled = {one.name: one.opts[0] for one in context.command.params}
    arguments = [
        argument
        for name, value in context.params.items()
        for argument in _spell(spelled.get(name, ""), value)
    ]
    code = "from routeiq_appliance.cli.main import main; main(prog_name='routeiq')"
    command = [sys.executable, "-c", code, "router", verb, *arguments]
    finished = subprocess.run(command, env={**os.environ, **environment}, check=False)
    if finished.returncode:
        raise click.exceptions.Exit(finished.returncode if finished.returncode > 0 else 1)


def _spell(option: str, value: Any) -> list[str]:
    if value is None or value is False:
        return []
    if isinstance(value, tuple):
        return [argument for item in value for argument in _spell(option, item)]
    return [option] if value is True else [option, str(value)]


def check_file(path: Path | None) -> None:
    """Raise `RouteIQError` when `path`, to be written at the end of long work, is a folder."""
    if path is not None and path.is_dir():
        raise RouteIQError(f"{path}: a folder, want a file", subject=str(path), hint="name a file with --out")


def warn(text: str) -> None:
    """Print a warning on stderr."""
    click.echo(f"warning: {text}", err=True)
