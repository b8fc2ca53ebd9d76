"""Asks everything in the locks for its licence: `routeiq vendor licences`, and the gate of every build.

`review` is for what a bundle is made of; `review_locks` for all locks, as far as the pool holds them. What nobody can
read is no answer: it is a fault like a forbidden licence.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from routeiq_signing.progress import Progress
from routeiq_vendor.debs.lock import DebsLock
from routeiq_vendor.documents import read_document
from routeiq_vendor.errors import LockError
from routeiq_vendor.fetch import Fetched
from routeiq_vendor.licences.metadata import deb_copyrights, debian_licence, wheel_licence
from routeiq_vendor.licences.policy import (
    Fact,
    Judged,
    LicencePolicy,
    Override,
    Use,
    judge,
    stale_overrides,
)
from routeiq_vendor.npm.lock import ConsoleLock, Wanted
from routeiq_vendor.weights.lock import WeightsLock
from routeiq_vendor.wheels.store import Wheel, WheelStore, load_lock
from routeiq_vendor.workspace import Workspace

__all__ = ["Review", "refuse_faults", "review", "review_locks"]

_LINKED = "gateway"
_LOCKS = ("gateway", "build", "node", "test", "export", "demo", "tools")
_FREE = re.compile(r"pool/(updates/)?main/")  # Debian's `main` holds free software only (policy 2.2.1)


@dataclass(frozen=True)
class Review:
    """Every thing with its licence, and the names of those that the pool lacks and so could not be read."""

    judged: tuple[Judged, ...]
    unread: tuple[str, ...]

    @property
    def faults(self) -> list[Judged]:
        """What may not be used."""
        return [item for item in self.judged if item.fault]

    def licences(self, kind: str) -> dict[tuple[str, str], str]:
        """Return (name, version) → SPDX expression of one kind."""
        return {(item.name, item.version): item.licence for item in self.judged if item.kind == kind}


def review(fetched: Fetched, workspace: Workspace, progress: Progress) -> Review:
    """Read the licences of all that a bundle is made of; raises `LockError` when one may not be used."""
    (debs,) = [lock.path for lock in fetched.locks if lock.path.endswith("debs.lock.json")]
    wheels = [(wheel, _use(name)) for name in _LOCKS for wheel in fetched.wheels.get(name, ())]
    found, _ = _read(wheels, read_document(workspace.root / debs, DebsLock), workspace, progress)
    refuse_faults(found)
    return found


def refuse_faults(found: Review) -> None:
    """Raise `LockError` naming all that may not be used."""
    faults = found.faults
    if faults:
        lines = [f"{item.kind} {item.name} {item.version} ({item.use}): {item.fault}" for item in faults]
        raise LockError(
            f"{len(faults)} licences are unknown or not allowed:\n  " + "\n  ".join(lines),
            subject=faults[0].name,
            hint="leave it out; or read its licence and say so, with the reason, in vendor/locks/licences.toml",
        )


def review_locks(workspace: Workspace, progress: Progress) -> Review:
    """Read the licences of everything that the locks name and the pool holds.

    Raises `LockError` for an override that fits nothing, when all could be read.
    """
    store = WheelStore(workspace.pool, workspace.torch_index)
    wheels: list[tuple[Wheel, Use]] = []
    unread: set[str] = set()
    for name in _LOCKS:
        held, missing = store.find(load_lock(workspace.locks / f"{name}.txt"))
        wheels += [(wheel, _use(name)) for wheel in held]
        unread |= {f"pypi {pin.name}" for pin in missing}
    lock = read_document(workspace.locks / "debs.lock.json", DebsLock)
    found, stale = _read(wheels, lock, workspace, progress)
    unread |= set(found.unread)
    if stale and not unread:
        one = stale[0]
        raise LockError(
            f"licences.toml: the override of {one.kind} {one.name} {one.versions} fits nothing in the locks",
            subject=one.name,
            hint="remove it, or give it the versions that were read",
        )
    return Review(found.judged, tuple(sorted(unread)))


def _use(lock: str) -> Use:
    return Use.LINKED if lock == _LINKED else Use.TOOL


def _read(
    wheels: Sequence[tuple[Wheel, Use]], lock: DebsLock, workspace: Workspace, progress: Progress
) -> tuple[Review, list[Override]]:
    """Return the review of these wheels (the first use of one counts), packages and models, and stale overrides."""
    policy = read_document(workspace.locks / "licences.toml", LicencePolicy)
    once: dict[tuple[str, str], tuple[Wheel, Use]] = {}
    for wheel, use in wheels:
        once.setdefault((wheel.name, wheel.version), (wheel, use))
    facts: list[Fact] = []
    texts: dict[str, str] = {}
    unread: set[str] = set()
    with progress.task("read licences", len(once) + len(lock.packages), "package") as advance:
        for wheel, use in once.values():
            said = wheel_licence(wheel.path, f"{wheel.name} {wheel.version}", policy)
            facts.append(Fact("pypi", wheel.name, wheel.version, use, *said))
            advance(1)
        for name, deb in lock.packages.items():
            if workspace.pool.has(deb.sha256):
                texts |= deb_copyrights(workspace.pool.path(deb.sha256), name)
            else:
                unread.add(name)
            advance(1)
    facts += _debs(lock, texts, policy, unread)
    facts += _npm(read_document(workspace.locks / "ui.lock.json", ConsoleLock).packages.values())
    facts += _models(read_document(workspace.locks / "weights.lock.json", WeightsLock))
    found = Review(tuple(judge(facts, policy)), tuple(sorted(f"deb {name}" for name in unread)))
    return found, stale_overrides(facts, policy)


def _debs(
    lock: DebsLock, texts: Mapping[str, str], policy: LicencePolicy, unread: Iterable[str]
) -> list[Fact]:
    facts = []
    absent = frozenset(unread)
    for name, deb in lock.packages.items():
        if name in absent:
            continue
        licence, source, fault = debian_licence(name, texts, policy)
        if not _FREE.match(deb.filename):
            licence, fault = None, "it is not from Debian's section main"
        facts.append(Fact("deb", name, deb.version, Use.PROGRAM, licence, source, fault, deb.source))
    return facts


def _npm(packages: Iterable[Wanted]) -> list[Fact]:
    seen: dict[tuple[str, str], Fact] = {}
    ordered: Sequence[Wanted] = sorted(packages, key=lambda item: (item.spec, not item.shipped))
    for item in ordered:
        use = Use.LINKED if item.shipped else Use.TOOL
        fact = Fact("npm", item.name, item.version, use, item.licence, "package.json")
        seen.setdefault((item.name, item.version), fact)
    return list(seen.values())


def _models(lock: WeightsLock) -> list[Fact]:
    return [
        Fact("model", name, weights.version, Use.WEIGHTS, weights.licence, "weights.toml")
        for name, weights in {**lock.models, **lock.demo}.items()
    ]
