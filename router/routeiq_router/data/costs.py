"""What a call to a model costs, in units that only compare: billions of (active) parameters unless a file says more.

`costs.json` beside this file is the default table; a file of the site's own (`{"model": cost}`) goes before it.
"""

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from routeiq_router.errors import RouterError
from routeiq_router.limits import DEFAULT_LIMITS, Limits
from routeiq_router.strict_json import parse_json

__all__ = ["call_tokens", "model_costs", "read_costs"]

_SIZE = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)b(?![a-z0-9])", re.IGNORECASE)


def read_costs(path: Path | None, limits: Limits = DEFAULT_LIMITS) -> dict[str, float]:
    """Return the default table with the file's entries over it; raises `RouterError` for a bad file."""
    default = parse_json((files(__package__) / "costs.json").read_bytes(), subject="costs.json")
    return {**default, **(_own(path, limits) if path else {})}


def model_costs(models: Sequence[str], table: Mapping[str, float]) -> tuple[dict[str, float], list[str]]:
    """Return each model's cost, and the models that the table lacks.

    Those get the size in their name (`…-7b`), or else the middle of the known costs: a guess, to be shown.
    """
    known = sorted(table[model] for model in models if model in table) or [1.0]
    costs, guessed = {}, []
    for model in models:
        size = _SIZE.search(model)
        costs[model] = float(table.get(model, float(size[1]) if size else known[len(known) // 2]))
        if model not in table:
            guessed.append(model)
    return costs, guessed


def call_tokens(prompt: str) -> float:
    """Return the tokens that a call is charged for: the prompt's characters / 4, and 150 of answer."""
    return len(prompt) / 4 + 150


def _own(path: Path, limits: Limits) -> dict[str, float]:
    with path.open("rb") as stream:
        data = stream.read(limits.costs_bytes + 1)
    if len(data) > limits.costs_bytes:
        raise RouterError(f"{path}: more than {limits.costs_bytes} bytes", subject=str(path))
    table = parse_json(data, subject=str(path))
    if not isinstance(table, dict):
        raise RouterError(f"{path}: not a JSON object of model to cost", subject=str(path))
    for model, cost in table.items():
        if isinstance(cost, bool) or not isinstance(cost, int | float) or cost < 0:
            raise RouterError(f"{path}: cost of {model[:80]!r} is not a number from 0 up", subject=str(path))
    return table
