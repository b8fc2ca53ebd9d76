"""Which known vulnerabilities a bundle has: its bill of materials held against advisories. Pure.

A component is matched by ecosystem and name (a Debian package by its source package, which Debian's advisories name),
its version by the order of its own kind. What cannot be decided, because a version cannot be compared, is a finding
that says so, never silence. Advisories for one flaw (a GHSA and a PYSEC of one CVE) become one finding.
Data is judged first: no advisories for a kind of package that the bundle holds is an error, not "0 findings".
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from routeiq_images.errors import ImagesError
from routeiq_images.proof.vex import Statement, settle
from routeiq_vendor.errors import LockError
from routeiq_vendor.osv.records import Affected, Record, affects, parse_time
from routeiq_vendor.osv.severity import Severity, worst

__all__ = ["Component", "Coverage", "Finding", "Scan", "components_of", "match"]

_KINDS = {"pypi": "PyPI", "deb": "Debian", "npm": "npm"}
_OTHERS = {"generic", "huggingface", "oci"}


@dataclass(frozen=True, slots=True)
class Component:
    """One package: `subject` is the name that advisories use and `version` the version that they compare.

    `purls` are its own and its source package's; `images` those that hold it; `release` is Debian's (`12`).
    """

    kind: str
    name: str
    subject: str
    version: str
    purls: tuple[str, ...]
    images: tuple[str, ...]
    release: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A vulnerability in the bundle. `status` is `open`, or what a VEX says of it, `why` its justification."""

    id: str
    names: tuple[str, ...]
    kind: str
    subject: str
    version: str
    components: tuple[str, ...]
    images: tuple[str, ...]
    severity: Severity
    fixed: tuple[str, ...]
    summary: str
    status: str = "open"
    why: str = ""

    @property
    def open(self) -> bool:
        """Whether it counts: nobody said that the bundle is not affected, or mended."""
        return self.status not in {"not_affected", "fixed"}


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was held against what: components and records per ecosystem, the newest record's time."""

    ecosystem: str
    components: int
    records: int
    newest: str


@dataclass(frozen=True, slots=True)
class Scan:
    """The outcome; `unscanned` names components of kinds that no advisories are about, or that have no data."""

    findings: tuple[Finding, ...]
    coverage: tuple[Coverage, ...]
    unscanned: tuple[str, ...]

    def failing(self, least: Severity) -> list[Finding]:
        """Return the open findings at or above `least`; unknown severity counts as above."""
        return [item for item in self.findings if item.open and item.severity >= least]


def components_of(sbom: bytes, what: str) -> tuple[list[Component], list[str]]:
    """Return the packages of a CycloneDX document, and the names of those that no advisories are about.

    Raises `ImagesError` for what is no bill of materials of a bundle.
    """
    try:
        document = json.loads(sbom)
        if document["bomFormat"] != "CycloneDX":
            raise ImagesError(f"{what}: no CycloneDX document", subject=what)
        holders = _holders(document["dependencies"])
        found, others = [], []
        for item in document["components"]:
            component = _component(item, holders)
            if component is None:
                others.append(f"{item['name']} {item['version']}")
            else:
                found.append(component)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ImagesError(f"{what}: no bill of materials of a bundle: {error!r}", subject=what) from None
    return found, sorted(set(others))


def match(
    components: Sequence[Component],
    others: Sequence[str],
    records: Iterable[Record],
    statements: Sequence[Statement] = (),
    *,
    partial: bool = False,
) -> Scan:
    """Hold components against advisories and a VEX.

    Raises `ImagesError` when there is no advisory at all, or (unless `partial`) none for a kind that is there.
    """
    by_name: dict[tuple[str, str], list[Component]] = {}
    for component in components:
        by_name.setdefault((component.kind, component.subject), []).append(component)
    counts = dict.fromkeys(_KINDS, 0)
    newest = dict.fromkeys(_KINDS, "")
    found: dict[tuple[str, str, str, str], Finding] = {}
    for record in records:
        for kind in {item.kind for item in record.affected}:
            counts[kind] += 1
            if not newest[kind] or parse_time(record.modified) > parse_time(newest[kind]):
                newest[kind] = record.modified
        for item in record.affected:
            for component in by_name.get((item.kind, item.name), ()):
                finding = _finding(record, item, component)
                if finding is not None:
                    key = (finding.id, finding.kind, finding.subject, finding.version)
                    found[key] = _merged(found[key], finding) if key in found else finding
    coverage, unscanned = _coverage(components, counts, newest, partial=partial)
    judged = [_with_vex(item, statements, components) for item in found.values()]
    ordered = sorted(judged, key=lambda item: (not item.open, -item.severity, item.subject, item.id))
    return Scan(tuple(ordered), coverage, (*unscanned, *others))


def _holders(dependencies: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return bom-ref → the images that hold it."""
    holders: dict[str, list[str]] = {}
    for entry in dependencies:
        if entry["ref"].startswith("image:"):
            for ref in entry.get("dependsOn", ()):
                holders.setdefault(ref, []).append(entry["ref"].removeprefix("image:"))
    return holders


def _component(item: Mapping[str, Any], holders: Mapping[str, Sequence[str]]) -> Component | None:
    purl = item.get("purl") or ""
    kind = purl.removeprefix("pkg:").partition("/")[0]
    if kind not in _KINDS:
        if kind not in _OTHERS:
            raise ValueError(f"{item['name']}: a component of the unknown kind {kind!r}")
        return None
    said = {entry["name"]: entry["value"] for entry in item.get("properties", ())}
    name, version = str(item["name"]), str(item["version"])
    subject, compared, release = name, version, ""
    purls: tuple[str, ...] = (purl,)
    if kind == "deb":
        subject, compared = said["routeiq:source"], said["routeiq:source_version"]
        purls = (purl, f"pkg:deb/debian/{subject}@{compared}")
        release = purl.rpartition("distro=debian-")[2].partition("&")[0]
    images = tuple(sorted(holders.get(str(item["bom-ref"]), ())))
    return Component(kind, name, subject, compared, purls, images, release)


def _finding(record: Record, item: Affected, component: Component) -> Finding | None:
    release = item.ecosystem.partition(":")[2]
    if item.kind == "deb" and release and release != component.release:
        return None
    why = ""
    try:
        if not affects(item, component.version):
            return None
    except LockError as error:
        why = f"could not be decided: {error}"
    return Finding(
        id=_primary(record),
        names=record.names,
        kind=component.kind,
        subject=component.subject,
        version=component.version,
        components=(component.purls[0],),
        images=component.images,
        severity=worst([item.severity, record.severity]),
        fixed=item.fixed,
        summary=record.summary,
        why=why,
    )


def _primary(record: Record) -> str:
    """Return the CVE where the record is about exactly one, else its own id: databases name one flaw differently."""
    cves = [name for name in record.names if name.startswith("CVE-")]
    return cves[0] if len(cves) == 1 else record.id


def _merged(one: Finding, two: Finding) -> Finding:
    return replace(
        one,
        names=tuple(dict.fromkeys([*one.names, *two.names])),
        components=tuple(dict.fromkeys([*one.components, *two.components])),
        images=tuple(sorted({*one.images, *two.images})),
        severity=worst([one.severity, two.severity]),
        fixed=tuple(dict.fromkeys([*one.fixed, *two.fixed])),
        summary=one.summary or two.summary,
        why=one.why or two.why,
    )


def _with_vex(finding: Finding, statements: Sequence[Statement], components: Sequence[Component]) -> Finding:
    """Return a finding with the VEX's word: it must settle every component of the finding to settle the finding."""
    if not statements:
        return finding
    purls = {component.purls[0]: component.purls for component in components}
    said = [
        settle(statements, [finding.id, *finding.names], purls[purl], finding.version)
        for purl in finding.components
    ]
    if any(one is None for one in said):
        return finding
    known = [one for one in said if one is not None]
    held = next((one for one in known if not one.settles), known[-1])
    return replace(finding, status=held.status, why=held.why)


def _coverage(
    components: Sequence[Component], counts: Mapping[str, int], newest: Mapping[str, str], *, partial: bool
) -> tuple[tuple[Coverage, ...], list[str]]:
    if not any(counts.values()):
        raise ImagesError(
            "the data holds no advisories for PyPI, Debian or npm: nothing was scanned",
            hint="make it from the ecosystems' dumps: routeiq vendor osv",
        )
    held = dict.fromkeys(_KINDS, 0)
    for component in components:
        held[component.kind] += 1
    lacking = [kind for kind, count in held.items() if count and not counts[kind]]
    if lacking and not partial:
        names = ", ".join(f"{_KINDS[kind]} ({held[kind]} packages)" for kind in lacking)
        raise ImagesError(
            f"the data holds no advisories for {names}, which the bundle has",
            hint="add that ecosystem's dump, or say --partial to scan the rest",
        )
    unscanned = [f"{item.name} {item.version}" for item in components if item.kind in lacking]
    rows = [Coverage(_KINDS[kind], held[kind], counts[kind], newest[kind]) for kind in _KINDS if counts[kind]]
    return tuple(rows), sorted(unscanned)
