"""The LiteLLM plug-in's configuration file, and the router that it names: verified before anything is loaded.

One YAML or JSON file, named by `ROUTEIQ_PLUGIN_CONFIG`; an unknown name, a missing one or a wrong type is refused. The
signature of artifact and embedder is checked by `routeiq_signing`; there is no way to load what is not signed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from routeiq_router.errors import RouterError
from routeiq_router.objective import Objective, read_objective
from routeiq_router.router import Router
from routeiq_signing.model_keys import load_model_keys
from routeiq_signing.model_trust import verify_model_folder

__all__ = ["VARIABLE", "PluginConfig", "load_router", "read_config"]

VARIABLE = "ROUTEIQ_PLUGIN_CONFIG"
_MAX_BYTES = 1 << 20
_NEEDED = ("artifact", "embedder", "trust_key", "models")
_OPTIONAL = ("deployments", "bundle_json", "models_path", "model", "objective", "costs")


@dataclass(frozen=True, slots=True)
class PluginConfig:
    """What the file says; paths are relative to it. `models`: group → the artifact's model, in declared order."""

    artifact: Path
    embedder: Path
    trust_key: Path
    models: Mapping[str, str]
    deployments: Mapping[str, str]
    """The same for `litellm_params.model`, which routing plug-ins choose by; default: `models`."""
    bundle_json: Path | None = None
    models_path: Path | None = None
    model: str = "auto"
    """The model's name that asks for a choice."""
    objective: Objective = field(default_factory=Objective)
    costs: Mapping[str, float] = field(default_factory=dict)
    """What each of `models` costs, in any unit; else the artifact's costs hold."""


def read_config(path: Path) -> PluginConfig:
    """Return the configuration in a file; raises `RouterError` that names file and fault."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise RouterError(
            f"{path}: {error.strerror or error}", subject=str(path), hint=f"set {VARIABLE}"
        ) from None
    if len(data) > _MAX_BYTES:
        raise RouterError(f"{path}: larger than {_MAX_BYTES} bytes", subject=str(path))
    given = _parse(data, path)
    if not isinstance(given, dict):
        raise RouterError(f"{path}: no mapping of names", subject=str(path))
    for name in given:
        if name not in (*_NEEDED, *_OPTIONAL):
            raise RouterError(f"{path}: unknown name {str(name)[:64]!r}", subject=str(path))
    for name in _NEEDED:
        if name not in given:
            raise RouterError(f"{path}: {name!r} is missing", subject=str(path))
    models = _models(given["models"], "models", path)
    objective = given.get("objective")
    return PluginConfig(
        artifact=_path(given, "artifact", path),
        embedder=_path(given, "embedder", path),
        trust_key=_path(given, "trust_key", path),
        models=models,
        deployments=_models(given.get("deployments", models), "deployments", path),
        bundle_json=_path(given, "bundle_json", path) if "bundle_json" in given else None,
        models_path=_path(given, "models_path", path) if "models_path" in given else None,
        model=_text(given.get("model", "auto"), "model", path),
        objective=Objective() if objective is None else read_objective(objective),
        costs=_costs(given.get("costs", {}), models, path),
    )


def load_router(config: PluginConfig) -> Router:
    """Return the router, warmed up; raises `RouteIQError` for what is not signed, was changed or does not fit."""
    key = load_model_keys(config.trust_key)
    artifact, embedder = (
        verify_model_folder(
            folder, key=key, bundle_json=config.bundle_json, models_root=config.models_path
        ).files
        for folder in (config.artifact, config.embedder)
    )
    router = Router.load(artifact, embedder)
    router.check_models({**config.models, **config.deployments})
    router.warm_up()
    return router


def _parse(data: bytes, path: Path) -> Any:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise RouterError(f"{path}: not UTF-8", subject=str(path)) from None
    try:
        import yaml  # noqa: PLC0415 - LiteLLM's proxy has it; its SDK alone reads JSON
    except ImportError:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            hint = "install PyYAML to write it in YAML"
            raise RouterError(f"{path}: not JSON", subject=str(path), hint=hint) from None
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = "" if line is None else f":{line + 1}"
        raise RouterError(f"{path}{where}: not YAML", subject=str(path)) from None


def _models(value: Any, name: str, path: Path) -> dict[str, str]:
    if (
        not isinstance(value, dict)
        or not value
        or not all(isinstance(item, str) and item for pair in value.items() for item in pair)
    ):
        raise RouterError(f"{path}: {name!r} does not map names to models of the artifact", subject=str(path))
    return dict(value)


def _path(given: Mapping[str, Any], name: str, beside: Path) -> Path:
    return beside.parent / _text(given[name], name, beside)


def _text(value: Any, name: str, path: Path) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 4096 or "\0" in value:
        raise RouterError(f"{path}: {name!r} is not a text", subject=str(path))
    return value


def _costs(value: Any, models: Mapping[str, str], path: Path) -> dict[str, float]:
    wrong = RouterError(
        f"{path}: 'costs' does not map every candidate to a number from 0 up", subject=str(path)
    )
    if not isinstance(value, dict) or (value and set(value) != set(models)):
        raise wrong
    for number in value.values():
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number < float("inf"):
            raise wrong
    return {name: float(number) for name, number in value.items()}
