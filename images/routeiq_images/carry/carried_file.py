"""Files on a medium: errors name the file, nothing but regular files is read, results appear whole.

Decides nothing about contents. What is read here is not believed here: who reads hashes what it read, once, and uses
only that.
"""

import io
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from routeiq_images.errors import ImagesError
from routeiq_signing.files import named_file

__all__ = ["CHUNK", "NamedFile", "new_file", "open_file", "refuse_same_file", "sync_folder"]

CHUNK = 1 << 20  # stays in a core's second-level cache between read, hash and write


class NamedFile(io.FileIO):
    """An unbuffered file whose errors carry its path, and whose `write` writes all or raises."""

    def __init__(self, descriptor: int, mode: str, path: Path) -> None:
        super().__init__(descriptor, mode)
        self.path = path

    def read(self, size: int | None = -1, /) -> bytes:
        """See `io.FileIO.read`."""
        with self._named():
            return super().read(-1 if size is None else size) or b""

    def readinto(self, buffer: Any, /) -> int:
        """See `io.FileIO.readinto`."""
        with self._named():
            return super().readinto(buffer) or 0

    def write(self, data: Any, /) -> int:
        """Write all of `data`: a disk that is full takes a part first and fails at the next call."""
        view = memoryview(data)
        with self._named():
            done = 0
            while done < len(view):
                done += super().write(view[done:]) or 0
        return done

    def sync(self) -> None:
        """Have the content on the disk."""
        with self._named():
            os.fsync(self.fileno())

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error


def open_file(path: Path, *, follow: bool = True) -> NamedFile:
    """Open the regular file at `path` for reading; raises `ImagesError` for anything else.

    With `follow` false a symbolic link is refused too: a folder that a stranger filled must not point elsewhere.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        link = not follow and path.is_symlink()
        fault = "a symbolic link has no place here" if link else error.strerror
        raise ImagesError(f"{path}: {fault}", subject=str(path)) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ImagesError(f"{path}: not a regular file", subject=str(path))
    return NamedFile(descriptor, "rb", path)


@contextmanager
def new_file(path: Path) -> Iterator[NamedFile]:
    """Yield a file, readable too, that becomes `path` when the body ends well and vanishes when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = named_file(path).with_name(f".{path.name}.{secrets.token_hex(4)}")
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    file = NamedFile(os.open(beside, flags, 0o644), "r+b", path)
    try:
        with file:
            yield file
            file.sync()
        beside.replace(path)
        sync_folder(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def sync_folder(path: Path) -> None:
    """Have the folder's entries on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refuse_same_file(out: Path, *inputs: Path) -> None:
    """Raise `ImagesError` when `out` is one of `inputs`, under whatever name."""
    for path in inputs:
        if out.exists() and path.exists() and out.samefile(path):
            raise ImagesError(
                f"{out}: is {path}, which is read from", subject=str(out), hint="name another file"
            )
