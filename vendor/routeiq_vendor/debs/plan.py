"""What to do about locked packages that the pool lacks. Pure; `store.py` acts.

Debian's mirrors keep only the newest version of a package, so a pinned one vanishes when an update lands.
Places are asked in this order: pool, mirror, archive mirror (a setting). For what is nowhere:

* a release build refuses and names the command: a release never contains what its lock does not say;
* a development build moves the source packages that lost a file, shows what moved and records it.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from routeiq_vendor.debs.lock import DebsLock, LockedDeb, Moved
from routeiq_vendor.errors import DownloadError

__all__ = ["Sources", "drift_table", "refuse_vanished", "sort_out"]


@dataclass(frozen=True)
class Sources:
    """Where each locked package is to be had: names, disjoint, together all that were asked for."""

    pool: frozenset[str]
    mirror: frozenset[str]
    elsewhere: frozenset[str]


def sort_out(lock: DebsLock, has: Callable[[str], bool], offered: Mapping[str, LockedDeb]) -> Sources:
    """Say where each package of the lock is; `offered` is what the mirror's lists name at the locked versions.

    A package that the mirror offers at the same version with another digest is not the locked one.
    """
    pool, mirror, elsewhere = set(), set(), set()
    for name, deb in lock.packages.items():
        if has(deb.sha256):
            pool.add(name)
        elif name in offered and offered[name].sha256 == deb.sha256:
            mirror.add(name)
        else:
            elsewhere.add(name)
    return Sources(frozenset(pool), frozenset(mirror), frozenset(elsewhere))


def refuse_vanished(lock: DebsLock, lost: Collection[str], *, archive: bool) -> DownloadError:
    """Return the refusal of a release build."""
    names = ", ".join(f"{name} {lock.packages[name].version}" for name in sorted(lost))
    asked = "the pool, the mirror and the archive" if archive else "the pool and the mirror"
    return DownloadError(
        f"{names}: in none of {asked}",
        subject=min(lost),
        hint="run `make lock` to renew the locks and review what moved, or set ROUTEIQ_DEB_ARCHIVE to a mirror "
        "that keeps old packages",
    )


def drift_table(drift: Collection[Moved]) -> str:
    """Render what moved, one line per package."""
    rows = [("package", "source", "locked", "used"), *((m.name, m.source, m.locked, m.used) for m in drift)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
