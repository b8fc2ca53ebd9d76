"""Reads `config.yaml` into `GatewayConfig`; lists every mistake at once, with line and the nearest valid name.

Values of `litellm_params` of the form `os.environ/NAME` are taken from the environment, or from the file that
`NAME_FILE` names. What belongs together is checked in `checks`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from routeiq_appliance.config.checks import NO_GROUP, cross_checks
from routeiq_appliance.config.document import Document, Path, dotted, parse_document
from routeiq_appliance.config.mistakes import ConfigMistakesError, Mistake, explain
from routeiq_appliance.config.model_list import LitellmParams
from routeiq_appliance.config.models import GatewayConfig
from routeiq_appliance.config.repair import STAND_INS, checkable
from routeiq_appliance.config.variables import read_variable
from routeiq_appliance.errors import ConfigError
from routeiq_appliance.limits import DEFAULT_LIMITS, Limits

__all__ = ["Loaded", "load_config", "parse_config", "read_config", "read_text"]

_ENVIRONMENT = "os.environ/"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


@dataclass(frozen=True)
class Loaded:
    """A configuration that was checked, and where its values come from."""

    config: GatewayConfig
    document: Document
    variables: Mapping[Path, str] = field(default_factory=dict)
    """Path → the environment variable that its value was taken from."""
    unset: Mapping[Path, str] = field(default_factory=dict)
    """Path → the variable that is not set here; stand-ins are in its place."""


def load_config(
    path: FilePath, environ: Mapping[str, str], *, limits: Limits = DEFAULT_LIMITS
) -> GatewayConfig:
    """Read and check the file; raises `ConfigError`."""
    return parse_config(read_text(path, limits=limits), environ, name=str(path), limits=limits)


def parse_config(
    text: str, environ: Mapping[str, str], *, name: str = "config.yaml", limits: Limits = DEFAULT_LIMITS
) -> GatewayConfig:
    """Check the text of a configuration; raises one `ConfigError` with a line per mistake."""
    return read_config(text, environ, name=name, limits=limits).config


def read_config(
    text: str,
    environ: Mapping[str, str],
    *,
    name: str = "config.yaml",
    unset_is_a_mistake: bool = True,
    limits: Limits = DEFAULT_LIMITS,
) -> Loaded:
    """Check the text, and keep where each value comes from; raises `ConfigError` as `parse_config`.

    With `unset_is_a_mistake` false, a variable that is not set here is listed in `Loaded.unset` instead: what is built
    on one host and served on another has its secrets there.
    """
    document = parse_document(text, name=name, limits=limits)
    variables = _Variables(document, environ)
    mistakes = variables.mistakes
    if unset_is_a_mistake:
        mistakes += [
            variables.mistake(path, f"environment variable {variable} is not set")
            for path, variable in variables.unset.items()
        ]
    try:
        config = GatewayConfig.model_validate(variables.values)
    except ValidationError as error:
        refused = error.errors(include_url=False)
        mistakes += [explain(item, document) for item in refused]
        rest, gone = checkable(variables.values, (tuple(item["loc"]) for item in refused))
        mistakes += [variables.mistake(path, what) for path, what in _of_the_rest(rest, gone)]
        raise ConfigMistakesError(name, mistakes) from None
    mistakes += [variables.mistake(path, what) for path, what in cross_checks(config)]
    if mistakes:
        raise ConfigMistakesError(name, mistakes)
    return Loaded(config.with_variables(variables.found), document, variables.used, variables.unset)


def _of_the_rest(config: GatewayConfig | None, gone: set[Path]) -> Iterator[tuple[Path, str]]:
    """Yield what is wrong beside the refused values, and not because they are gone."""
    named = not any(path[0] == "model_list" and path[2:] in {(), ("model_name",)} for path in gone)
    for path, what in cross_checks(config) if config is not None else ():
        follows = any(path[: len(other)] == other or other[: len(path)] == path for other in gone)
        if not follows and (named or not what.startswith(NO_GROUP)):
            yield path, what


def read_text(path: FilePath, *, limits: Limits = DEFAULT_LIMITS) -> str:
    """Read the file, bounded; raises `ConfigError`."""
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
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8", subject=str(path)) from None


class _Variables:
    """Puts the environment's values in their places."""

    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        self._document = document
        self._environ = environ
        self.used: dict[Path, str] = {}
        self.found: dict[str, str] = {}
        self.unset: dict[Path, str] = {}
        self.mistakes: list[Mistake] = []
        self.values = self._filled(document.values)

    def mistake(self, path: Path, what: str) -> Mistake:
        return Mistake(self._document.line(path), dotted(path), what)

    def _filled(self, values: dict[str, Any]) -> dict[str, Any]:
        entries = values.get("model_list")
        if not isinstance(entries, list):
            return values
        filled = [
            {**entry, "litellm_params": self._params(entry["litellm_params"], number)}
            if isinstance(entry, dict) and isinstance(entry.get("litellm_params"), dict)
            else entry
            for number, entry in enumerate(entries)
        ]
        return {**values, "model_list": filled}

    def _params(self, params: dict[Any, Any], number: int) -> dict[Any, Any]:
        where: Path = ("model_list", number, "litellm_params")
        resolved = {key: self._resolve(value, (*where, str(key))) for key, value in params.items()}
        for path in [path for path in self.unset if path[:3] == where and len(path) == 4]:
            name = path[3]
            if name in STAND_INS:
                resolved[name] = STAND_INS[str(name)]
            elif name in LitellmParams.model_fields and name != "api_key":
                # A number, say: what it would be is not known, and not needed here.
                resolved.pop(name, None)
        return resolved

    def _resolve(self, value: Any, path: Path) -> Any:
        if isinstance(value, dict):
            return {key: self._resolve(item, (*path, str(key))) for key, item in value.items()}
        if isinstance(value, list):
            return [self._resolve(item, (*path, position)) for position, item in enumerate(value)]
        if not isinstance(value, str) or not value.startswith(_ENVIRONMENT):
            return value
        variable = value.removeprefix(_ENVIRONMENT)
        if not _NAME.fullmatch(variable):
            # Not shown: who writes the secret itself here must not find it in a log.
            self.mistakes.append(self.mistake(path, "what follows os.environ/ is no variable's name"))
            return value
        try:
            found = read_variable(variable, self._environ)
        except ConfigError as error:
            self.mistakes.append(self.mistake(path, str(error)))
            return value
        (self.used if found else self.unset)[path] = variable
        if found:
            self.found[variable] = found
        return found or value
