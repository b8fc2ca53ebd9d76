"""Makes `debs.lock.json` from `debs.toml`: one resolution per image, cut down by its drop list."""

from dataclasses import dataclass

from routeiq_vendor.debs.apt import Apt
from routeiq_vendor.debs.closure import closure
from routeiq_vendor.debs.lock import DebsLock, DebsRequests
from routeiq_vendor.debs.records import Record
from routeiq_vendor.errors import LockError

__all__ = ["Resolution", "resolve"]


@dataclass(frozen=True)
class Resolution:
    """A new lock, and apt's records of everything in it."""

    lock: DebsLock
    records: dict[str, Record]


def resolve(requests: DebsRequests, apt: Apt) -> Resolution:
    """Resolve every image against the current package lists; nothing is downloaded."""
    images: dict[str, list[str]] = {}
    records: dict[str, Record] = {}
    for image, request in sorted(requests.images.items()):
        plan = apt.simulate(request.roots)
        known = apt.show(plan)
        if missing := sorted(plan.keys() - known.keys()):
            raise LockError(f"{missing[0]}: apt names no SHA-256 for {plan[missing[0]]}", subject=missing[0])
        images[image] = closure(request.roots, request.drop, known)
        records |= {name: known[name] for name in images[image]}
    lock = DebsLock(
        suite=requests.suite,
        arch=requests.arch,
        packages={name: record.deb for name, record in sorted(records.items())},
        images=images,
        unused={image: sorted(request.unused) for image, request in sorted(requests.images.items())},
    )
    return Resolution(lock, records)
