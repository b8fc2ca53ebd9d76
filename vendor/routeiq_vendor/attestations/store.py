"""Keeps the provenance objects of locked wheels: their digests in `attestations.lock.json`, their bytes in the pool.

The lock decides what a bundle's inputs carry, so that two builders carry the same whatever their indexes serve. One
that is locked and nowhere to be had is treated as a vanished Debian package is: a release build refuses, a development
build goes on without and is marked.
"""

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from routeiq_signing.progress import Progress
from routeiq_vendor.attestations.document import check_provenance
from routeiq_vendor.attestations.index import Answers, ask_index
from routeiq_vendor.documents import Document, read_document
from routeiq_vendor.errors import DownloadError, PoolError
from routeiq_vendor.pool import Pool
from routeiq_vendor.wheels.store import Wheel

__all__ = ["LOCK", "Attestation", "AttestationsLock", "Kept", "fetch_attestations", "renew_attestations"]

LOCK = "attestations.lock.json"
Ask = Callable[[Mapping[str, Sequence[str]], Path, Progress], Answers]
"""`ask_index`, or a test's own."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class LockedAttestation(Document):
    """A wheel by its digest, and the digest of its provenance object."""

    wheel: Sha256
    provenance: Sha256
    predicates: list[str]


class AttestationsLock(Document):
    """`attestations.lock.json`: file name of a wheel → its provenance; how many wheels had none when it was made.

    `served`: whether the index that was asked has attestations for anything, or speaks the form that would say so.
    """

    served: bool
    absent: int = Field(ge=0)
    wheels: dict[str, LockedAttestation]


@dataclass(frozen=True, slots=True)
class Attestation:
    """A provenance object in the pool, of the wheel `filename`."""

    filename: str
    sha256: str
    path: Path


@dataclass(frozen=True, slots=True)
class Kept:
    """`kept`: what the pool holds. `absent`: wheels whose index had none. `lost`: locked, and nowhere to be had."""

    kept: tuple[Attestation, ...] = ()
    absent: int = 0
    served: bool = False
    lost: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return one line for people."""
        text = f"attestations: {len(self.kept)} kept, {self.absent} wheels without"
        if not self.served:
            text += " (the index that was asked when the lock was made serves none, or none was asked)"
        return text + (f", {len(self.lost)} lost: {', '.join(self.lost[:5])}" if self.lost else "")


def renew_attestations(
    wheels: Iterable[Wheel], pool: Pool, progress: Progress, *, ask: Ask = ask_index
) -> AttestationsLock:
    """Ask the index about every wheel, put what it has into the pool, and return the lock of it.

    Raises `DownloadError` for a provenance that is not about its wheel, or when an index could not be asked.
    """
    known = {wheel.filename: wheel for wheel in wheels}
    locked: dict[str, LockedAttestation] = {}
    with tempfile.TemporaryDirectory(dir=pool.root, prefix="attestations-") as folder:
        answers = ask(_by_project(known.values()), Path(folder), progress)
        if answers.faults:
            raise DownloadError(
                f"the index could not be asked for attestations of {', '.join(answers.faults[:5])}",
                hint="run it again; the old lock stays",
            )
        for filename, path in sorted(answers.found.items()):
            wheel = known[filename]
            attested = check_provenance(path.read_bytes(), filename, wheel.sha256)
            locked[filename] = LockedAttestation(
                wheel=wheel.sha256, provenance=pool.add_file(path), predicates=list(attested.predicates)
            )
    served = answers.speaks_json or bool(locked)
    return AttestationsLock(served=served, absent=len(known) - len(locked), wheels=locked)


def fetch_attestations(
    wheels: Iterable[Wheel],
    lock_path: Path,
    pool: Pool,
    progress: Progress,
    *,
    offline: bool,
    release: bool,
    ask: Ask = ask_index,
) -> Kept:
    """Have the provenance of each of these wheels that the lock names in the pool; without a lock there is none.

    Raises `PoolError` when `offline` and `DownloadError` for a release build when one cannot be had.
    """
    known = {wheel.filename: wheel for wheel in wheels}
    if not lock_path.exists():
        return Kept(absent=len(known))
    lock = read_document(lock_path, AttestationsLock)
    wanted = {
        name: entry
        for name, entry in lock.wheels.items()
        if name in known and known[name].sha256 == entry.wheel
    }
    missing = [name for name, entry in sorted(wanted.items()) if not pool.has(entry.provenance)]
    if missing and not offline:
        _take(
            [known[name] for name in missing],
            wanted,
            pool,
            lambda projects, into: ask(projects, into, progress),
        )
        missing = [name for name in missing if not pool.has(wanted[name].provenance)]
    if missing and (release or offline):
        names = ", ".join(missing[:5])
        if offline:
            raise PoolError(
                f"attestations not in the pool, and OFFLINE=1 forbids to fetch: {names}",
                subject=missing[0],
                hint="run `make fetch` once with a network",
            )
        raise DownloadError(
            f"the index no longer has the locked attestations of {names}",
            subject=missing[0],
            hint="renew them: routeiq vendor lock --what attestations",
        )
    kept = [
        Attestation(name, entry.provenance, pool.path(entry.provenance))
        for name, entry in sorted(wanted.items())
        if name not in missing
    ]
    return Kept(tuple(kept), len(known) - len(wanted), lock.served, tuple(missing))


def _take(
    wheels: Sequence[Wheel],
    wanted: Mapping[str, LockedAttestation],
    pool: Pool,
    ask: Callable[[Mapping[str, Sequence[str]], Path], Answers],
) -> None:
    """Fetch again; only the very bytes that the lock names are taken."""
    with tempfile.TemporaryDirectory(dir=pool.root, prefix="attestations-") as folder:
        for name, path in ask(_by_project(wheels), Path(folder)).found.items():
            try:
                pool.add_file(path, expect_sha256=wanted[name].provenance)
            except PoolError:
                continue  # the index serves another one by now: as good as none


def _by_project(wheels: Iterable[Wheel]) -> dict[str, list[str]]:
    projects: dict[str, list[str]] = {}
    for wheel in wheels:
        projects.setdefault(wheel.name, []).append(wheel.filename)
    return dict(sorted(projects.items()))
