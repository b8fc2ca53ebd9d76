"""Reading and writing single files safely: capped reads, no symlinks followed, whole files or none written."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from routeiq_signing.errors import SigningError

__all__ = ["named_file", "read_capped", "write_atomic"]


def named_file(path: Path) -> Path:
    """Return `path`; raises `SigningError` where no file can be: no name (empty, `.`, `/`), a folder, a device.

    What is renamed to `/dev/null` by root takes the device's place.
    """
    if not path.name:
        raise SigningError(f"{path}: is a folder, and a file is wanted", subject=str(path))
    if path.exists() and not path.is_file():
        raise SigningError(f"{path}: not a regular file", subject=str(path))
    return path


def read_capped(path: Path, limit: int) -> bytes:
    """Return the bytes of the regular file at `path`, at most `limit`; raises `SigningError` otherwise."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise SigningError(f"{path}: not a regular file", subject=str(path))
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                raw = file.read(limit + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SigningError(f"{path}: {error.strerror}", subject=str(path)) from None
    if len(raw) > limit:
        raise SigningError(f"{path}: more than the {limit} bytes allowed", subject=str(path))
    return raw


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644, replace: bool = True) -> None:
    """Write `data` beside `path`, sync, and move it there; a reader sees the old file or the new one.

    With `replace` false an existing file is refused with `SigningError`, also when it appears meanwhile.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = named_file(path).with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        if replace:
            beside.replace(path)
        else:
            os.link(beside, path)
        _sync_folder(path.parent)
    except FileExistsError:
        raise SigningError(f"{path}: exists already", subject=str(path), hint="name another file") from None
    finally:
        beside.unlink(missing_ok=True)


def _sync_folder(path: Path) -> None:
    """Have the folder's entries on the disk: without it, a power cut may bring the old file back."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
