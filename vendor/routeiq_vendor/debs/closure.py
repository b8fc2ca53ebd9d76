"""Which packages an image holds, and which must move together when one has vanished. Pure.

apt decides versions and alternatives; here its answer is cut down by the drop list, and a lock is moved as
little as possible: only the source packages that lost a file, and what their new versions cannot do without.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping

from debian.debian_support import NativeVersion

from routeiq_vendor.debs.lock import DebsLock, LockedDeb
from routeiq_vendor.debs.records import Record, Relation
from routeiq_vendor.errors import LockError

__all__ = ["closure", "move"]


def _provider(relation: Relation, records: Mapping[str, Record]) -> str | None:
    if relation.name in records:
        return relation.name
    return next((name for name in sorted(records) if relation.name in records[name].provides), None)


def closure(roots: Iterable[str], drop: Collection[str], records: Mapping[str, Record]) -> list[str]:
    """Return the sorted names that the roots need among what apt resolved, without going through `drop`.

    Raises `LockError` for a root or a dependency that apt did not resolve, and for a drop that drops nothing.
    """
    wanted: set[str] = set()
    dropped: set[str] = set()
    queue = deque(roots)
    while queue:
        name = queue.popleft()
        if name in drop:
            dropped.add(name)
            continue
        if name in wanted:
            continue
        if name not in records:
            raise LockError(f"{name}: apt did not resolve it", subject=name)
        wanted.add(name)
        for alternatives in records[name].depends:
            provider = next(filter(None, (_provider(one, records) for one in alternatives)), None)
            if provider is None:
                raise LockError(f"{name}: nothing resolved provides {alternatives[0].name}", subject=name)
            queue.append(provider)
    if idle := sorted(set(drop) - dropped):
        raise LockError(f"debs.toml: dropping these drops nothing: {', '.join(idle)}", subject=idle[0])
    return sorted(wanted)


_HOLDS = {
    "=": lambda have, want: have == want,
    ">=": lambda have, want: have >= want,
    "<=": lambda have, want: have <= want,
    ">>": lambda have, want: have > want,
    "<<": lambda have, want: have < want,
}


def _met(relation: Relation, packages: Mapping[str, LockedDeb]) -> bool:
    if relation.name not in packages:
        return False
    if relation.operator is None:
        return True
    have, want = NativeVersion(packages[relation.name].version), NativeVersion(relation.version)
    return bool(_HOLDS[relation.operator](have, want))


def _merge(lock: DebsLock, fresh: DebsLock, sources: Collection[str]) -> DebsLock:
    """Take the packages of these sources from `fresh`, everything else from `lock`."""
    images = {}
    for image, names in lock.images.items():
        kept = {name for name in names if lock.packages[name].source not in sources}
        taken = {name for name in fresh.images[image] if fresh.packages[name].source in sources}
        images[image] = sorted(kept | taken)
    used = {name for names in images.values() for name in names}
    packages = {
        name: fresh.packages[name]
        if name in fresh.packages and fresh.packages[name].source in sources
        else lock.packages[name]
        for name in sorted(used)
    }
    return lock.model_copy(update={"packages": packages, "images": images})


def move(lock: DebsLock, lost: Collection[str], fresh: DebsLock, records: Mapping[str, Record]) -> DebsLock:
    """Return the lock with the source packages of the `lost` names at `fresh`'s versions.

    `fresh` is a whole new resolution and `records` describes it. A moved package whose dependency the locked
    version does not meet moves that source package too, until nothing is unmet.
    """
    sources = {lock.packages[name].source for name in lost}
    while True:
        merged = _merge(lock, fresh, sources)
        more: set[str] = set()
        for name, deb in merged.packages.items():
            if deb.source not in sources:
                continue
            for alternatives in records[name].depends:
                candidates = [one.name for one in alternatives if one.name in fresh.packages]
                if candidates and not any(_met(one, merged.packages) for one in alternatives):
                    more.add(fresh.packages[candidates[0]].source)
        if more <= sources:
            return merged
        sources |= more
