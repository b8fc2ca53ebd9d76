"""Brings the tarballs of `ui.lock.json` into the pool: npm asks the registry that this host is configured for."""

import base64
import hashlib
import json
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from routeiq_signing.progress import Progress
from routeiq_vendor.errors import DownloadError, PoolError
from routeiq_vendor.npm.lock import Package, Wanted
from routeiq_vendor.npm.node import Node
from routeiq_vendor.pool import Pool, digest_of

__all__ = ["Tarball", "download", "fetch_tarballs", "tarball_of"]


@dataclass(frozen=True)
class Tarball:
    """A package's tarball in the pool. `place` is where npm unpacks it; `shipped`: its code is in the console."""

    place: str
    name: str
    version: str
    licence: str
    shipped: bool
    sha256: str
    size: int
    path: Path

    @property
    def filename(self) -> str:
        """As npm names it."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


def fetch_tarballs(
    packages: dict[str, Package], pool: Pool, node: Callable[[], Node], progress: Progress, *, offline: bool
) -> tuple[Tarball, ...]:
    """Return every package's tarball, by place; only those that the pool lacks are asked for.

    Raises `PoolError` naming what is missing when `offline`, `DownloadError` when the registry gives something else.
    """
    missing = {entry.sha256: entry for entry in packages.values() if not pool.has(entry.sha256)}
    if missing and offline:
        names = ", ".join(sorted(entry.spec for entry in missing.values()))
        raise PoolError(
            f"ui.lock.json: not in the pool, and OFFLINE=1 forbids to fetch: {names}",
            subject="ui.lock.json",
            hint="run `make fetch` once with a network",
        )
    if missing:
        download(list(missing.values()), pool, node(), progress)
        for digest, entry in missing.items():
            if not pool.has(digest):
                raise DownloadError(
                    f"{entry.spec}: the registry's tarball is not the locked one", subject=entry.name
                )
    return tuple(tarball_of(place, entry, pool) for place, entry in sorted(packages.items()))


def tarball_of(place: str, entry: Package, pool: Pool) -> Tarball:
    """Return a locked package's tarball; raises `PoolError` when the pool lacks it."""
    path = pool.path(entry.sha256)
    return Tarball(
        place, entry.name, entry.version, entry.licence, entry.shipped, entry.sha256, entry.size, path
    )


def download(wanted: Collection[Wanted], pool: Pool, node: Node, progress: Progress) -> dict[str, str]:
    """Fetch tarballs and put into the pool those with the digest that npm's lock names; returns SHA-512 → SHA-256.

    Raises `DownloadError` with npm's words, or naming a package that says another name or licence than the lock.
    """
    pool.root.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=pool.root, prefix="npm-"))
    found = {}
    try:
        with progress.task("packages of the console", len(wanted), "package") as advance:
            specs = sorted(entry.spec for entry in wanted)
            node.npm(["pack", "--ignore-scripts", "--pack-destination", str(staging), *specs], staging)
            by_integrity = {entry.integrity: entry for entry in wanted}
            for path in sorted(staging.glob("*.tgz")):
                entry = by_integrity.get(_integrity(path))
                if entry is not None:
                    _check(path, entry)
                    found[entry.integrity] = pool.add_file(path, expect_sha256=digest_of(path))
                advance(1)
    finally:
        shutil.rmtree(staging)
    for entry in wanted:
        if entry.integrity not in found:
            raise DownloadError(
                f"{entry.spec}: the registry gave another content than locked", subject=entry.name
            )
    return found


def _integrity(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    return f"sha512-{base64.b64encode(digest).decode()}"


def _check(path: Path, entry: Wanted) -> None:
    """Compare what the package says of itself with what npm's lock says of it."""
    with tarfile.open(path) as tar:
        # The first folder has any name; npm unpacks what is below it.
        member = next((item for item in tar if item.name.partition("/")[2] == "package.json"), None)
        file = tar.extractfile(member) if member is not None else None
        said = json.loads(file.read()) if file is not None else {}
    for field, locked in (("name", entry.name), ("version", entry.version), ("license", entry.licence)):
        if said.get(field) != locked:
            raise DownloadError(f"{entry.spec}: its {field} is {said.get(field)}, the lock says {locked}",
                                subject=entry.name)  # fmt: skip
