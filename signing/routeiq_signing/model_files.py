"""Reads the files of a model's folder: all of them, once, regular files only.

What is handed out as bytes is what was hashed, so nothing can be changed between the check and the use.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from routeiq_signing.errors import DocumentError, VerificationError
from routeiq_signing.files import read_capped
from routeiq_signing.limits import LIMITS
from routeiq_signing.manifest import check_path

__all__ = ["SIGNATURE_NAME", "digests", "read_model_folder"]

SIGNATURE_NAME = "model.sig"


def read_model_folder(folder: Path, *, leave_out: Path | None = None) -> dict[str, bytes]:
    """Return relative POSIX path → content of every file below `folder`, sorted by path.

    `leave_out` is the signature file, if it lies inside. Raises `VerificationError` for symbolic links, special
    files, names that are not plain, no files at all, or more than `LIMITS` allow.
    """
    if not folder.is_dir() or folder.is_symlink():
        raise VerificationError(f"{folder}: no folder of a model", subject=str(folder))
    files: dict[str, bytes] = {}
    left = LIMITS.model_in_memory
    for path in sorted(_walk(folder)):
        if leave_out is not None and path == leave_out:
            continue
        try:
            relative = check_path(path.relative_to(folder).as_posix(), str(folder))
        except DocumentError as error:
            raise VerificationError(str(error), subject=str(path)) from None
        files[relative] = read_capped(path, left)
        left -= len(files[relative])
        if len(files) > LIMITS.files:
            raise VerificationError(f"{folder}: more than {LIMITS.files} files", subject=str(folder))
    if not files:
        raise VerificationError(f"{folder}: holds no files", subject=str(folder))
    return dict(sorted(files.items()))


def digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return path → hex SHA-256."""
    return {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}


def _walk(folder: Path) -> list[Path]:
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            path = Path(entry.path)
            if entry.is_symlink():
                raise VerificationError(f"{path}: a symbolic link has no place in a model", subject=str(path))
            if entry.is_dir(follow_symlinks=False):
                found += _walk(path)
            elif entry.is_file(follow_symlinks=False):
                found.append(path)
            else:
                raise VerificationError(f"{path}: not a regular file", subject=str(path))
    return found
