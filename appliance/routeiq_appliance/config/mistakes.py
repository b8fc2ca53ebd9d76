"""Words for what is wrong with a configuration: the line, the dotted name, the fault, the nearest valid name. Pure.

A value is never part of a message unless it names something (a group, a destination): it may be a secret.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, get_args

from pydantic import BaseModel

from routeiq_appliance.config.document import Document, Path, dotted
from routeiq_appliance.config.models import GatewayConfig
from routeiq_appliance.errors import ConfigError

__all__ = ["ConfigMistakesError", "Mistake", "explain", "nearest"]


@dataclass(frozen=True, order=True, slots=True)
class Mistake:
    """One line of the list; `line` is 1-based, `where` the dotted name."""

    line: int
    where: str
    what: str


class ConfigMistakesError(ConfigError):
    """Every mistake of a file, in the order of its lines."""

    def __init__(
        self,
        name: str,
        mistakes: Iterable[Mistake],
        *,
        hint: str = "docs/configuration.md describes every key",
    ) -> None:
        self.mistakes = tuple(sorted(set(mistakes)))
        super().__init__(
            "\n".join(f"{name}:{item.line}: {item.where}: {item.what}" for item in self.mistakes),
            subject=name,
            hint=hint,
        )

    def as_json(self) -> list[dict[str, Any]]:
        """Return the mistakes as plain values."""
        return [asdict(item) for item in self.mistakes]


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return `; did you mean …?`, or nothing."""
    near = difflib.get_close_matches(name[:128], sorted(known), n=1, cutoff=cutoff)
    return f"; did you mean `{near[0]}`?" if near else ""


def explain(item: Any, document: Document, root: type[BaseModel] = GatewayConfig) -> Mistake:
    """Return pydantic's error in our words; `root` is the schema of the whole document."""
    path: Path = tuple(step for step in item["loc"] if not _is_marker(step))
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        known = sorted(_fields_at(path[:-1], root))
        message = "unknown name" + (nearest(str(path[-1]), known) or f"; known are: {', '.join(known)}")
    elif item["type"] == "missing":
        message = "is missing"
    elif item["type"] == "literal_error":
        expected = item["ctx"]["expected"]
        message = f"must be {expected}" + nearest(str(item["input"]), re.findall(r"'([^']*)'", expected))
    else:
        message = message[:1].lower() + message[1:]
    return Mistake(document.line(path), dotted(path), message)


def _is_marker(step: Any) -> bool:
    """Whether `step` is pydantic's word for a branch of a union, or for a mapping's key."""
    return isinstance(step, str) and (step in {"str", "[key]"} or step.startswith("dict["))


def _fields_at(path: Path, root: type[BaseModel]) -> set[str]:
    """Return the names that the schema knows at `path`."""
    model: Any = root
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
