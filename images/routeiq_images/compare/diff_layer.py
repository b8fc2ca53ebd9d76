"""Reads the files inside a layer or a chart, a compressed tar that nobody has vouched for, as a table.

Forward only, one chunk at a time, within `DiffLimits`; nothing is written and no path is opened. The headers are taken
apart here because `tarfile` reads an extended header whole, whatever length it claims.
"""

import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from routeiq_images.compare.diff_tar import CHUNK, DIFF_LIMITS, BundleTar, DiffLimits
from routeiq_images.errors import ImagesError
from routeiq_signing.tar_format import BLOCK, padding

__all__ = ["LayerFile", "read_layer", "read_texts"]

_GZIP = b"\x1f\x8b"
_TYPES = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.DIRTYPE: "folder",
    tarfile.SYMTYPE: "link",
    tarfile.LNKTYPE: "hard link",
}


@dataclass(frozen=True, slots=True)
class LayerFile:
    """One entry of a layer; `sha256` is of its content, empty without one."""

    kind: str
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int
    target: str
    sha256: str


def read_layer(tar: BundleTar, name: str, limits: DiffLimits = DIFF_LIMITS) -> dict[str, LayerFile] | None:
    """Return path → what it is of the compressed tar in member `name`; None when it is not gzip."""
    table: dict[str, LayerFile] = {}
    for info, content in _members(tar, name, limits):
        digest = hashlib.sha256()
        for chunk in content:
            digest.update(chunk)
        if len(table) >= limits.entries:
            raise ImagesError(f"{tar.path}: {name}: more than {limits.entries} files", subject=name)
        table[info.name] = LayerFile(
            _TYPES.get(info.type, f"type {info.type!r}"),
            info.mode,
            info.uid,
            info.gid,
            int(info.mtime),
            info.size,
            info.linkname,
            digest.hexdigest() if info.isreg() else "",
        )
    return table if table or _is_gzip(tar, name) else None


def read_texts(
    tar: BundleTar, name: str, wanted: Mapping[str, object], limits: DiffLimits = DIFF_LIMITS
) -> dict[str, bytes]:
    """Return the contents of the files of `wanted`, none larger than `limits.text`."""
    found: dict[str, bytes] = {}
    for info, content in _members(tar, name, limits):
        if info.name in wanted and info.isreg() and info.size <= limits.text:
            found[info.name] = b"".join(content)
            if len(found) == len(wanted):
                break
    return found


def _is_gzip(tar: BundleTar, name: str) -> bool:
    with tar.section(name) as section:
        return section.read(2) == _GZIP


def _members(
    tar: BundleTar, name: str, limits: DiffLimits
) -> Iterator[tuple[tarfile.TarInfo, Iterator[bytes]]]:
    if _is_gzip(tar, name):
        with tar.section(name) as section:
            yield from _entries(_Unpacked(section, f"{tar.path}: {name}", limits), limits)


def _entries(stream: "_Unpacked", limits: DiffLimits) -> Iterator[tuple[tarfile.TarInfo, Iterator[bytes]]]:
    extended: dict[str, str] = {}
    while (block := stream.take(BLOCK)) != bytes(BLOCK):
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise stream.refuse(f"not a tar: {error}") from None
        if info.size < 0:
            raise stream.refuse("a file has a negative size")
        if info.type in {
            tarfile.XHDTYPE,
            tarfile.XGLTYPE,
            tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK,
        }:
            if info.size > limits.extended:
                raise stream.refuse(f"a header of {info.size} bytes, {limits.extended} are allowed")
            raw = stream.take(info.size)
            stream.take(padding(info.size))
            if info.type != tarfile.XGLTYPE:
                extended |= _extended(info.type, raw)
            continue
        _apply(info, extended)
        extended = {}
        left = info.size if info.isreg() else 0
        content = stream.content(left)
        yield info, content
        for _ in content:
            pass
        stream.take(padding(left))


def _extended(kind: bytes, raw: bytes) -> dict[str, str]:
    """Return what a pax or GNU header says; what is not in the form of a record ends it."""
    if kind == tarfile.GNUTYPE_LONGNAME:
        return {"path": raw.rstrip(b"\0").decode("utf-8", "surrogateescape")}
    if kind == tarfile.GNUTYPE_LONGLINK:
        return {"linkpath": raw.rstrip(b"\0").decode("utf-8", "surrogateescape")}
    found: dict[str, str] = {}
    while raw:
        length, _, _ = raw.partition(b" ")
        if not length.isdigit() or len(length) > 8 or not len(length) < int(length) <= len(raw):
            break
        key, _, value = raw[len(length) + 1 : int(length) - 1].partition(b"=")
        found[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        raw = raw[int(length) :]
    return found


def _apply(info: tarfile.TarInfo, extended: Mapping[str, str]) -> None:
    info.name = extended.get("path", info.name).rstrip("/") or "."
    info.linkname = extended.get("linkpath", info.linkname)
    for name in ("size", "uid", "gid"):
        value = extended.get(name, "")
        if value.isdecimal() and len(value) < 16:
            setattr(info, name, int(value))


class _Unpacked:
    """The bytes inside a gzip member, read forward and counted."""

    def __init__(self, section: io.BufferedReader, what: str, limits: DiffLimits) -> None:
        self._file = gzip.GzipFile(fileobj=section, mode="rb")
        self._what = what
        self._left = limits.unpacked

    def take(self, count: int) -> bytes:
        """Return exactly `count` bytes, at most a header's or a chunk's worth."""
        data = self._read(count)
        if len(data) != count:
            raise self.refuse("cut off")
        return data

    def content(self, size: int) -> Iterator[bytes]:
        """Yield the next `size` bytes."""
        while size:
            chunk = self.take(min(size, CHUNK))
            size -= len(chunk)
            yield chunk

    def _read(self, count: int) -> bytes:
        self._left -= count
        if self._left < 0:
            raise self.refuse("unpacks to more than is allowed")
        try:
            return self._file.read(count) if count else b""
        except (OSError, EOFError, zlib.error) as error:
            raise self.refuse(f"damaged: {error}") from None

    def refuse(self, fault: str) -> ImagesError:
        """Return the error that names this member."""
        return ImagesError(f"{self._what}: {fault}", subject=self._what)
