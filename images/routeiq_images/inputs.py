"""The second tar: everything that the bundle was made from, so that it can be made again without a network.

`inputs.json` maps names to digests, by kind; contents lie beside it as `blobs/sha256/<hex>`, each once. In it are the
Debian packages, the wheels of the image and of the build host (Node's among them) with their attestations (PEP 740),
npm's packages, model files (the exported graphs among them), our source with its executable bits, and the locks that
were used but are not in it (a development build's own). The export's own tools (torch and others) are not: they weigh
more than all the rest, and what they made is here.
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import rfc8785

from routeiq_images.compare.rebuild_inputs import INPUTS_SCHEMA
from routeiq_images.materials import Materials, source_files
from routeiq_signing.bundle_tar import write_tar
from routeiq_signing.progress import Progress

__all__ = ["write_inputs"]


def write_inputs(materials: Materials, path: Path, progress: Progress) -> None:
    """Write the inputs tar to `path`, whole or not at all; the same inputs give the same bytes."""
    fetched = materials.fetched
    blobs: dict[str, Path] = {}

    def digest(file: Path) -> str:
        with file.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
        blobs[f"blobs/sha256/{found}"] = file
        return found

    debs = {deb.name: deb for image in fetched.images.values() for deb in image.debs}
    wheels = {wheel.filename: wheel.path for group in fetched.wheels.values() for wheel in group}
    wheels |= {model.wheel.filename: model.wheel.path for model in fetched.models.values()}
    source = source_files(materials.source)
    root = materials.workspace.root
    document: dict[str, Any] = {
        "schema": INPUTS_SCHEMA,
        "debs": {f"{name}={deb.version}": digest(deb.path) for name, deb in sorted(debs.items())},
        "wheels": _digests(wheels, digest),
        "attestations": _digests({item.filename: item.path for item in fetched.attestations.kept}, digest),
        "npm": _digests({item.filename: item.path for item in fetched.npm}, digest),
        "models": {folder.name: _digests(folder.files, digest) for folder in materials.models},
        "source": {
            name: {"sha256": digest(file), "executable": executable}
            for name, (file, executable) in source.items()
        },
        "locks": {lock.path: digest(root / lock.path) for lock in fetched.locks if lock.path not in source},
    }
    write_tar(path, {"inputs.json": rfc8785.dumps(document), **dict(sorted(blobs.items()))}, progress)


def _digests(files: Mapping[str, Path], digest: Callable[[Path], str]) -> dict[str, str]:
    return {name: digest(path) for name, path in sorted(files.items())}
