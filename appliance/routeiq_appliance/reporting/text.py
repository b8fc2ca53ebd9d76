"""Values of a report as text: exact decimals, JSON, cells of CSV that no spreadsheet takes for a formula."""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from routeiq_appliance.money import dollars

__all__ = ["amount", "csv_line", "json_text"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What spreadsheets evaluate a cell for that begins with it."""


def amount(pico: int | None) -> str:
    """Return pico-dollars as a plain decimal of dollars, without trailing zeros; nothing for what is not known."""
    return "" if pico is None else _plain(dollars(pico))


def csv_line(cells: Iterable[str | int | None]) -> str:
    """Return one line (RFC 4180); a name that looks like a formula gets an apostrophe in front."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow([_cell(cell) for cell in cells])
    return line.getvalue()


def json_text(value: Any) -> str:
    """Return compact JSON; a `Decimal` is a number with all its digits, an instant RFC 3339 in UTC."""
    if isinstance(value, Mapping):
        return (
            "{" + ",".join(f"{json_text(str(name))}:{json_text(item)}" for name, item in value.items()) + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(json_text, value)) + "]"
    if isinstance(value, Decimal):
        return _plain(value)
    if isinstance(value, datetime):
        return json.dumps(value.astimezone(UTC).isoformat().replace("+00:00", "Z"))
    return json.dumps(value, ensure_ascii=False)


def _cell(value: str | int | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return str(value)


def _plain(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
