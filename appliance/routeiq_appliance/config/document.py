"""Reads YAML with the line of every value; refuses duplicate names and documents that grow when expanded. Pure."""

import re
from dataclasses import dataclass
from typing import Any

import yaml

from routeiq_appliance.errors import ConfigError
from routeiq_appliance.limits import Limits

__all__ = ["Document", "Path", "dotted", "parse_document"]

Path = tuple[str | int, ...]
"""Where a value is: names and list positions, from the root."""

_SHOWN = re.compile(r"[A-Za-z0-9_./@-]{0,64}")
# YAML's own words (`'<scalar>'`, `','`) stay; what else it quotes may be a secret that began with `*` or `!`.
_QUOTED = re.compile(r"'(?!<[a-z ]+>')[^']{4,}'|\"[^\"]{4,}\"|(?<=: ).*\Z")


@dataclass(frozen=True)
class Document:
    """The plain values of a file and the line (1-based) where each path stands."""

    values: Any
    lines: dict[Path, int]

    def line(self, path: Path) -> int:
        """Return the line of `path`, or of the nearest thing around it."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 1)


def parse_document(text: str, *, name: str, limits: Limits, holds: str = "model_list") -> Document:
    """Parse YAML of plain types, a mapping that `holds` that name; raises `ConfigError` naming file and line."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is None:
            raise ConfigError(f"{name}: is empty", subject=name)
        lines: dict[Path, int] = {}
        _walk(root, (), lines, name, limits)
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        problem = getattr(error, "problem", None) or "not YAML"
        raise ConfigError(f"{where}: {_without_values(problem)}", subject=name) from None
    except RecursionError:
        raise ConfigError(f"{name}: nested too deeply", subject=name) from None
    except ValueError as error:
        # A tag's constructor: `2001-99-99` is a date in YAML, and no date.
        raise ConfigError(f"{name}: {_without_values(str(error))}", subject=name) from None
    except (AttributeError, LookupError):
        # What PyYAML's constructors raise for `!!int ""`, `!!bool x`, `!!timestamp x`.
        raise ConfigError(f"{name}: a value does not fit its tag", subject=name) from None
    if not isinstance(values, dict):
        raise ConfigError(f"{name}:1: must be a mapping with `{holds}`", subject=name)
    return Document(values, lines)


def dotted(path: Path) -> str:
    """Return `model_list[0].litellm_params.model`; what cannot be a name is cut at its first odd character."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
            continue
        # `api_key:sk-…`, its space forgotten, is a name to YAML.
        shown = _SHOWN.match(step)
        name = shown.group() if shown else ""
        name = name if len(name) == len(step) else f"{name}…"
        text += f".{name}" if text else name
    return text or "file"


def _without_values(problem: str) -> str:
    return _QUOTED.sub("…", problem)


def _walk(node: yaml.Node, path: Path, lines: dict[Path, int], name: str, limits: Limits) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if len(lines) > limits.config_nodes:
        raise ConfigError(
            f"{name}: more than {limits.config_nodes} values once aliases are expanded", subject=name
        )
    if isinstance(node, yaml.SequenceNode):
        for position, child in enumerate(node.value):
            _walk(child, (*path, position), lines, name, limits)
    elif isinstance(node, yaml.MappingNode):
        for key, child in node.value:
            label = str(key.value)
            if (*path, label) in lines and label != "<<":
                raise ConfigError(
                    f"{name}:{key.start_mark.line + 1}: {dotted((label,))}: is given twice", subject=name
                )
            lines[(*path, label)] = key.start_mark.line + 1
            _walk(child, (*path, label), lines, name, limits)
