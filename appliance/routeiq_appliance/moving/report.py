"""What was carried, what is different, and what stays behind with the reason: as JSON and as text.

Counts are exact; of the names of one reason only so many are kept. No secret is in it: keys go by alias or hint.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Report", "Tally", "report_text"]

_NAMES_IN_TEXT = 5


@dataclass(slots=True)
class Tally:
    """Of one kind of row."""

    found: int = 0
    carried: int = 0
    already_here: int = 0
    not_carried: int = 0


@dataclass(slots=True)
class _Reason:
    count: int = 0
    names: list[str] = field(default_factory=list)


class Report:
    """Filled while rows are moved; `kinds` are the words for their tables, in the order of the report."""

    def __init__(
        self, source: str, target: str, kinds: Iterable[str], *, dry_run: bool, most_names: int
    ) -> None:
        self._source = source
        self._target = target
        self._dry_run = dry_run
        self._most_names = most_names
        self.tallies = {kind: Tally() for kind in kinds}
        self._changed: dict[tuple[str, str], _Reason] = {}
        self._held: dict[tuple[str, str], _Reason] = {}
        self._others: dict[str, tuple[int, str]] = {}
        self.notes: list[str] = []

    def already_here(self, kind: str) -> None:
        """Count a row that an earlier run, or an admin, has brought."""
        self.tallies[kind].already_here += 1

    def carried(self, kind: str, name: str, changes: Iterable[str]) -> None:
        """Count a row that was written, with what is different."""
        self.tallies[kind].carried += 1
        for change in changes:
            self._note(self._changed, kind, change, name)

    def held(self, kind: str, name: str, reason: str) -> None:
        """Count a row that stays behind."""
        self.tallies[kind].not_carried += 1
        self._note(self._held, kind, reason, name)

    def other(self, table: str, rows: int, reason: str) -> None:
        """Tell of a table of which nothing is carried."""
        self._others[table] = (rows, reason)

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        return {
            "source": self._source,
            "database": self._target,
            "dry_run": self._dry_run,
            "rows": {
                kind: {
                    "found": tally.found,
                    "carried": tally.carried,
                    "already_here": tally.already_here,
                    "not_carried": tally.not_carried,
                }
                for kind, tally in self.tallies.items()
            },
            "changed": list(_reasons(self._changed)),
            "not_carried": list(_reasons(self._held)),
            "other_tables": [
                {"table": table, "rows": rows, "reason": reason}
                for table, (rows, reason) in sorted(self._others.items())
            ],
            "notes": self.notes,
        }

    def _note(self, where: dict[tuple[str, str], _Reason], kind: str, text: str, name: str) -> None:
        reason = where.setdefault((kind, text), _Reason())
        reason.count += 1
        if len(reason.names) < self._most_names:
            reason.names.append(name)


def report_text(report: Mapping[str, Any]) -> str:
    """Return the report as text."""
    return "\n".join(_lines(report))


def _lines(report: Mapping[str, Any]) -> Iterable[str]:
    head = ("", "FOUND", "CARRIED", "ALREADY HERE", "NOT CARRIED")
    rows = [
        (kind, *(str(tally[name]) for name in ("found", "carried", "already_here", "not_carried")))
        for kind, tally in report["rows"].items()
    ]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        cells = (
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()
    yield from _section("carried, and different", report["changed"])
    yield from _section("not carried", report["not_carried"])
    others = [
        f"  {item['table']}: {item['reason']} ({item['rows']} {'row' if item['rows'] == 1 else 'rows'})"
        for item in report["other_tables"]
    ]
    if others:
        yield from ("", "tables that stay behind:", *others)
    if report["notes"]:
        yield from ("", "notes:", *(f"  {note}" for note in report["notes"]))
    yield ""
    verb = "would be brought to" if report["dry_run"] else "brought to"
    yield f"{report['source']}: {verb} {report['database']}"


def _section(title: str, reasons: list[Mapping[str, Any]]) -> Iterable[str]:
    if not reasons:
        return
    yield from ("", f"{title}:")
    for item in reasons:
        shown = ", ".join(item["names"][:_NAMES_IN_TEXT])
        more = item["count"] - min(_NAMES_IN_TEXT, len(item["names"]))
        kind = item["kind"].removesuffix("s") if item["count"] == 1 else item["kind"]
        yield f"  {item['count']} {kind}: {item['reason']}"
        yield f"    {shown}{f', and {more} more' if more else ''}"


def _reasons(found: Mapping[tuple[str, str], _Reason]) -> Iterable[dict[str, Any]]:
    for (kind, text), reason in sorted(found.items()):
        yield {"kind": kind, "reason": text, "count": reason.count, "names": reason.names}
