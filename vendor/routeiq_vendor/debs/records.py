"""Reads apt's words: the plan of `apt-get --simulate` and the records of `apt-cache show`. Pure."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from debian.deb822 import Packages
from pydantic import ValidationError

from routeiq_vendor.debs.lock import LockedDeb
from routeiq_vendor.errors import DownloadError

__all__ = ["Record", "Relation", "read_records", "read_simulation"]

_INST = re.compile(r"Inst (?P<name>\S+) (?:\[\S+\] )?\((?P<version>\S+) (?P<releases>.+) \[\w+\]\)")


@dataclass(frozen=True)
class Relation:
    """One alternative of a dependency: a name and, if any, an operator (`>=`, `=`, …) with a version."""

    name: str
    operator: str | None = None
    version: str | None = None


@dataclass(frozen=True)
class Record:
    """A binary package as the archive describes it. `depends` is a list of alternatives, in order."""

    name: str
    deb: LockedDeb
    depends: tuple[tuple[Relation, ...], ...]
    provides: frozenset[str]


def read_simulation(text: str) -> dict[str, str]:
    """Return name → version of everything that apt would install; refuses what is not from Debian."""
    plan = {}
    for line in text.splitlines():
        match = _INST.match(line)
        if not match:
            continue
        name = match["name"]
        if not any(release.strip().startswith("Debian") for release in match["releases"].split(",")):
            raise DownloadError(
                f"{name} {match['version']}: apt would take it from {match['releases']}, not from Debian",
                subject=name,
            )
        plan[name] = match["version"]
    return plan


def _relations(entry: Packages) -> tuple[tuple[Relation, ...], ...]:
    groups = [*entry.relations["pre-depends"], *entry.relations["depends"]]
    return tuple(
        tuple(Relation(one["name"], *(one["version"] or (None, None))) for one in alternatives)
        for alternatives in groups
    )


def read_records(text: str) -> Iterator[Record]:
    """Yield the records of `apt-cache show`; one without a SHA-256 (an installed package's) is passed over.

    Raises `DownloadError` for a record that does not say what a lock needs.
    """
    for entry in _paragraphs(text):
        if "SHA256" not in entry or "Filename" not in entry:
            continue
        try:
            yield _record(entry)
        except (ValidationError, KeyError, ValueError) as error:
            name = entry.get("Package", "a package")
            raise DownloadError(f"{name}: apt's record of it cannot be read", subject=name) from error


def _record(entry: Packages) -> Record:
    source, _, version = entry.get("Source", entry["Package"]).partition(" ")
    return Record(
        name=entry["Package"],
        deb=LockedDeb(
            version=entry["Version"],
            source=source,
            source_version=version.strip("()") or entry["Version"],
            filename=entry["Filename"].removeprefix("./"),
            sha256=entry["SHA256"],
            size=int(entry["Size"]),
        ),
        depends=_relations(entry),
        provides=frozenset(one["name"] for group in entry.relations["provides"] for one in group),
    )


def _paragraphs(text: str) -> Iterable[Packages]:
    iterator: Iterable[Packages] = Packages.iter_paragraphs(text, use_apt_pkg=False)
    return iterator
