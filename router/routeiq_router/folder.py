"""Artifacts and embedders as folders, for work without a signature: a developer's own training and evaluation.

Whatever is read passes `routeiq_signing`'s allowlist of formats by content. Serving does not come here: it takes
the bytes that `routeiq_signing.model_trust` verified.
"""

from collections.abc import Mapping
from pathlib import Path

from routeiq_router.artifact import MANIFEST_FILE
from routeiq_router.errors import RouterError
from routeiq_signing.files import write_atomic
from routeiq_signing.formats.check import check_format
from routeiq_signing.model_files import SIGNATURE_NAME, read_model_folder

__all__ = ["check_target", "read_unsigned", "write_artifact"]


def read_unsigned(folder: Path) -> dict[str, bytes]:
    """Return every file of `folder` but its signature, by relative path, unverified.

    Raises `VerificationError` for a folder that is none or holds links, `FormatError` for a file of a format
    that is not allowed, wherever in the folder and whatever its name.
    """
    files = read_model_folder(folder, leave_out=folder / SIGNATURE_NAME)
    for name, data in files.items():
        check_format(data, name)
    return files


def check_target(folder: Path) -> None:
    """Raise `RouterError` unless `folder` is new, empty or holds an artifact that may be replaced."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST_FILE).is_file():
        raise RouterError(
            f"{folder}: not empty, and no router artifact",
            subject=str(folder),
            hint="name a new folder with --out",
        )


def write_artifact(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write an artifact's files, each whole; `router.json` last.

    A fault in between leaves a digest that does not match, which loading refuses, never a mixture that passes.
    """
    check_target(folder)
    for name in sorted(files, key=lambda name: (name == MANIFEST_FILE, name)):
        write_atomic(folder / name, files[name])
