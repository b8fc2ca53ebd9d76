"""A bundle and the inputs tar that it names, small enough for unit tests."""

import gzip
import io
import tarfile
from pathlib import Path

from tests.signing.conftest import SmallBundle, make_bundle, sha256

from routeiq_images.compare.rebuild_inputs import INPUTS_SCHEMA
from routeiq_signing.bundle_tar import write_tar
from routeiq_signing.keys import PrivateKey
from routeiq_signing.manifest import InputsEntry
from routeiq_signing.progress import QuietProgress
from routeiq_signing.strict_json import dumps

SOURCE = {
    "Makefile": (b"all:\n", False),
    "appliance/run": (b"#!/bin/sh\n", True),
    "vendor/locks/build.txt": (b"pip==1\n", False),
}
WHEELS = {"pip-1-py3-none-any.whl": b"wheel of pip"}


def layer_of(files: dict[str, bytes], *, mode: int = 0o644, mtime: int = 0) -> bytes:
    """Return a gzip layer; a name that ends with `@` is a link to its content."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name.rstrip("@"))
            member.mode, member.mtime = mode, mtime
            if name.endswith("@"):
                member.type, member.linkname = tarfile.SYMTYPE, data.decode()
                tar.addfile(member)
            else:
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return gzip.compress(raw.getvalue(), mtime=0)


def bundle_of(key: PrivateKey, files: dict[str, bytes], **changes: object) -> SmallBundle:
    """Return a bundle whose image has one layer of these files."""
    bundle = make_bundle(key, layer=layer_of(files), program=b"verifier")
    return bundle.with_manifest(**changes) if changes else bundle


def write_inputs_tar(path: Path, *, leave_out: str = "", **changes: object) -> InputsEntry:
    """Write inputs of `SOURCE` and `WHEELS`; `changes` replace fields of inputs.json, `leave_out` drops a content."""
    document = {
        "schema": INPUTS_SCHEMA,
        "debs": {},
        "npm": {},
        "models": {},
        "wheels": {name: sha256(data) for name, data in WHEELS.items()},
        "source": {name: {"sha256": sha256(data), "executable": run} for name, (data, run) in SOURCE.items()},
        "locks": {"build/locks/debs.lock.json": sha256(b"{}")},
        **changes,
    }
    contents = [*(data for data, _ in SOURCE.values()), *WHEELS.values(), b"{}"]
    blobs = {f"blobs/sha256/{sha256(data)}": data for data in contents if sha256(data) != leave_out}
    write_tar(path, {"inputs.json": dumps(document), **dict(sorted(blobs.items()))}, QuietProgress())
    return inputs_entry(path)


def inputs_entry(path: Path) -> InputsEntry:
    """Return what bundle.json would say of the file as it is."""
    raw = path.read_bytes()
    return InputsEntry(path.name, sha256(raw), len(raw))
