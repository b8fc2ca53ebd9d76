"""What is wanted of a choice: weights of quality, cost and latency, or a quality floor. Pure; reads no prompt.

Written `quality=1,cost=0.3,latency=0.1` (what is left out: quality 1, the others 0), or `floor=0.8` (predicted quality
at least 0.8), or `floor=95%` (at least that share of the best candidate's); in YAML and JSON also as a mapping with
the same names. `decide.rank` says what the numbers do.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from routeiq_router.errors import RouterError

__all__ = ["Objective", "read_objective"]

_LARGEST_WEIGHT = 100.0
_LONGEST = 200
"""Characters of a text; more is refused before it is read."""
_WEIGHTS = ("quality", "cost", "latency")
_HINT = "write `quality=1,cost=0.3,latency=0.1`, `floor=0.8` or `floor=95%`"


@dataclass(frozen=True, slots=True)
class Objective:
    """Weights from 0 to 100, not all of them 0; or, with `floor` 0..1, no weights but the floor."""

    quality: float = 1.0
    cost: float = 0.0
    latency: float = 0.0
    floor: float | None = None
    of_best: bool = False
    """Whether `floor` is a share of the best candidate's quality."""

    def __str__(self) -> str:
        """Return the text that `read_objective` reads."""
        if self.floor is not None:
            return f"floor={_number(self.floor * 100)}%" if self.of_best else f"floor={_number(self.floor)}"
        weights = {"quality": self.quality, "cost": self.cost, "latency": self.latency}
        return ",".join(
            f"{name}={_number(value)}" for name, value in weights.items() if value or name == "quality"
        )


def read_objective(value: Any) -> Objective:
    """Return the objective that a text or a mapping says; raises `RouterError` that tells the fault."""
    given = _parts(value) if isinstance(value, str) else value
    if not isinstance(given, Mapping) or not given:
        raise _wrong("neither a text nor a mapping of names to numbers, or empty")
    for name in given:
        if name not in (*_WEIGHTS, "floor"):
            raise _wrong(f"unknown name {str(name)[:32]!r}")
    if "floor" in given:
        if len(given) > 1:
            raise _wrong("a floor and weights exclude each other")
        return _floor(given["floor"])
    weights = {name: _weight(name, number) for name, number in given.items()}
    weights.setdefault("quality", 1.0)
    if not any(weights.values()):
        raise _wrong("all weights are 0")
    return Objective(weights["quality"], weights.get("cost", 0.0), weights.get("latency", 0.0))


def _parts(text: str) -> dict[str, str]:
    if len(text) > _LONGEST:
        raise _wrong(f"longer than {_LONGEST} characters")
    found: dict[str, str] = {}
    for part in text.split(","):
        name, separator, number = (item.strip() for item in part.partition("="))
        if not separator:
            raise _wrong(f"{part.strip()[:32]!r} is not NAME=NUMBER")
        if name in found:
            raise _wrong(f"{name[:32]!r} is given twice")
        found[name] = number
    return found


def _weight(name: str, value: Any) -> float:
    number = _float(value)
    if number is None or not 0 <= number <= _LARGEST_WEIGHT:
        raise _wrong(f"{name}={str(value)[:32]!r} is not a number from 0 to {_LARGEST_WEIGHT:g}")
    return number


def _floor(value: Any) -> Objective:
    of_best = isinstance(value, str) and value.endswith("%")
    number = _float(value[:-1] if of_best else value)
    if number is not None and of_best:
        number /= 100
    if number is None or not 0 <= number <= 1:
        raise _wrong(f"floor={str(value)[:32]!r} is not a number from 0 to 1, nor 0% to 100%")
    return Objective(floor=number, of_best=of_best)


def _float(value: Any) -> float | None:
    """Return a finite number; a text is one in plain digits, so `1_0`, `nan` and other scripts' digits are none."""
    if isinstance(value, str):
        if not value or not value.isascii() or value.strip("+-.0123456789eE"):
            return None
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e9:
        return None
    return float(value) if math.isfinite(value) else None


def _number(value: float) -> str:
    return f"{value:.12g}"


def _wrong(what: str) -> RouterError:
    return RouterError(f"objective: {what}", subject="objective", hint=_HINT)
