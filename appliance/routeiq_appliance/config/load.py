"""Reads `config.yaml` into `GatewayConfig`; lists every mistake at once, with line and the nearest valid name.

Values of `litellm_params` of the form `os.environ/NAME` are taken from the environment. What belongs together is
checked here (groups of `auto` exist, addresses are named while sealed); whether artifacts verify is `routing/`'s.
"""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from routeiq_appliance.config.document import Document, Path, parse_document
from routeiq_appliance.config.models import GatewayConfig
from routeiq_appliance.egress.destinations import destination_of_url
from routeiq_appliance.errors import ConfigError
from routeiq_appliance.limits import DEFAULT_LIMITS, Limits

__all__ = ["load_config", "parse_config"]

_ENVIRONMENT = "os.environ/"


def load_config(
    path: FilePath, environ: Mapping[str, str], *, limits: Limits = DEFAULT_LIMITS
) -> GatewayConfig:
    """Read and check the file; raises `ConfigError`."""
    try:
        with path.open("rb") as file:
            raw = file.read(limits.config_bytes + 1)
    except OSError as error:
        raise ConfigError(
            f"{path}: {(error.strerror or 'cannot be read').lower()}",
            subject=str(path),
            hint="pass --config FILE",
        ) from None
    if len(raw) > limits.config_bytes:
        raise ConfigError(f"{path}: larger than {limits.config_bytes} bytes", subject=str(path))
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8", subject=str(path)) from None
    return parse_config(text, environ, name=str(path), limits=limits)


def parse_config(
    text: str, environ: Mapping[str, str], *, name: str = "config.yaml", limits: Limits = DEFAULT_LIMITS
) -> GatewayConfig:
    """Check the text of a configuration; raises one `ConfigError` with a line per mistake."""
    document = parse_document(text, name=name, limits=limits)
    mistakes: list[tuple[int, str]] = []
    values = _from_environment(document, environ, mistakes)
    config: GatewayConfig | None = None
    try:
        config = GatewayConfig.model_validate(values)
    except ValidationError as error:
        mistakes += [_explain(item, document) for item in error.errors(include_url=False)]
    if config is not None:
        mistakes += [
            (document.line(path), f"{_dotted(path)}: {what}") for path, what in _cross_checks(config)
        ]
    if mistakes or config is None:
        lines = "\n".join(f"{name}:{line}: {what}" for line, what in sorted(set(mistakes)))
        raise ConfigError(lines, subject=name, hint="docs/configuration.md describes every key")
    return config


def _from_environment(document: Document, environ: Mapping[str, str], mistakes: list[tuple[int, str]]) -> Any:
    def resolve(value: Any, path: Path) -> Any:
        if isinstance(value, dict):
            return {key: resolve(item, (*path, str(key))) for key, item in value.items()}
        if isinstance(value, list):
            return [resolve(item, (*path, position)) for position, item in enumerate(value)]
        if isinstance(value, str) and value.startswith(_ENVIRONMENT):
            variable = value.removeprefix(_ENVIRONMENT)
            if not environ.get(variable):
                mistakes.append(
                    (document.line(path), f"{_dotted(path)}: environment variable {variable} is not set")
                )
            return environ.get(variable) or value
        return value

    entries = document.values.get("model_list")
    if not isinstance(entries, list):
        return document.values
    resolved = [
        {
            **entry,
            "litellm_params": resolve(entry["litellm_params"], ("model_list", number, "litellm_params")),
        }
        if isinstance(entry, dict) and "litellm_params" in entry
        else entry
        for number, entry in enumerate(entries)
    ]
    return {**document.values, "model_list": resolved}


def _explain(item: Any, document: Document) -> tuple[int, str]:
    path: Path = tuple(item["loc"])
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        known = sorted(_fields_at(path[:-1]))
        near = difflib.get_close_matches(str(path[-1]), known, n=1)
        message = (
            f"unknown name; did you mean `{near[0]}`?"
            if near
            else f"unknown name; known are: {', '.join(known)}"
        )
    elif item["type"] == "missing":
        message = "is missing"
    elif item["type"] == "literal_error":
        near = difflib.get_close_matches(
            str(item["input"])[:64], item["ctx"]["expected"].replace("'", "").split(" or "), n=1
        )
        message = f"must be {item['ctx']['expected']}" + (f"; did you mean `{near[0]}`?" if near else "")
    else:
        message = message[:1].lower() + message[1:]
    return document.line(path), f"{_dotted(path)}: {message}"


def _fields_at(path: Path) -> set[str]:
    """Return the names that the schema knows at `path`."""
    model: Any = GatewayConfig
    for step in path:
        if isinstance(step, int):
            continue
        field = (
            model.model_fields.get(step) if isinstance(model, type) and issubclass(model, BaseModel) else None
        )
        if field is None:
            return set()
        model = next(iter(get_args(field.annotation)), field.annotation)
    return set(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else set()


def _cross_checks(config: GatewayConfig) -> Iterator[tuple[Path, str]]:
    groups = {entry.model_name for entry in config.model_list}
    auto = config.routeiq.auto
    for number, group in enumerate(auto.candidates or []):
        if group not in groups:
            yield ("routeiq", "auto", "candidates", number), _no_group(group, groups)
    for group in auto.model_map:
        if group not in groups:
            yield ("routeiq", "auto", "model_map", group), _no_group(group, groups)
    candidates = auto.candidates or list(auto.model_map)
    if auto.artifact:
        for group in candidates:
            if group in groups and group not in auto.model_map:
                yield (
                    ("routeiq", "auto"),
                    f"model_map: candidate `{group}` is not mapped to a model of the artifact",
                )
        if not auto.model_map:
            yield ("routeiq", "auto"), "model_map: is missing; the artifact's models must be mapped to groups"
    seen: set[str] = set()
    for number, entry in enumerate(config.model_list):
        where: Path = ("model_list", number)
        if entry.model_info.id is not None:
            if entry.model_info.id in seen:
                yield (*where, "model_info", "id"), f"`{entry.model_info.id}` is given to two deployments"
            seen.add(entry.model_info.id)
        yield from _address_checks(config, entry.litellm_params.api_base, (*where, "litellm_params"))


def _address_checks(config: GatewayConfig, api_base: str | None, where: Path) -> Iterator[tuple[Path, str]]:
    if api_base is None:
        if config.routeiq.egress == "sealed":
            yield where, "api_base: is missing; while sealed, every deployment names its address"
        return
    try:
        destination_of_url(api_base)
    except ConfigError as error:
        yield (*where, "api_base"), str(error)


def _no_group(group: str, groups: set[str]) -> str:
    near = difflib.get_close_matches(group, sorted(groups), n=1)
    return f"no group `{group}` in model_list" + (f"; did you mean `{near[0]}`?" if near else "")


def _dotted(path: Path) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text or "file"
