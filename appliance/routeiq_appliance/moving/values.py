"""A row of text → typed values; what cannot be kept raises `UnfitError` with the column's name. Pure.

Bounds are those of the management API: what it would refuse to write is not brought in by another door.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from routeiq_appliance.money import pico
from routeiq_appliance.moving.staging import Row

__all__ = ["MOST_DOLLARS", "UnfitError", "Values", "read_array"]

MOST_DOLLARS = 9_000_000
"""SQLite counts pico-dollars in 64 bits; `api.management.fields` has the same bound."""
_MOST_COUNT, _MOST_PARALLEL = 10**12, 1_000_000
_METADATA_BYTES = 64 << 10
_NUMBER = re.compile(r"-?[0-9]{1,19}")
_DECIMAL_CHARS = 400
"""Digits of the longest double that PostgreSQL prints are 17; of a NUMERIC any."""
_ELEMENT = re.compile(r'"((?:[^"\\]|\\.)*)"|([^",{}\\\s][^",{}\\]*)', re.DOTALL)


class UnfitError(Exception):
    """A value cannot be kept here; the message names the column and the reason, never the value."""


class Values:
    """Reads the columns of one row. A column that is absent is NULL: older schemas lack some."""

    def __init__(self, row: Row) -> None:
        self._row = row

    def text(self, column: str) -> str | None:
        """Return the value as it is; empty is None."""
        return self._row.get(column) or None

    def name(self, column: str, *, most: int = 128) -> str | None:
        """Return an id or alias; raises `UnfitError` when it is longer than `most` or holds control characters."""
        value = self.text(column)
        if value is None:
            return None
        # PostgreSQL keeps no NUL, UTF-8 no lone surrogate; the management API refuses what is not printable.
        if len(value) > most:
            raise UnfitError(f"{column}: longer than {most} characters")
        if not value.isprintable():
            raise UnfitError(f"{column}: holds characters that cannot be printed")
        return value

    def names(self, column: str) -> tuple[str, ...]:
        """Return a `text[]`, each element once."""
        value = self.text(column)
        if value is None:
            return ()
        found = read_array(value)
        if found is None:
            raise UnfitError(f"{column}: not a list of texts")
        return tuple(dict.fromkeys(found))

    def flag(self, column: str) -> bool:
        """Return a boolean; NULL is false."""
        value = self.text(column)
        if value not in {None, "t", "f"}:
            raise UnfitError(f"{column}: not a boolean")
        return value == "t"

    def count(self, column: str, *, parallel: bool = False) -> int | None:
        """Return a limit; a negative one lets nothing through, one beyond all use is the largest that is kept."""
        value = self.text(column)
        if value is None:
            return None
        if not _NUMBER.fullmatch(value):
            raise UnfitError(f"{column}: not a whole number")
        return max(0, min(int(value), _MOST_PARALLEL if parallel else _MOST_COUNT))

    def dollars(self, column: str) -> int | None:
        """Return pico-dollars, exact to the twelfth decimal."""
        value = self.text(column)
        return None if value is None else self.amount(value, column)

    @staticmethod
    def amount(value: str, column: str) -> int:
        """Return an amount of dollars in pico-dollars; negative is nothing. Raises `UnfitError`."""
        try:
            amount = Decimal(value) if len(value) <= _DECIMAL_CHARS else Decimal("NaN")
        except InvalidOperation:
            amount = Decimal("NaN")
        if not amount.is_finite():
            raise UnfitError(f"{column}: not a finite number")
        if amount > MOST_DOLLARS:
            raise UnfitError(f"{column}: more than {MOST_DOLLARS} dollars cannot be kept")
        # Below any pico-dollar the exponent may be as small as the writer liked.
        return 0 if amount <= 0 or amount.adjusted() < -14 else pico(amount)

    def instant(self, column: str) -> datetime | None:
        """Return a timestamp; without a zone it is UTC, as LiteLLM writes it."""
        value = self.text(column)
        if value is None:
            return None
        try:
            found = datetime.fromisoformat(value)
            found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
            # Periods are counted from it; the arithmetic must stay within the calendar.
            if (
                not datetime(1970, 1, 1, tzinfo=UTC)
                <= found
                <= datetime(9999, 1, 1, tzinfo=UTC) - timedelta(1)
            ):
                raise ValueError(value)
        except (ValueError, OverflowError):
            raise UnfitError(f"{column}: not a time between 1970 and 9999") from None
        return found

    def json(self, column: str) -> Any:
        """Return what a `jsonb` says; None for NULL."""
        value = self.text(column)
        if value is None:
            return None
        try:
            return json.loads(value, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise UnfitError(f"{column}: not JSON") from None

    def object(self, column: str) -> dict[str, Any]:
        """Return a JSON object; NULL and empty are `{}`. A string that holds one is taken apart: older LiteLLM."""
        value = self.json(column)
        if isinstance(value, str) and value.startswith("{"):
            try:
                value = json.loads(value, parse_constant=_no_constant)
            except (ValueError, RecursionError):
                raise UnfitError(f"{column}: not a JSON object") from None
        if value is None or value == []:
            return {}
        if not isinstance(value, dict):
            raise UnfitError(f"{column}: not a JSON object")
        return value

    def metadata(self, column: str = "metadata") -> dict[str, Any]:
        """Return metadata that can be kept; raises `UnfitError`."""
        found = self.object(column)
        try:
            text = json.dumps(found, allow_nan=False, ensure_ascii=False)
            size = len(text.encode("utf-8"))
        except (ValueError, RecursionError):
            raise UnfitError(f"{column}: holds what JSON cannot say in UTF-8") from None
        if size > _METADATA_BYTES:
            raise UnfitError(f"{column}: longer than 64 KiB")
        if "\\u0000" in text.replace("\\\\", ""):
            raise UnfitError(f"{column}: holds the character U+0000")
        return found


def read_array(text: str) -> list[str] | None:
    """Return the elements of a one-dimensional array of texts as PostgreSQL prints it; None when it is none."""
    if not (text.startswith("{") and text.endswith("}")) or len(text) < 2:
        return None
    found: list[str] = []
    position, end = 1, len(text) - 1
    while position < end:
        match = _ELEMENT.match(text, position, end)
        if match is None:
            return None
        if match[1] is not None:
            found.append(re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL))
        elif match[2] != "NULL":
            found.append(match[2])
        position = match.end()
        if position < end:
            if text[position] != "," or position + 1 == end:
                return None
            position += 1
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(name)
