"""The lines of a dump, plain or gzip, read in bounded pieces. Knows nothing of SQL.

A line's piece that does not end in a line break goes on in the next piece: only rows that nobody wants are that long.
"""

import gzip
import io
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from routeiq_appliance.errors import MoveError
from routeiq_appliance.moving.limits import MoveLimits
from routeiq_signing.progress import Advance

__all__ = ["DumpLines", "open_dump", "size_of"]

_GZIP = b"\x1f\x8b"
_OTHERS = {
    b"PGDMP": (
        "a dump in PostgreSQL's custom format",
        "write it out first: `pg_restore --file=dump.sql DUMP`",
    ),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", "decompress it first, or use gzip"),
    b"BZh": ("compressed with bzip2", "decompress it first, or use gzip"),
    b"\xfd7zXZ": ("compressed with xz", "decompress it first, or use gzip"),
    b"\x04\x22\x4d\x18": ("compressed with lz4", "decompress it first, or use gzip"),
}


class DumpLines:
    """Pieces of lines, and how many bytes of the file they have taken."""

    def __init__(
        self, name: str, file: IO[bytes], raw: IO[bytes], advance: Advance, limits: MoveLimits
    ) -> None:
        self.name = name
        self._file = file
        self._raw = raw
        self._advance = advance
        self._limits = limits
        self._told = 0
        self._taken = 0
        self._pieces = 0
        self.line = 0
        """Number of the line that was read last, from 1."""

    def next(self, most: int) -> bytes:
        """Return the next line, or its first `most` bytes; empty at the end. Raises `MoveError`."""
        try:
            piece = self._file.readline(most)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise MoveError(
                f"{self.name}: the compressed file is damaged or cut off after {self._taken} bytes",
                subject=self.name,
                hint="make the dump again, or copy it again",
            ) from None
        self._taken += len(piece)
        self.line += piece.endswith(b"\n")
        if self._taken > self._limits.dump_bytes:
            raise MoveError(
                f"{self.name}: unpacks to more than {self._limits.dump_bytes} bytes", subject=self.name
            )
        self._pieces += 1
        if self._pieces % 1024 == 0 or not piece:
            position = self._raw.tell()
            self._advance(position - self._told)
            self._told = position
        return piece

    def fault(self, what: str, hint: str | None = None) -> MoveError:
        """Return the error that names the file and the line."""
        return MoveError(f"{self.name}:{self.line}: {what}", subject=self.name, hint=hint)


def size_of(path: Path) -> int:
    """Return a regular file's size in bytes; raises `MoveError`."""
    try:
        found = path.stat()
    except OSError as error:
        raise MoveError(
            f"{path}: {(error.strerror or 'cannot be read').lower()}", subject=str(path)
        ) from None
    # Opening a FIFO that nobody writes to would hang.
    if not stat.S_ISREG(found.st_mode):
        raise MoveError(f"{path}: not a regular file", subject=str(path))
    return found.st_size


@contextmanager
def open_dump(path: Path, advance: Advance, limits: MoveLimits) -> Iterator[DumpLines]:
    """Yield the lines of the file, decompressed when it is gzip; raises `MoveError`."""
    size_of(path)
    with path.open("rb") as raw:
        head = os.pread(raw.fileno(), 8, 0)
        for magic, (what, hint) in _OTHERS.items():
            if head.startswith(magic):
                raise MoveError(f"{path}: {what}", subject=str(path), hint=hint)
        if not head.startswith(_GZIP):
            yield DumpLines(str(path), raw, raw, advance, limits)
            return
        with gzip.GzipFile(fileobj=raw) as unpacked, io.BufferedReader(unpacked, limits.piece_bytes) as file:
            yield DumpLines(str(path), file, raw, advance, limits)
