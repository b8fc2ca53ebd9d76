"""Takes what the schema refuses out of a configuration, so that the rest can be checked too. Pure.

One wrong number must not hide a fallback to a group that does not exist: all mistakes are told at once. What is made
here is checked and thrown away, never served.
"""

import copy
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from routeiq_appliance.config.document import Path
from routeiq_appliance.config.models import GatewayConfig

__all__ = ["STAND_INS", "checkable"]

STAND_INS = {"model": "unset/unset", "api_base": "http://unset.invalid"}
"""Where no value can be had and one must be there: it passes the schema, and is never shown or called."""
_ROUNDS = 5
"""What is left after a removal may be refused in turn: an empty mapping, then the list around it."""


def checkable(values: Any, refused: Iterable[Path]) -> tuple[GatewayConfig | None, set[Path]]:
    """Return a configuration without the `refused` values, and every path that was taken out or filled in."""
    left = copy.deepcopy(values)
    gone: set[Path] = set()
    paths = set(refused)
    for _ in range(_ROUNDS):
        for path in paths:
            gone.add(_repair(left, path))
        try:
            return GatewayConfig.model_validate(left), gone
        except ValidationError as error:
            paths = {tuple(item["loc"]) for item in error.errors(include_url=False, include_input=False)}
    return None, gone


def _repair(values: Any, path: Path) -> Path:
    """Fill in what must be there; take out the innermost name that can go. Return where."""
    if len(path) > 1 and path[0] == "model_list" and isinstance(values["model_list"], list):
        number = int(path[1])
        entries = values["model_list"]
        if not isinstance(entries[number], dict):
            entries[number] = {}
        entry = entries[number]
        if len(path) == 2 or path[2] == "model_name":
            entry["model_name"] = f"unset-{number}"
        if len(path) == 2 or path[2:] == ("litellm_params",):
            entry["litellm_params"] = dict(STAND_INS)
        elif path[2:] == ("litellm_params", "model"):
            entry["litellm_params"]["model"] = STAND_INS["model"]
        elif path[2] != "model_name":
            return _remove(values, path)
        return path
    return _remove(values, path)


def _remove(values: Any, path: Path) -> Path:
    holder, cut = None, 0
    around = values
    for depth, step in enumerate(path):
        if isinstance(around, dict) and step in around:
            holder, cut = around, depth
            around = around[step]
        elif isinstance(around, list) and isinstance(step, int) and step < len(around):
            around = around[step]
        else:
            break
    if holder is not None:
        del holder[path[cut]]
    return path[: cut + 1]
