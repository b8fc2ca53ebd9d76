"""What each strategy was measured to be worth: `measured.json` beside this file, which `make bench-router` writes.

No figure is written by hand; a strategy that is not in the file has not been measured.
"""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from routeiq_router.errors import RouterError
from routeiq_router.strict_json import parse_json

__all__ = ["MEASURED_FILE", "parse_measured", "read_measured", "shown"]

MEASURED_FILE = "measured.json"
_FIGURES = ("gain", "low", "high")


def read_measured() -> dict[str, dict[str, dict[str, Any]]]:
    """Return figures by strategy and data file; empty where this build has none. Raises `RouterError`."""
    file = files(__package__) / MEASURED_FILE
    return parse_measured(file.read_bytes()) if file.is_file() else {}


def parse_measured(data: bytes) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the `strategies` of the file's content; raises `RouterError` for anything else."""
    value = parse_json(data, subject=MEASURED_FILE)
    found = value.get("strategies") if isinstance(value, dict) else None
    if not isinstance(found, dict) or not all(
        isinstance(sets, dict) and all(isinstance(figures, dict) for figures in sets.values())
        for sets in found.values()
    ):
        raise RouterError(
            f"{MEASURED_FILE}: not a table of figures by strategy and data file", subject=MEASURED_FILE
        )
    return found


def shown(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Return one strategy's gains over the hull of single models as text, a data file each."""
    said = []
    for name, row in sorted(figures.items()):
        gain, low, high = (row.get(key) for key in _FIGURES)
        if all(isinstance(value, int | float) for value in (gain, low, high)):
            said.append(f"{gain:+.4f} [{low:+.4f}, {high:+.4f}] on {name}")
    return "; ".join(said) or "not measured"
