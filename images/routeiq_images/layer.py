"""Writes a file tree as an image layer: the same tree gives the same bytes on every host.

A pax tar with constant times and sorted names, through one pinned compressor (ISA-L, level 2: many times faster
than zlib; its output up to this level is the same on every CPU from SSE4.2 up). Gzip, because Docker
before 23 refuses zstd layers.
"""

import hashlib
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from routeiq_images.blobs import BlobStore
from routeiq_images.tree import Entry, Tree

__all__ = ["LAYER_MEDIA_TYPE", "LAYER_MTIME", "Layer", "write_layer"]

LAYER_MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
LAYER_MTIME = 315532800  # 1980-01-01T00:00:00Z, the first time that zip archives can hold
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Layer:
    """`digest` and `size` are of the compressed blob, `diff_id` of the tar inside; `comment` goes to the history."""

    digest: str
    size: int
    diff_id: str
    unpacked: int
    comment: str


class _Chunks(io.RawIOBase):
    """Hands a compressor chunks of one size, so that its output does not depend on how a tar is written."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._buffer = bytearray()
        self.digest = hashlib.sha256()
        self.written = 0

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        view = memoryview(data)  # type: ignore[arg-type]
        self.digest.update(view)
        self.written += len(view)
        self._buffer += view
        while len(self._buffer) >= _CHUNK:
            self._out.write(bytes(self._buffer[:_CHUNK]))
            del self._buffer[:_CHUNK]
        return len(view)

    def finish(self) -> None:
        self._out.write(bytes(self._buffer))
        self._buffer.clear()


def write_layer(tree: Tree, store: BlobStore, comment: str) -> Layer:
    """Write `tree` as one blob of `store`."""
    from isal import igzip  # noqa: PLC0415  only the build host has it

    with store.new() as blob:
        with igzip.IGzipFile(filename="", fileobj=blob, mode="wb", compresslevel=2, mtime=0) as packed:
            chunks = _Chunks(packed)
            with tarfile.open(fileobj=chunks, mode="w|", format=tarfile.PAX_FORMAT) as tar:
                for path, entry in tree.items():
                    _add(tar, path, entry)
            chunks.finish()
        digest, size = store.keep(blob)
    return Layer(digest, size, f"sha256:{chunks.digest.hexdigest()}", chunks.written, comment)


def _add(tar: tarfile.TarFile, path: str, entry: Entry) -> None:
    member = tarfile.TarInfo(path)
    member.mode, member.uid, member.gid, member.mtime = entry.mode, entry.uid, entry.gid, LAYER_MTIME
    if entry.is_directory:
        member.type = tarfile.DIRTYPE
        tar.addfile(member)
    elif entry.target is not None:
        member.type, member.linkname = tarfile.SYMTYPE, entry.target
        tar.addfile(member)
    elif isinstance(entry.content, Path):
        member.size = entry.content.stat().st_size
        with entry.content.open("rb") as content:
            tar.addfile(member, content)
    else:
        data = entry.content or b""
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
