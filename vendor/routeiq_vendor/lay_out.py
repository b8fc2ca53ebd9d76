"""Lays what the pool holds out for use: models as an image has them, a lock's wheels in an environment."""

from pathlib import Path

from routeiq_signing.files import write_atomic
from routeiq_signing.progress import Progress
from routeiq_vendor.documents import read_document
from routeiq_vendor.environment import install
from routeiq_vendor.pool import digest_of
from routeiq_vendor.weights.lock import WeightsLock
from routeiq_vendor.weights.store import RUNTIME_FILES, layout_model
from routeiq_vendor.wheels.store import WheelStore, load_lock
from routeiq_vendor.workspace import Workspace

__all__ = ["EMBEDDERS", "install_lock", "layout_models"]

EMBEDDERS = "sentence-transformers"
"""Folder of the embedders under a models folder."""


def layout_models(
    workspace: Workspace, folder: Path, *, files: tuple[str, ...] = RUNTIME_FILES
) -> list[Path]:
    """Lay out every embedder of the lock under a models folder, as images have it; the pool must hold them.

    `folder/sentence-transformers/<name>/` then has `files` (by default what the gateway loads), hard-linked.
    """
    lock = read_document(workspace.locks / "weights.lock.json", WeightsLock)
    return [
        layout_model(workspace.pool, weights, folder / EMBEDDERS / name, files=files)
        for name, weights in lock.models.items()
    ]


def install_lock(name: str, python: Path, workspace: Workspace, progress: Progress, *, offline: bool) -> None:
    """Install the wheels of `locks/<name>.txt` for an interpreter, from the pool; fetches what the pool lacks.

    Nothing happens while the environment already holds this very lock.
    """
    lock = workspace.locks / f"{name}.txt"
    pins = load_lock(lock)
    marker = python.absolute().parent.parent / f"routeiq-{name}-lock"
    if marker.is_file() and marker.read_text(encoding="ascii") == digest_of(lock):
        return
    with workspace.pool.locked():
        store = WheelStore(workspace.pool, workspace.torch_index)
        store.adopt_folder(workspace.bootstrap)
        wheels = store.fetch(pins, lock.name, progress, offline=offline)
        install(python, wheels, pool=workspace.pool, what=lock.name, progress=progress)
    write_atomic(marker, digest_of(lock).encode("ascii"))
