"""Brings the locked Debian packages into the pool, and decides with `plan.py` what happens to vanished ones.

Only packages that the pool lacks are asked for; with a full pool apt is not even started.
"""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from routeiq_signing.progress import Progress
from routeiq_vendor.debs.apt import Apt
from routeiq_vendor.debs.archive import fetch_from_archive
from routeiq_vendor.debs.closure import move
from routeiq_vendor.debs.lock import DebsLock, LockedDeb, Moved, moved
from routeiq_vendor.debs.plan import refuse_vanished, sort_out
from routeiq_vendor.debs.renew import Resolution
from routeiq_vendor.documents import read_document, write_document
from routeiq_vendor.errors import DownloadError, LockError, PoolError
from routeiq_vendor.pool import Pool, digest_of

__all__ = ["DebStore", "FetchedDebs", "fetch_debs"]


@dataclass(frozen=True)
class FetchedDebs:
    """The lock that was used, the file that holds it, and how it differs from the committed one."""

    lock: DebsLock
    path: Path
    drift: tuple[Moved, ...]


@dataclass(frozen=True)
class DebStore:
    """`committed` is `locks/debs.lock.json`, `used` where a development build keeps the lock that it used instead.

    `apt` and `resolve` work for the committed lock's suite; both are called only when something is missing.
    """

    pool: Pool
    committed: Path
    used: Path
    apt: Apt
    resolve: Callable[[], Resolution]
    archive: str | None = None

    def fetch(self, progress: Progress, *, offline: bool, release: bool) -> FetchedDebs:
        """Have every package of the lock in the pool.

        Raises `PoolError` naming what is missing when `offline`, and `DownloadError` when a release build's
        package has vanished.
        """
        lock = read_document(self.committed, DebsLock)
        missing = self._missing(lock)
        if not missing:
            return FetchedDebs(lock, self.committed, ())
        if not release and (before := self._used_before(lock)):
            return before
        if offline:
            names = ", ".join(f"{name} {lock.packages[name].version}" for name in missing)
            raise PoolError(
                f"not in the pool, and OFFLINE=1 forbids to fetch: {names}",
                subject=missing[0],
                hint="run `make fetch` once with a network",
            )
        lost = self._fetch(lock, progress)
        if not lost:
            return FetchedDebs(lock, self.committed, ())
        if release:
            raise refuse_vanished(lock, lost, archive=bool(self.archive))
        return self._drift(lock, lost, progress)

    def _missing(self, lock: DebsLock) -> list[str]:
        return [name for name, deb in sorted(lock.packages.items()) if not self.pool.has(deb.sha256)]

    def _used_before(self, lock: DebsLock) -> FetchedDebs | None:
        # What an earlier development build moved to is in the pool: use it again rather than move once more.
        try:
            used = read_document(self.used, DebsLock)
        except LockError:
            return None
        if used.drifted_from != digest_of(self.committed) or self._missing(used):
            return None
        return FetchedDebs(used, self.used, tuple(moved(lock, used)))

    def _fetch(self, lock: DebsLock, progress: Progress) -> list[str]:
        """Fetch what mirror and archive have; return what neither does."""
        self.apt.update(progress)
        offered = self.apt.show({name: lock.packages[name].version for name in self._missing(lock)})
        sources = sort_out(lock, self.pool.has, {name: record.deb for name, record in offered.items()})
        if sources.mirror:
            fetch_debs({name: lock.packages[name] for name in sources.mirror}, self.apt, self.pool, progress)
        return [
            name
            for name in sorted(sources.elsewhere)
            if not self.archive
            or not fetch_from_archive(
                self.archive, name, lock.packages[name], pool=self.pool, progress=progress
            )
        ]

    def _drift(self, lock: DebsLock, lost: list[str], progress: Progress) -> FetchedDebs:
        fresh = self.resolve()
        used = move(lock, lost, fresh.lock, fresh.records).model_copy(
            update={"drifted_from": digest_of(self.committed)}
        )
        still = self._fetch(used, progress) if self._missing(used) else []
        if still:
            raise refuse_vanished(used, still, archive=bool(self.archive))
        write_document(self.used, used)
        return FetchedDebs(used, self.used, tuple(moved(lock, used)))


def fetch_debs(debs: Mapping[str, LockedDeb], apt: Apt, pool: Pool, progress: Progress) -> None:
    """Download these packages from the mirror into the pool; `DownloadError` when one comes out different."""
    pool.root.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=pool.root, prefix="debs-"))
    wanted = {deb.sha256: name for name, deb in debs.items()}
    try:
        try:
            apt.download(debs, staging, progress)
        finally:
            # What arrived before a failure is kept: the next run asks for the rest only.
            for path in staging.glob("*.deb"):
                digest = digest_of(path)
                if wanted.pop(digest, None):
                    pool.add_file(path, expect_sha256=digest)
    finally:
        shutil.rmtree(staging)
    if wanted:
        name = min(wanted.values())
        raise DownloadError(f"{name}: the mirror gave something else than the lock names", subject=name)
