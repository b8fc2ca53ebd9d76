"""The files of a journal: which there are, who holds them, and reading them in order (`journal` writes them).

- `NAME.lock`, held by an flock for the worker's life. Whoever gets the flock of another's file knows its worker dead,
  and may ship and delete its journal (`claim`); nobody else touches it.
- `NAME.00000001.jsonl`, …: segments, one JSON object a line. A file put there by hand under a new name is shipped too.

Reading decides what is a row: a whole line that is not blank. The torn end of a segment is skipped, counted, logged.
"""

import fcntl
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path

__all__ = ["Claim", "Reader", "claim", "journal_names", "segment_path", "segments"]

_LOG = logging.getLogger(__name__)
_FILE = re.compile(r"(?P<name>.+?)\.(?:lock|(?P<number>\d{8})\.jsonl)")


class Claim:
    """The flock of a journal: of one's own for life, of a dead worker's while it is shipped."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    def release(self, *, delete: bool) -> None:
        """Give the lock back; `delete` removes its file first, so that nobody takes the name for a journal."""
        if delete:
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def claim(folder: Path, name: str) -> Claim | None:
    """Return the claim on a journal, or None while a live worker holds it; raises OSError."""
    path = folder / f"{name}.lock"
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The holder before may have deleted the file between our open and our flock: then this lock guards nothing.
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            return Claim(path, descriptor)
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def journal_names(folder: Path) -> list[str]:
    """Return the names of all journals in a folder, live or dead."""
    return sorted({match["name"] for item in folder.iterdir() if (match := _FILE.fullmatch(item.name))})


def segment_path(folder: Path, name: str, number: int) -> Path:
    """Return the file of a segment."""
    return folder / f"{name}.{number:08}.jsonl"


def segments(folder: Path, name: str) -> list[int]:
    """Return the numbers of a journal's segments, oldest first."""
    matches = [_FILE.fullmatch(item.name) for item in folder.iterdir()]
    return sorted(int(m["number"]) for m in matches if m and m["name"] == name and m["number"])


class Reader:
    """Reads a journal's lines in order, and deletes segments that were read.

    `read_to` bounds the reading of a live journal; without it the worker is dead and all is read.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        read_to: Callable[[], tuple[int, int]] | None = None,
        freed: Callable[[int], None] | None = None,
    ) -> None:
        self._folder = folder
        self._name = name
        self._read_to = read_to
        self._freed = freed
        self._number: int | None = None
        self._offset = 0
        self._next = 0
        self.torn = 0

    @property
    def position(self) -> tuple[int, int]:
        """Segment, and bytes of it that were read and taken."""
        return self._number or 0, self._offset

    def read(self, size: int) -> list[bytes]:
        """Return rows of about `size` bytes, at least one; none at the end. The same again until `taken`."""
        while True:
            number = self._number if self._number is not None else self._following(0)
            if number is None:
                return []
            self._number = number
            last, end = self._read_to() if self._read_to else (None, 0)
            data = _pread(
                segment_path(self._folder, self._name, number),
                self._offset,
                size,
                end if number == last else None,
            )
            whole = data.rfind(b"\n") + 1
            if whole:
                self._next = self._offset + whole
                rows = [row for row in data[:whole].split(b"\n") if row]
                if rows:
                    return rows
                self._offset = self._next  # Blank lines: a probe of the disk that a kill left.
            elif number == last:
                return []
            else:
                self._finish(number, torn=len(data))

    def taken(self) -> None:
        """Go beyond what was read last."""
        self._offset = self._next

    def emptied(self) -> None:
        """The segment was truncated: read from its start."""
        self._offset = self._next = 0

    def _finish(self, number: int, *, torn: int) -> None:
        if torn:
            self.torn += 1
            _LOG.warning("ledger row torn: skipped", extra={"journal": self._name, "bytes": torn})
        path = segment_path(self._folder, self._name, number)
        path.unlink(missing_ok=True)
        if self._freed is not None:
            self._freed(self._offset)
        self._offset = self._next = 0
        self._number = self._following(number)

    def _following(self, number: int) -> int | None:
        return next((item for item in segments(self._folder, self._name) if item > number), None)


def _pread(path: Path, offset: int, size: int, end: int | None) -> bytes:
    """Return about `size` bytes from `offset`, more if they hold no whole line; up to `end`."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return b""
    try:
        while True:
            wanted = size if end is None else min(size, end - offset)
            data = os.pread(descriptor, wanted, offset) if wanted > 0 else b""
            if len(data) < size or b"\n" in data:
                return data
            size *= 2
    finally:
        os.close(descriptor)
