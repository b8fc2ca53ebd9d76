"""Keeps each worker's ledger rows on disk until the database has them; decides only whether there is room for more.

One file of whole lines a worker (`segments`: names, locks, reading); a new segment is begun when the last is full, and
the shipper deletes those that it has read.

What survives: a row is in the kernel when `append` returns, so the death of the process loses nothing. A power cut or a
kernel crash may lose rows younger than the last `sync`, which the shipper calls for every batch that the database did
not take at once. So at risk are the rows of the last batch or two (some 200 ms and one attempt of the database), never
rows that wait for longer. A line that a power cut tore is skipped, counted and logged.

A row that the disk does not take (full, faulty) stays in memory and is written as soon as that works; `has_room` is
False meanwhile, so that no further call is admitted and memory is bounded by the calls under way. No row is dropped.
"""

import logging
import os
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from routeiq_appliance.errors import StateError
from routeiq_appliance.state.segments import Claim, Reader, claim, segment_path, segments

__all__ = ["Journal", "JournalLimits"]

_LOG = logging.getLogger(__name__)
_HINT = "ROUTEIQ_DATA_DIR must be a directory that this user may write to"
# More than one block, so that a disk cannot take it into a block that is already there.
_PROBE = b"\n" * 8192


@dataclass(frozen=True, slots=True)
class JournalLimits:
    """Sizes in bytes, per worker; a row is some 700 bytes."""

    segment_bytes: int = 8 << 20
    total_bytes: int = 1 << 30


class Journal:
    """One worker's journal. `append` is for the event loop, the rest for the shipper's thread.

    `worker_id` names the files; when it is in use, or left behind by a dead worker, a number is added. Raises
    `StateError` when the folder cannot be written.
    """

    def __init__(self, folder: Path, worker_id: str, *, limits: JournalLimits | None = None) -> None:
        self.folder = folder
        self._limits = limits or JournalLimits()
        # Uncontended but for the moments when the shipper truncates, retries or deletes.
        self._lock = threading.Lock()
        self._stuck: deque[bytes] = deque()
        self._failing = False
        self._number = 1
        self._size = 0
        self._total = 0
        self._unsynced: set[int] = {1}
        self.appended = 0
        self.has_room = True
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.name, self._claim = _take_name(folder, worker_id)
            self._descriptor = self._open(1)
        except OSError as error:
            reason = (error.strerror or "cannot be written").lower()
            raise StateError(f"{folder}: {reason}", subject=str(folder), hint=_HINT) from None

    def append(self, row: bytes) -> None:
        """Keep one row, a JSON object; never raises, never waits for a disk that works."""
        # A line feed inside JSON is white space only; as one it would end the line.
        line = row.replace(b"\n", b" ") + b"\n"
        with self._lock:
            self.appended += 1
            if self._failing or not self._write(line):
                self._stuck.append(line)

    def read_to(self) -> tuple[int, int]:
        """Return the segment that is being written and how many of its bytes are whole lines."""
        with self._lock:
            return self._number, self._size

    def reader(self) -> Reader:
        """Return the reader of this journal; one at a time."""
        return Reader(self.folder, self.name, self.read_to, self._freed)

    def stuck_rows(self) -> list[bytes]:
        """Return the rows that the disk did not take."""
        with self._lock:
            return [line[:-1] for line in self._stuck]

    def forget_stuck(self, count: int) -> None:
        """Drop the oldest stuck rows: the database has them."""
        with self._lock:
            for _ in range(count):
                self._stuck.popleft()

    def retry(self) -> None:
        """Write what is stuck, and find out whether the disk takes rows again."""
        with self._lock:
            if not self._failing:
                return
            if not self._cut_back():
                return
            while self._stuck and self._write(self._stuck[0]):
                self._stuck.popleft()
            if not self._stuck and self._probe():
                self._failing = False
                self._weigh()
                _LOG.info("ledger journal is written again")

    def sync(self) -> None:
        """Put what was appended on stable storage; raises OSError."""
        with self._lock:
            numbers, self._unsynced = self._unsynced, {self._number}
        for number in sorted(numbers):
            try:
                _sync_path(segment_path(self.folder, self.name, number))
            except FileNotFoundError:
                continue  # Shipped and deleted meanwhile.
        _sync_path(self.folder)

    def empty(self, number: int, size: int) -> bool:
        """Truncate the segment if nothing came after its first `size` bytes, all of them shipped; whether it was."""
        with self._lock:
            if (number, size) != (self._number, self._size) or size == 0:
                return False
            try:
                os.ftruncate(self._descriptor, 0)
            except OSError:
                return False  # The rows stay: posted again some day, they add nothing.
            self._total -= size
            self._size = 0
            self._weigh()
            return True

    def close(self) -> None:
        """Release the files; those without rows are deleted. Rows that are stuck are lost, and logged."""
        with self._lock:
            if self._stuck:
                _LOG.error(
                    "ledger rows lost: neither disk nor database took them", extra={"rows": len(self._stuck)}
                )
            os.close(self._descriptor)
            last = segment_path(self.folder, self.name, self._number)
            if self._size == 0:
                last.unlink(missing_ok=True)
            self._claim.release(delete=not segments(self.folder, self.name))

    def _open(self, number: int) -> int:
        path = segment_path(self.folder, self.name, number)
        return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)

    def _write(self, line: bytes) -> bool:
        """Write a whole line or nothing; the lock is held."""
        try:
            written = os.write(self._descriptor, line)
        except OSError as error:
            self._failed(error.strerror or "write error")
            return False
        if written != len(line):
            self._failed("short write")
            return False
        self._size += written
        self._total += written
        if self._size >= self._limits.segment_bytes:
            self._rotate()
        if self._total >= self._limits.total_bytes:
            self._weigh()
        return True

    def _probe(self) -> bool:
        try:
            enough = os.write(self._descriptor, _PROBE) == len(_PROBE)
            os.ftruncate(self._descriptor, self._size)
        except OSError:
            self._cut_back()
            return False
        return enough

    def _failed(self, reason: str) -> None:
        if not self._failing:
            _LOG.error("ledger journal cannot be written: calls are refused", extra={"reason": reason})
        self._failing = True
        self._weigh()
        self._cut_back()

    def _cut_back(self) -> bool:
        """Remove a part of a line; where even that fails, leave it as the torn end of its segment."""
        try:
            os.ftruncate(self._descriptor, self._size)
        except OSError:
            return self._rotate()
        return True

    def _rotate(self) -> bool:
        try:
            descriptor = self._open(self._number + 1)
        except OSError:
            # The segment grows beyond its size: harmless, and tried again with the next row.
            return False
        os.close(self._descriptor)
        self._descriptor = descriptor
        self._number += 1
        self._size = 0
        self._unsynced.add(self._number)
        return True

    def _freed(self, size: int) -> None:
        with self._lock:
            self._total -= size
            self._weigh()

    def _weigh(self) -> None:
        self.has_room = not self._failing and self._total < self._limits.total_bytes


def _sync_path(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _take_name(folder: Path, worker_id: str) -> tuple[str, Claim]:
    number = 1
    while True:
        name = worker_id if number == 1 else f"{worker_id}-{number}"
        number += 1
        held = claim(folder, name)
        if held is None:
            continue
        if not segments(folder, name):
            return name, held
        held.release(delete=False)
