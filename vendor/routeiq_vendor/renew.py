"""Renews the committed locks and says what moved: `routeiq vendor lock`.

The order matters: the export of weights depends on `export.txt` and npm on `node.txt`, so wheels come first.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from routeiq_signing.progress import Progress
from routeiq_vendor.attestations.store import LOCK as ATTESTATIONS
from routeiq_vendor.attestations.store import AttestationsLock, renew_attestations
from routeiq_vendor.debs.apt import Apt
from routeiq_vendor.debs.lock import DebsLock, DebsRequests, moved
from routeiq_vendor.debs.renew import resolve
from routeiq_vendor.debs.store import fetch_debs
from routeiq_vendor.documents import read_document, write_document
from routeiq_vendor.errors import LockError
from routeiq_vendor.export.run import Exporter
from routeiq_vendor.fetch import BUNDLED
from routeiq_vendor.libraries import deb_contents, missing_libraries
from routeiq_vendor.npm.lock import ConsoleLock
from routeiq_vendor.npm.node import unpack_node
from routeiq_vendor.npm.renew import renew_console
from routeiq_vendor.weights.lock import WeightsLock, WeightsRequests
from routeiq_vendor.weights.renew import renew_weights
from routeiq_vendor.wheels.compile import LockCompiler
from routeiq_vendor.wheels.store import WheelStore, load_lock
from routeiq_vendor.workspace import Workspace

__all__ = ["Change", "Kind", "renew"]


class Kind(StrEnum):
    """The kinds of lock."""

    WHEELS = "wheels"
    DEBS = "debs"
    WEIGHTS = "weights"
    CONSOLE = "console"
    ATTESTATIONS = "attestations"


@dataclass(frozen=True)
class Change:
    """One thing that moved in one lock; "-" for a version that is not there."""

    lock: str
    name: str
    old: str
    new: str


def renew(
    kinds: Collection[Kind], workspace: Workspace, progress: Progress, *, only: Collection[str] = ()
) -> list[Change]:
    """Renew the locks of these kinds; `only` limits the wheels to these distributions. Returns what moved."""
    workspace.build.mkdir(parents=True, exist_ok=True)
    changes: list[Change] = []
    with workspace.pool.locked():
        if Kind.WHEELS in kinds:
            changes += _wheels(workspace, progress, only)
        if Kind.DEBS in kinds:
            changes += _debs(workspace, progress)
        if Kind.WEIGHTS in kinds:
            changes += _weights(workspace, progress)
        if Kind.CONSOLE in kinds:
            changes += _console(workspace, progress)
        if Kind.ATTESTATIONS in kinds:
            changes += _attestations(workspace, progress)
    return changes


def _wheels(workspace: Workspace, progress: Progress, only: Collection[str]) -> list[Change]:
    store = WheelStore(workspace.pool, workspace.torch_index)
    compiler = LockCompiler(workspace.locks, workspace.build, store, workspace.torch_index)
    moves = compiler.renew(progress, only=only)
    return [Change(f"{lock}.txt", *move) for lock, found in moves.items() for move in found]


def _debs(workspace: Workspace, progress: Progress) -> list[Change]:
    requests = read_document(workspace.locks / "debs.toml", DebsRequests)
    apt = Apt(
        workspace.build / "apt", suite=requests.suite, arch=requests.arch, sources=workspace.apt_sources
    )
    apt.update(progress)
    lock = resolve(requests, apt).lock
    absent = {name: deb for name, deb in lock.packages.items() if not workspace.pool.has(deb.sha256)}
    if absent:
        fetch_debs(absent, apt, workspace.pool, progress)
    with progress.task("check shared libraries", len(lock.images), "image") as advance:
        for image, names in lock.images.items():
            contents = [deb_contents(workspace.pool.path(lock.packages[name].sha256)) for name in names]
            for path, libraries in missing_libraries(contents, lock.unused[image]).items():
                raise LockError(
                    f"debs.toml: image {image}: {path} needs {', '.join(libraries)}, which no package brings",
                    subject=path,
                    hint="drop less, or list the file as unused",
                )
            advance(1)
    target = workspace.locks / "debs.lock.json"
    old = read_document(target, DebsLock) if target.exists() else lock.model_copy(update={"packages": {}})
    write_document(target, lock)
    return [Change(target.name, one.name, one.locked, one.used) for one in moved(old, lock)]


def _weights(workspace: Workspace, progress: Progress) -> list[Change]:
    store = WheelStore(workspace.pool, workspace.torch_index)
    exporter = Exporter(workspace.pool, store, workspace.locks / "export.txt", workspace.build)
    requests = read_document(workspace.locks / "weights.toml", WeightsRequests)
    path = workspace.locks / "weights.lock.json"
    old = read_document(path, WeightsLock) if path.exists() else WeightsLock(models={}, demo={})
    new = renew_weights(requests, wheels=store, pool=workspace.pool, exporter=exporter, progress=progress)
    write_document(path, new)
    before, after = _digests(old), _digests(new)
    return [
        Change(path.name, name, before.get(name, "-")[:12], after.get(name, "-")[:12])
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def _console(workspace: Workspace, progress: Progress) -> list[Change]:
    store = WheelStore(workspace.pool, workspace.torch_index)
    pins = load_lock(workspace.locks / "node.txt")
    wheel = store.fetch(pins, "node.txt", progress, offline=False)[0]
    path = workspace.locks / "ui.lock.json"
    before = _versions(read_document(path, ConsoleLock)) if path.exists() else {}
    node = unpack_node(wheel, workspace.build / "tools")
    lock = renew_console(workspace.ui, node, workspace.pool, progress)
    write_document(path, lock)
    after = _versions(lock)
    return [
        Change(path.name, place, before.get(place, "-"), after.get(place, "-"))
        for place in sorted(before.keys() | after.keys())
        if before.get(place) != after.get(place)
    ]


def _attestations(workspace: Workspace, progress: Progress) -> list[Change]:
    store = WheelStore(workspace.pool, workspace.torch_index)
    wheels = {}
    for name in BUNDLED:
        path = workspace.locks / f"{name}.txt"
        for wheel in store.fetch(load_lock(path), path.name, progress, offline=False):
            wheels[wheel.filename] = wheel
    target = workspace.locks / ATTESTATIONS
    before = read_document(target, AttestationsLock).wheels if target.exists() else {}
    lock = renew_attestations(wheels.values(), workspace.pool, progress)
    write_document(target, lock)
    old = {name: entry.provenance[:12] for name, entry in before.items()}
    new = {name: entry.provenance[:12] for name, entry in lock.wheels.items()}
    return [
        Change(target.name, name, old.get(name, "-"), new.get(name, "-"))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def _versions(lock: ConsoleLock) -> dict[str, str]:
    return {place.removeprefix("node_modules/"): entry.version for place, entry in lock.packages.items()}


def _digests(lock: WeightsLock) -> dict[str, str]:
    return {
        f"{name}/{path}": digest
        for group in (lock.models, lock.demo)
        for name, weights in group.items()
        for path, digest in weights.contents.items()
    }
