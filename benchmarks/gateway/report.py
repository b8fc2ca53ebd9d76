"""Figures against their targets, as a table and as results.json. A missed target is said, and fails nothing."""

import json
import operator
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["Figure", "at_least", "at_most", "equal", "reported", "save", "table"]

_RESULTS = Path(__file__).with_name("results.json")
_SIGNS = {"≥": operator.ge, "≤": operator.le, "=": operator.eq}


@dataclass(frozen=True)
class Figure:
    """One number. `met` is None without a target."""

    name: str
    measured: float | int | None
    unit: str = ""
    target: str = ""
    met: bool | None = None
    note: str = ""


def at_least(name: str, measured: float, target: float, unit: str = "x", note: str = "") -> Figure:
    return _judged(name, measured, "≥", target, unit, note)


def at_most(name: str, measured: float, target: float, unit: str, note: str = "") -> Figure:
    return _judged(name, measured, "≤", target, unit, note)


def equal(name: str, measured: int, target: int, unit: str, note: str = "") -> Figure:
    return _judged(name, measured, "=", target, unit, note)


def reported(name: str, measured: float | None, unit: str, note: str = "") -> Figure:
    """A figure that has no target."""
    return Figure(name, None if measured is None else round(measured, 3), unit, note=note)


def _judged(name: str, measured: float, sign: str, target: float, unit: str, note: str) -> Figure:
    met = bool(_SIGNS[sign](measured, target))
    shown = measured if isinstance(measured, int) else round(measured, 3)
    return Figure(name, shown, unit, f"{sign} {target:g}" if sign != "=" else f"= {target}", met, note)


def table(figures: Sequence[Figure]) -> str:
    """Return Markdown."""
    lines = ["| figure | measured | target | |", "|---|---|---|---|"]
    for figure in figures:
        measured = "n/a" if figure.measured is None else f"{figure.measured:,} {figure.unit}".strip()
        verdict = {True: "met", False: "MISSED", None: ""}[figure.met]
        note = f" ({figure.note})" if figure.note else ""
        lines.append(f"| {figure.name}{note} | {measured} | {figure.target} | {verdict} |")
    return "\n".join(lines)


def save(
    machine: Mapping[str, Any],
    settings: Mapping[str, Any],
    figures: Sequence[Figure],
    details: Mapping[str, Any],
    *,
    complete: bool,
) -> Path:
    """Write results.json; a run of some parts keeps the others' figures, each part with its own date."""
    parts: dict[str, Any] = {}
    if not complete and _RESULTS.exists():
        parts = json.loads(_RESULTS.read_text(encoding="utf-8")).get("parts", {})
    for part, detail in details.items():
        parts[part] = {
            "date": machine["date"],
            "figures": [asdict(figure) for figure in figures if figure in detail["figures"]],
            "details": detail["details"],
        }
    result = {"machine": machine, "settings": settings, "parts": parts}
    _RESULTS.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return _RESULTS
