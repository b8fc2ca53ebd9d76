"""Reads the inputs tar of a bundle and lays it out for a build: a pool, our source, and the wheels under their names.

The bundle's signed `bundle.json` names the tar's digest; what is laid out are the bytes that were hashed, and it counts
for nothing before the last of them was. Every content is checked against its own name as well, so the fault is named.
"""

import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from routeiq_images.carry.carried_file import open_file
from routeiq_images.errors import ImagesError
from routeiq_signing.errors import DocumentError
from routeiq_signing.limits import LIMITS
from routeiq_signing.manifest import InputsEntry, check_path
from routeiq_signing.progress import Advance, Progress
from routeiq_signing.strict_json import loads
from routeiq_signing.tar_format import BLOCK, end_padding, header, padding

__all__ = ["INPUTS_SCHEMA", "Inputs", "lay_out", "unpack_inputs"]

INPUTS_SCHEMA = "routeiq.inputs/v1"
_NAME = "inputs.json"
_BLOB = re.compile(r"blobs/sha256/([0-9a-f]{64})\Z")
_HEX = re.compile(r"[0-9a-f]{64}\Z")
_WHEEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,250}\.whl\Z")
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a build needs of `inputs.json`; all by hex SHA-256. `source`: path → (digest, executable)."""

    wheels: Mapping[str, str]
    source: Mapping[str, tuple[str, bool]]
    locks: Mapping[str, str]

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Inputs":
        """Parse; raises `DocumentError` naming the field at fault. Other fields are for people and other tools."""
        document = loads(raw, _NAME, limit=LIMITS.manifest)
        if document.get("schema") != INPUTS_SCHEMA:
            raise DocumentError(f"{_NAME}: this version reads {INPUTS_SCHEMA!r}", subject=_NAME)
        wheels = _digests(document, "wheels")
        for name in wheels:
            if not _WHEEL.match(name):
                raise DocumentError(f"{_NAME}: {name[:80]!r} is no name of a wheel", subject=_NAME)
        source = {}
        for path, entry in _object(document, "source").items():
            known = isinstance(entry, dict) and set(entry) == {"sha256", "executable"}
            if not known or not _is_hex(entry["sha256"]) or type(entry["executable"]) is not bool:
                raise DocumentError(f"{_NAME}: source: {path[:80]!r} is no file", subject=_NAME)
            source[check_path(path, f"{_NAME}: source")] = (entry["sha256"], entry["executable"])
        locks = {
            check_path(path, f"{_NAME}: locks"): digest
            for path, digest in (_digests(document, "locks") if "locks" in document else {}).items()
        }
        return cls(wheels, source, locks)


def unpack_inputs(path: Path, entry: InputsEntry, pool: Path, progress: Progress) -> Inputs:
    """Check the tar at `path` against `entry` and put its contents into `pool`/sha256, in one pass.

    Raises `ImagesError` when it is not the tar that the bundle names, or is damaged; then the pool is of no use.
    """
    hint = f"the bundle names {entry.path}, sha256 {entry.sha256}"
    with io.BufferedReader(open_file(path)) as file:
        if os.fstat(file.fileno()).st_size != entry.size:
            size = os.fstat(file.fileno()).st_size
            raise ImagesError(
                f"{path}: {size} bytes, the bundle's inputs have {entry.size}", subject=str(path), hint=hint
            )
        (pool / "sha256").mkdir(parents=True)
        reader = _Reader(file, str(path))
        with progress.task("unpack the inputs", entry.size) as advance:
            raw = reader.document(advance)
            while reader.blob(pool / "sha256", advance):
                pass
        if reader.digest.hexdigest() != entry.sha256:
            raise ImagesError(
                f"{path}: its digest is {reader.digest.hexdigest()}, not that of the bundle's inputs",
                subject=str(path),
                hint=hint,
            )
    try:
        return Inputs.from_bytes(raw)
    except DocumentError as error:
        raise ImagesError(f"{path}: {error}", subject=error.subject) from error


def lay_out(inputs: Inputs, pool: Path, source: Path, wheels: Path) -> None:
    """Write our source to `source`, name the wheels in `wheels`, and tell the pool the wheels' names.

    Raises `ImagesError` for a content that the inputs name and do not hold.
    """
    for path, (digest, executable) in inputs.source.items():
        target = source / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_content(pool, digest, path), target)
        target.chmod(0o755 if executable else 0o644)
    for path, digest in inputs.locks.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_content(pool, digest, path), source / path)
    wheels.mkdir(parents=True)
    for name, digest in inputs.wheels.items():
        os.link(_content(pool, digest, name), wheels / name)
    (pool / "index").mkdir()
    (pool / "index" / "wheels.json").write_text(json.dumps(dict(inputs.wheels)), encoding="ascii")


def _content(pool: Path, digest: str, what: str) -> Path:
    path = pool / "sha256" / digest
    if not path.is_file():
        raise ImagesError(f"{what}: named in {_NAME}, but not in the inputs", subject=what)
    return path


class _Reader:
    """Reads the one form that `write_tar` gives a tar; hashes every byte on the way."""

    def __init__(self, file: BinaryIO, path: str) -> None:
        self._file = file
        self._path = path
        self._offset = 0
        self.digest = hashlib.sha256()

    def document(self, advance: Advance) -> bytes:
        """Return the first member."""
        name, size = self._header()
        if name != _NAME or size > LIMITS.manifest:
            raise self._damaged(f"{name[:80]}: found where {_NAME} must come")
        raw = self._take(size)
        self._padding(size)
        advance(BLOCK + size + padding(size))
        return raw

    def blob(self, folder: Path, advance: Advance) -> bool:
        """Write the next content into `folder`, read-only and under its digest; false at the end of the tar."""
        name, size = self._header()
        if not name:
            rest = end_padding(self._offset - BLOCK) - BLOCK
            if self._take(rest) != bytes(rest) or self._file.read(1):
                raise self._damaged("it goes on after its end")
            advance(BLOCK + rest)
            return False
        found = _BLOB.match(name)
        if found is None:
            raise self._damaged(f"{name[:80]}: has no place in it")
        content, target = hashlib.sha256(), folder / found.group(1)
        if target.exists():
            raise self._damaged(f"{name}: stands twice")
        left = size
        with target.open("xb") as out:
            while left:
                chunk = self._take(min(left, _CHUNK))
                content.update(chunk)
                out.write(chunk)
                left -= len(chunk)
                advance(len(chunk))
            os.fchmod(out.fileno(), 0o444)
        if content.hexdigest() != found.group(1):
            raise self._damaged(f"{name}: its content has the digest {content.hexdigest()}")
        self._padding(size)
        advance(BLOCK + padding(size))
        return True

    def _header(self) -> tuple[str, int]:
        """Return name and size of the next member; an empty name at the end marker."""
        block = self._take(BLOCK)
        if block == bytes(BLOCK):
            return "", 0
        name = block[:100].rstrip(b"\0").decode("ascii", "replace")
        try:
            size = int(block[124:135], 8)
            right = header(name, size) == block
        except (ValueError, DocumentError):
            right = False
        if not right:
            raise self._damaged(f"a header at byte {self._offset - BLOCK} is not one of ours")
        return name, size

    def _padding(self, size: int) -> None:
        count = padding(size)
        if self._take(count) != bytes(count):
            raise self._damaged(f"padding before byte {self._offset} is not zero")

    def _take(self, count: int) -> bytes:
        data = self._file.read(count)
        self._offset += len(data)
        if len(data) != count:
            raise self._damaged(f"cut off at byte {self._offset}")
        self.digest.update(data)
        return data

    def _damaged(self, fault: str) -> ImagesError:
        return ImagesError(
            f"{self._path}: not a bundle's inputs: {fault}",
            subject=self._path,
            hint="copy the file again; the name and digest that it must have are in bundle.json",
        )


def _object(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = document.get(name)
    if not isinstance(value, dict):
        raise DocumentError(f"{_NAME}: field {name} is missing or no object", subject=_NAME)
    return value


def _digests(document: Mapping[str, Any], name: str) -> dict[str, str]:
    found = _object(document, name)
    if not all(_is_hex(digest) for digest in found.values()):
        raise DocumentError(f"{_NAME}: field {name} holds no digests", subject=_NAME)
    return found


def _is_hex(value: Any) -> bool:
    return isinstance(value, str) and bool(_HEX.match(value))
