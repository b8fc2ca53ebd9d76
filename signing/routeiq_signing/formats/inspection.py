"""Looks at a file or folder for a person: what is each file, how large, which digest, and would it be accepted.

Signatures and consents are not asked. Files are read in parts, so one larger than memory can be looked at; links,
devices and pipes are named and not opened. Nothing in the result acts on a terminal.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from routeiq_signing.errors import DocumentError, FormatError, SigningError
from routeiq_signing.formats.check import check_format
from routeiq_signing.formats.content import FileContent
from routeiq_signing.formats.shown import shown
from routeiq_signing.formats.text import JSON
from routeiq_signing.limits import LIMITS
from routeiq_signing.manifest import check_path
from routeiq_signing.model_files import SIGNATURE_NAME

__all__ = ["Inspected", "inspect_path"]

_CHUNK = 1 << 20
_DEPTH = 64


@dataclass(frozen=True, slots=True)
class Inspected:
    """One file: `path` below what was inspected, safe to print; `size` in bytes and `sha256` in hex where it was read.

    `format` is set where it is accepted, `reason` where it is refused.
    """

    path: str
    size: int | None
    sha256: str | None
    format: str | None
    reason: str | None

    @property
    def accepted(self) -> bool:
        """Whether it is of an allowed format, and may have its name."""
        return self.reason is None


def inspect_path(path: Path) -> list[Inspected]:
    """Return what the file `path` is, or each file below the folder `path`: by name, deeper ones later.

    Raises `SigningError` where there is nothing at `path`, or a folder holds no files.
    """
    if path.is_symlink() or not path.is_dir():
        if not os.path.lexists(path):
            raise SigningError(f"{shown(str(path))}: no such file or folder", subject=shown(str(path)))
        return [_inspect(path, path.name)]
    found = [
        _inspect(file, file.relative_to(path).as_posix(), inside=True)
        if reason is None
        else Inspected(shown(file.relative_to(path).as_posix()), None, None, None, reason)
        for file, reason in _walk(path)
    ]
    if not found:
        raise SigningError(f"{shown(str(path))}: holds no files", subject=shown(str(path)))
    return found


def _walk(folder: Path) -> Iterator[tuple[Path, str | None]]:
    """Yield each file below `folder`, and what cannot be gone into with the reason."""
    left = LIMITS.files
    waiting = [(folder, 0)]
    while waiting:
        here, depth = waiting.pop()
        try:
            entries = sorted(here.iterdir(), reverse=True)
        except OSError as error:
            yield here, error.strerror or "cannot be read"
            continue
        for entry in reversed(entries):
            if entry.is_symlink() or not entry.is_dir():
                left -= 1
                if left < 0:
                    yield entry, f"more than {LIMITS.files} files; the rest was not looked at"
                    return
                yield entry, None
        deeper = [entry for entry in entries if not entry.is_symlink() and entry.is_dir()]
        if deeper and depth >= _DEPTH:
            yield deeper[0], f"folders nested deeper than {_DEPTH}"
            continue
        waiting += [(entry, depth + 1) for entry in deeper]


def _inspect(file: Path, name: str, *, inside: bool = False) -> Inspected:
    label = shown(name, 300)
    size: int | None = None
    digest: str | None = None
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        link = file.is_symlink()
        return Inspected(
            label, None, None, None, "a symbolic link" if link else error.strerror or "cannot be read"
        )
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            return Inspected(label, None, None, None, "not a regular file")
        size = before.st_size
        content = FileContent(descriptor, size, label)
        digest = _digest(content)
        if inside:
            check_path(name, "a model")
        if inside and name == SIGNATURE_NAME:
            JSON.check(content, label)
            kind = "signature"
        else:
            kind = check_format(content, name)
        after = os.fstat(descriptor)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise FormatError(f"{label}: changed while it was read")
    except (FormatError, DocumentError) as error:
        return Inspected(label, size, digest, None, shown(str(error).removeprefix(f"{label}: "), 1000))
    except OSError as error:
        return Inspected(label, size, digest, None, error.strerror or "cannot be read")
    finally:
        os.close(descriptor)
    return Inspected(label, size, digest, kind, None)


def _digest(content: FileContent) -> str:
    digest = hashlib.sha256()
    for at in range(0, len(content), _CHUNK):
        digest.update(content[at : at + _CHUNK])
    return digest.hexdigest()
