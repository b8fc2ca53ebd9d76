"""Brings the wheels of a lock into the pool: what is there is not asked for again.

The pool knows contents, not names; `index/wheels.json` in it remembers the file name of each wheel's
digest. The lock has the last word: an entry whose digest it does not name is as good as absent, so the index
needs no trust and no upkeep.
"""

import json
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from routeiq_signing.files import write_atomic
from routeiq_signing.progress import Progress
from routeiq_vendor.errors import DownloadError, LockError, PoolError
from routeiq_vendor.limits import LIMITS
from routeiq_vendor.pool import Pool, digest_of
from routeiq_vendor.wheels import pip
from routeiq_vendor.wheels.lock import Pin, choose, read_lock

__all__ = ["Wheel", "WheelStore", "load_lock"]


@dataclass(frozen=True)
class Wheel:
    """A wheel in the pool. `path` is the pool's file, named by digest; `filename` is what pip wants to see."""

    name: str
    version: str
    filename: str
    sha256: str
    size: int
    path: Path


def load_lock(path: Path) -> tuple[Pin, ...]:
    """Read a lock file; `LockError` when it is absent, too large or not a lock."""
    try:
        if path.stat().st_size > LIMITS.lock:
            raise LockError(f"{path.name}: larger than {LIMITS.lock} bytes", subject=path.name)
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise LockError(f"{path.name}: no such lock", subject=path.name, hint="run `make lock`") from error
    except UnicodeDecodeError as error:
        raise LockError(f"{path.name}: not UTF-8 text", subject=path.name) from error
    return read_lock(text, path.name)


class WheelStore:
    """The wheels of one pool."""

    def __init__(self, pool: Pool, torch_index: str) -> None:
        self.pool = pool
        self._torch_index = torch_index
        self._index = pool.root / "index" / "wheels.json"

    def _known(self) -> dict[str, str]:
        try:
            if self._index.stat().st_size > LIMITS.index:
                return {}
            index = json.loads(self._index.read_bytes())
        except (FileNotFoundError, ValueError):
            return {}  # a lost index costs a second look at the index server, never a wrong wheel
        if not isinstance(index, dict):
            return {}
        known = {str(name): str(digest) for name, digest in index.items()}
        return {name: digest for name, digest in known.items() if len(digest) == 64}

    def _remember(self, names: dict[str, str]) -> None:
        index = dict(sorted({**self._known(), **names}.items()))
        write_atomic(self._index, json.dumps(index, indent=1).encode() + b"\n")

    def adopt(self, files: Iterable[Path]) -> None:
        """Put wheels that came by another way (the bundle's inputs, pip's own download) into the pool."""
        names = {path.name: self.pool.add_file(path) for path in files if path.suffix == ".whl"}
        if names:
            self._remember(names)

    def adopt_folder(self, folder: Path) -> None:
        """Adopt a folder's wheels that the pool lacks, and make the folder's files links into the pool."""
        known = self._known()
        new = [
            p for p in sorted(folder.glob("*.whl")) if p.name not in known or not self.pool.has(known[p.name])
        ]
        self.adopt(new)
        known = self._known()
        self.pool.view(folder, {path.name: known[path.name] for path in new})

    def find(self, pins: Sequence[Pin]) -> tuple[list[Wheel], list[Pin]]:
        """Return the wheels that the pool holds for these pins, and the pins that it lacks."""
        known = {name: digest for name, digest in self._known().items() if self.pool.has(digest)}
        wheels, missing = [], []
        for pin in pins:
            filename = choose(pin, known)
            if filename is None:
                missing.append(pin)
                continue
            digest = known[filename]
            path = self.pool.path(digest)
            wheels.append(Wheel(pin.name, pin.version, filename, digest, path.stat().st_size, path))
        return wheels, missing

    def fetch(self, pins: Sequence[Pin], what: str, progress: Progress, *, offline: bool) -> list[Wheel]:
        """Return a wheel for every pin, downloading only those that the pool lacks.

        Raises `PoolError` naming what is missing when `offline`, `DownloadError` when a place does not serve it.
        """
        wheels, missing = self.find(pins)
        if not missing:
            return wheels
        if offline:
            raise PoolError(
                f"{what}: not in the pool, and OFFLINE=1 forbids to fetch: {', '.join(map(str, missing))}",
                subject=missing[0].name,
                hint="run `make fetch` once with a network",
            )
        self.pool.root.mkdir(parents=True, exist_ok=True)
        self._download(missing, progress)
        wheels, missing = self.find(pins)
        if missing:
            raise DownloadError(f"{what}: no wheel for the target: {', '.join(map(str, missing))}")
        return wheels

    def fetch_unpinned(self, name: str, version: str, progress: Progress) -> Wheel:
        """Download a release whose hash no lock names yet (for making locks only)."""
        staging = Path(tempfile.mkdtemp(dir=self.pool.root, prefix="wheels-"))
        try:
            pip.download([Pin(name, version, frozenset())], staging, progress)
            found = list(staging.glob("*.whl"))
            if len(found) != 1:
                raise DownloadError(f"{name} {version}: the index gave no wheel", subject=name)
            digest = self.pool.add_file(found[0])
            self._remember({found[0].name: digest})
        finally:
            shutil.rmtree(staging)
        return self.find([Pin(name, version, frozenset({digest}))])[0][0]

    def _download(self, missing: Sequence[Pin], progress: Progress) -> None:
        # A local version (torch 2.13.0+cpu) is not on a general index: the configured places first, then PyTorch's.
        local = [pin for pin in missing if Version(pin.version).local]
        plain = [pin for pin in missing if pin not in local]
        staging = Path(tempfile.mkdtemp(dir=self.pool.root, prefix="wheels-"))
        try:
            try:
                if plain:
                    pip.download(plain, staging, progress)
                for pin in local:
                    self._download_local(pin, staging, progress)
            finally:
                # What arrived before a failure is kept: the next run asks for the rest only.
                self._take(staging, missing)
        finally:
            shutil.rmtree(staging)

    def _download_local(self, pin: Pin, staging: Path, progress: Progress) -> None:
        try:
            pip.download([pin], staging, progress)
        except DownloadError:
            pip.download([pin], staging, progress, extra_index=self._torch_index)

    def _take(self, staging: Path, pins: Sequence[Pin]) -> None:
        allowed = frozenset().union(*(pin.hashes for pin in pins))
        names: dict[str, str] = {}
        for path in sorted(staging.glob("*.whl")):
            digest = digest_of(path)
            if digest not in allowed:
                raise DownloadError(f"{path.name}: sha256 {digest} is not in the lock", subject=path.name)
            names[path.name] = self.pool.add_file(path, expect_sha256=digest)
            path.unlink()
        if names:
            self._remember(names)
