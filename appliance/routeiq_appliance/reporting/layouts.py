"""The forms of a report. Each turns pages of rows into text as they come, so none holds more than a page."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from routeiq_appliance.reporting.columns import account_fields, name_fields, sum_fields
from routeiq_appliance.reporting.text import amount, csv_line, json_text
from routeiq_appliance.state.reconcile import Reconciliation
from routeiq_appliance.state.reports import Group, Row, Sums, Wanted

__all__ = ["CsvLayout", "JsonLayout", "Layout", "TableLayout"]


class Layout(Protocol):
    """One form: its text is `head`, `page` of each page, `tail`."""

    groups: Sequence[Group]
    """What the rows must be grouped by."""

    def head(self) -> str:
        """Return what comes before the rows."""

    def page(self, rows: Sequence[Row]) -> str:
        """Return some rows."""

    def tail(self, total: Sums, account: Reconciliation, *, reconciled: bool) -> str:
        """Return what comes after the rows."""


class CsvLayout:
    """Comma-separated values: one line of names, one line per row; money as exact decimals, no price as nothing."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = groups

    def head(self) -> str:
        """Return the line of names."""
        empty = Row((None,) * len(self.groups), (None,) * len(self.groups), Sums())
        return csv_line([*name_fields(self.groups, empty), *sum_fields(empty.sums)])

    def page(self, rows: Sequence[Row]) -> str:
        """Return a line per row."""
        return "".join(csv_line(_cells(self.groups, row)) for row in rows)

    def tail(self, total: Sums, account: Reconciliation, *, reconciled: bool) -> str:
        """Return nothing: a spreadsheet's sum over a column must not count a line of totals."""
        del total, account, reconciled
        return ""


class JsonLayout:
    """One JSON object: what was asked for, `rows`, their `total`, and the `reconciliation`."""

    def __init__(self, groups: Sequence[Group], wanted: Wanted) -> None:
        self.groups = groups
        self._wanted = wanted
        self._first = True

    def head(self) -> str:
        """Return all up to the rows."""
        wanted = {"start": self._wanted.start, "end": self._wanted.end}
        return f'{{"group_by":{json_text(list(self.groups))},"period":{json_text(wanted)},"rows":['

    def page(self, rows: Sequence[Row]) -> str:
        """Return the rows, with the commas between."""
        text = ",".join(json_text({**name_fields(self.groups, row), **sum_fields(row.sums)}) for row in rows)
        separator = "" if self._first or not text else ","
        self._first = self._first and not text
        return separator + text

    def tail(self, total: Sums, account: Reconciliation, *, reconciled: bool) -> str:
        """Return the rest of the object."""
        rest: dict[str, Any] = {
            "total": sum_fields(total), "reconciled": reconciled, "reconciliation": account_fields(account),
        }  # fmt: skip
        return f"],{json_text(rest)[1:]}"


class TableLayout:
    """Columns for people: it holds all rows, as their widths are known at the end only."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = groups
        self._rows: list[list[str]] = []

    def head(self) -> str:
        """Return nothing yet."""
        return ""

    def page(self, rows: Sequence[Row]) -> str:
        """Return nothing yet."""
        self._rows += [
            ["" if cell is None else str(cell) for cell in _cells(self.groups, row)] for row in rows
        ]
        return ""

    def tail(self, total: Sums, account: Reconciliation, *, reconciled: bool) -> str:
        """Return the table."""
        del account, reconciled
        empty = Row((None,) * len(self.groups), (None,) * len(self.groups), total)
        names = list(name_fields(self.groups, empty))
        head = [name.upper() for name in (*names, *sum_fields(total))]
        last = [str(cell or "") for cell in _cells(self.groups, empty)]
        for place, cell in enumerate(_cells((), Row((), (), total)), len(names)):
            last[place] = str(cell)
        if names:
            last[0] = "all"
        table = [head, *(self._rows if names else []), last]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        return "".join("  ".join(_aligned(line, widths, left=len(names))).rstrip() + "\n" for line in table)


def _cells(groups: Sequence[Group], row: Row) -> list[str | int | None]:
    sums: dict[str, str | int | None] = {
        **sum_fields(row.sums),
        "spend": amount(row.sums.spend),
        "estimated_spend": amount(row.sums.estimated_spend),
    }
    return [*name_fields(groups, row).values(), *sums.values()]


def _aligned(line: Sequence[str], widths: Iterable[int], *, left: int) -> Iterable[str]:
    for place, (cell, width) in enumerate(zip(line, widths, strict=True)):
        yield cell.ljust(width) if place < left else cell.rjust(width)
