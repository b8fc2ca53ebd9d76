"""Reads OSV records and says which versions they are about. Pure: bytes in, records out.

Only what matching needs is kept. Input is hostile: sizes, counts and depth have caps, a field of another type than the
schema's refuses the record by its name; fields that we do not read may hold anything.
Source: ossf.github.io/osv-schema 1.7, with its evaluation algorithm.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cmp_to_key
from typing import Any, NoReturn

from routeiq_vendor.errors import LockError
from routeiq_vendor.osv.severity import Severity, base_score, from_score, from_word, worst
from routeiq_vendor.versions import compare

__all__ = [
    "ECOSYSTEMS",
    "MAX_RECORD",
    "Affected",
    "Range",
    "Record",
    "affects",
    "kind_of",
    "parse_record",
    "parse_time",
]

ECOSYSTEMS: Mapping[str, str] = {"PyPI": "pypi", "Debian": "deb", "npm": "npm"}
"""OSV's name of an ecosystem, without a release → our kind of package; others are passed over."""
MAX_RECORD = 4 << 20  # bytes; the largest published ones, with long lists of versions, have about 2 MB
_MAX_ITEMS = 20_000  # of any list
_MAX_TEXT = 100_000  # characters
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,99}\Z")
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?Z\Z")


@dataclass(frozen=True, slots=True)
class Range:
    """A range of versions: events (`introduced`, `fixed`, `last_affected`, `limit`) with their versions."""

    events: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Affected:
    """One package of a record; `ecosystem` as OSV writes it (`Debian:12`), `name` as a lock does."""

    kind: str
    ecosystem: str
    name: str
    versions: frozenset[str]
    ranges: tuple[Range, ...]
    severity: Severity

    @property
    def fixed(self) -> tuple[str, ...]:
        """The versions that mend it."""
        return tuple(version for one in self.ranges for event, version in one.events if event == "fixed")


@dataclass(frozen=True, slots=True)
class Record:
    """An advisory: all its `names` (its id first), what it says, and what it is about."""

    id: str
    names: tuple[str, ...]
    modified: str
    withdrawn: bool
    summary: str
    severity: Severity
    affected: tuple[Affected, ...]


def kind_of(ecosystem: str) -> str | None:
    """Return our kind of an OSV ecosystem (`Debian:12` → `deb`), None for one that bundles hold nothing of."""
    return ECOSYSTEMS.get(ecosystem.partition(":")[0])


def parse_time(text: str) -> datetime:
    """Return an RFC 3339 time in UTC; raises `LockError` for anything else."""
    match = _TIME.match(text)
    try:
        if match:
            return datetime.strptime(match[1], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        pass
    raise LockError(f"{text[:40]!r}: no time in UTC")


def parse_record(raw: bytes, what: str) -> Record:
    """Return the record in `raw`; `what` names it in errors. Raises `LockError`."""
    if len(raw) > MAX_RECORD:
        raise LockError(f"{what}: {len(raw)} bytes, more than the {MAX_RECORD} allowed", subject=what)
    try:
        document = json.loads(raw)
    except RecursionError:
        raise LockError(f"{what}: nested too deeply", subject=what) from None
    except ValueError as error:
        raise LockError(f"{what}: not JSON: {error}", subject=what) from None
    read = _Reader(what)
    top = read.mapping(document, "the record")
    identifier = read.text(top, "id")
    if not _ID.match(identifier):
        read.refuse(f"id {identifier[:60]!r} is none")
    aliases = [*read.texts(top, "aliases"), *read.texts(top, "upstream")]
    modified = read.text(top, "modified")
    try:
        parse_time(modified)
    except LockError as error:
        read.refuse(f"modified: {error}")
    severities = [_severity(item, read) for item in read.mappings(top, "severity")]
    severities.append(_word(top, "database_specific", "severity"))
    return Record(
        id=identifier,
        names=tuple(dict.fromkeys([identifier, *aliases])),
        modified=modified,
        withdrawn="withdrawn" in top,
        summary=_shown(top.get("summary") or top.get("details") or ""),
        severity=worst(severities),
        affected=tuple(
            found for item in read.mappings(top, "affected") if (found := _affected(item, read)) is not None
        ),
    )


def affects(item: Affected, version: str) -> bool:
    """Tell whether `version` is one that the record is about; raises `LockError` when that cannot be compared."""
    if version in item.versions:
        return True
    return any(_within(one, item.kind, version) for one in item.ranges)


def _within(one: Range, kind: str, version: str) -> bool:
    """Evaluate a range as the schema's algorithm does: the last event at or below the version decides."""

    def order(left: tuple[str, str], right: tuple[str, str]) -> int:
        return _compare(kind, left[1], right[1])

    vulnerable = False
    for event, at in sorted(one.events, key=cmp_to_key(order)):
        distance = _compare(kind, version, at)
        if event == "introduced" and distance >= 0:
            vulnerable = True
        elif (event == "fixed" and distance >= 0) or (event == "last_affected" and distance > 0):
            vulnerable = False
    limits = [at for event, at in one.events if event == "limit"]
    return vulnerable and (not limits or any(at == "*" or _compare(kind, version, at) < 0 for at in limits))


def _compare(kind: str, one: str, two: str) -> int:
    """Compare versions; `0` in a record stands before all of them, whatever the ecosystem calls a version."""
    if "0" in (one, two):
        return (one != "0") - (two != "0")
    return compare(kind, one, two)


class _Reader:
    """Takes fields with the type that the schema gives them; a missing list is empty."""

    def __init__(self, what: str) -> None:
        self.what = what

    def refuse(self, fault: str) -> NoReturn:
        raise LockError(f"{self.what}: {fault}", subject=self.what)

    def mapping(self, value: Any, name: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.refuse(f"{name} is no object")
        return value

    def text(self, document: Mapping[str, Any], name: str) -> str:
        value = document.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= _MAX_TEXT:
            self.refuse(f"{name} is no text, or too long")
        return value

    def _items(self, document: Mapping[str, Any], name: str) -> list[Any]:
        value = document.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or len(value) > _MAX_ITEMS:
            self.refuse(f"{name} is no list, or too long")
        return value

    def texts(self, document: Mapping[str, Any], name: str) -> list[str]:
        items = self._items(document, name)
        if not all(isinstance(item, str) and 0 < len(item) <= 500 for item in items):
            self.refuse(f"{name} is no list of short texts")
        return items

    def mappings(self, document: Mapping[str, Any], name: str) -> Iterable[dict[str, Any]]:
        return [self.mapping(item, name) for item in self._items(document, name)]


def _affected(item: Mapping[str, Any], read: _Reader) -> Affected | None:
    package = item.get("package")
    if package is None:
        return None  # about a repository's commits only
    package = read.mapping(package, "package")
    ecosystem = read.text(package, "ecosystem")
    kind = kind_of(ecosystem)
    if kind is None:
        return None
    ranges = []
    for one in read.mappings(item, "ranges"):
        if one.get("type") == "GIT":
            continue
        ranges.append(_range(one, read))
    severities = [_severity(entry, read) for entry in read.mappings(item, "severity")]
    severities += [
        _word(item, "ecosystem_specific", "urgency"),
        _word(item, "ecosystem_specific", "severity"),
    ]
    return Affected(
        kind=kind,
        ecosystem=ecosystem,
        name=_name(kind, read.text(package, "name")),
        versions=frozenset(read.texts(item, "versions")),
        ranges=tuple(ranges),
        severity=worst(severities),
    )


def _range(one: Mapping[str, Any], read: _Reader) -> Range:
    events = []
    for event in read.mappings(one, "events"):
        for name, version in event.items():
            if name in {"introduced", "fixed", "last_affected", "limit"}:
                if not isinstance(version, str) or not 0 < len(version) <= 200:
                    read.refuse(f"event {name} has no version")
                events.append((name, version))
    if not any(name == "introduced" for name, _ in events):
        read.refuse("a range has no introduced event")
    return Range(tuple(events))


def _name(kind: str, name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower() if kind == "pypi" else name


def _severity(item: Mapping[str, Any], read: _Reader) -> Severity:
    score = read.text(item, "score")
    value = base_score(score)
    if value is not None:
        return from_score(value)
    return from_word(score)


def _word(document: Mapping[str, Any], place: str, name: str) -> Severity:
    """Return the severity in a field whose content is each database's own; any other content says nothing."""
    inside = document.get(place)
    word = inside.get(name) if isinstance(inside, dict) else None
    return from_word(word) if isinstance(word, str) else Severity.UNKNOWN


def _shown(text: Any) -> str:
    """Return one printable line for people; the full text stays in the record."""
    line = " ".join(str(text).split())[:200] if isinstance(text, str) else ""
    return "".join(letter if letter.isprintable() else "?" for letter in line)
