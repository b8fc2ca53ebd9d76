"""Ships the journal's rows to the database, from a thread of its own: batches, retries, dead workers' journals.

Decides when to try and what to give up: a batch is what came within some 200 ms; while the database is away attempts
are spread by exponential backoff with jitter, and rows that it did not take are put on stable storage; a row that it
can never take goes to `refused.jsonl` in the journal's folder (as it was, an error is logged), so that the others do
not wait behind it. Once repaired, such rows are shipped when put into the folder as `repaired.00000001.jsonl`.

Every few seconds it looks for a journal whose worker is dead, and ships and deletes it: one worker at a time has its
lock, and were there two, `posting` would still take each row once.
"""

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from routeiq_appliance.state.journal import Journal
from routeiq_appliance.state.posting import Poster, RefusedRowsError
from routeiq_appliance.state.segments import Claim, Reader, claim, journal_names

__all__ = ["Pace", "Shipper"]

_LOG = logging.getLogger(__name__)
_REFUSED = "refused.jsonl"
# At the deadline an attempt may be under way; a database that hangs for longer is left to the process's end.
_LAST_ATTEMPT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds, but for `batch_bytes`: some 800 rows."""

    gather: float = 0.2
    idle: float = 2.0
    adopt: float = 5.0
    backoff: float = 0.25
    longest_backoff: float = 15.0
    batch_bytes: int = 512 << 10


class Shipper:
    """`start`, `notify` after each append, `stop`. `step` and `adopt` are the thread's work, one round each."""

    def __init__(
        self,
        poster: Poster,
        journal: Journal,
        *,
        pace: Pace | None = None,
        jitter: Callable[[], float] | None = None,
    ) -> None:
        self._poster = poster
        self._journal = journal
        self._pace = pace or Pace()
        self._jitter = jitter or random.SystemRandom().random
        self._reader = journal.reader()
        self._adopted: tuple[str, Reader, Claim] | None = None
        self._foreign: set[str] = set()
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._ending = threading.Event()
        self._progress = threading.Condition()
        self._stop_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self.shipped = 0
        self.refused = 0

    @property
    def torn(self) -> int:
        """Rows of this worker's journal that were torn."""
        return self._reader.torn

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def notify(self) -> None:
        """Say that a row was appended; costs next to nothing when it was said already."""
        if not self._wake.is_set():
            self._wake.set()

    def wait_for(self, count: int, *, seconds: float) -> bool:
        """Wait until `count` rows of this journal were shipped; whether they were."""
        self._hurry.set()
        self._wake.set()
        with self._progress:
            return self._progress.wait_for(lambda: self.shipped >= count, seconds)

    def stop(self, *, seconds: float) -> bool:
        """Ship what there is, for at most `seconds`, and end the thread; whether it ended."""
        self._stop_at = time.monotonic() + seconds
        self._ending.set()
        self._hurry.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(seconds + _LAST_ATTEMPT_SECONDS)
        if self._thread.is_alive():
            return False
        self._release(delete=False)
        self._tidy()
        return True

    def step(self) -> bool:
        """Ship one batch of this journal; whether there was one. Raises SQLAlchemy's error, or OSError."""
        self._journal.retry()
        stuck = self._journal.stuck_rows()
        if stuck:
            # The disk does not take them: only memory holds them, so they go first.
            self._post(stuck)
            self._journal.forget_stuck(len(stuck))
            self._count(len(stuck))
        rows = self._reader.read(self._pace.batch_bytes)
        if not rows:
            return bool(stuck)
        self._post(rows)
        self._reader.taken()
        self._count(len(rows))
        return True

    def adopt(self) -> bool:
        """Ship one batch of a dead worker's journal; whether there was one. Raises like `step`."""
        if self._adopted is None:
            self._adopted = self._find_dead()
        if self._adopted is None:
            return False
        name, reader, _ = self._adopted
        rows = reader.read(self._pace.batch_bytes)
        if rows:
            self._post(rows)
            reader.taken()
            return True
        _LOG.info("ledger journal of a dead worker shipped", extra={"journal": name, "torn": reader.torn})
        self._release(delete=True)
        return True

    def _find_dead(self) -> tuple[str, Reader, Claim] | None:
        folder = self._journal.folder
        for name in journal_names(folder):
            if name == self._journal.name or name in self._foreign:
                continue
            try:
                held = claim(folder, name)
            except OSError as error:
                # Another user's, say: no reason to leave the others' rows where they are.
                self._foreign.add(name)
                _LOG.error(
                    "ledger journal cannot be adopted", extra={"journal": name, "reason": error.strerror}
                )
                continue
            if held is not None:
                return name, Reader(folder, name), held
        return None

    def _release(self, *, delete: bool) -> None:
        if self._adopted is not None:
            held, self._adopted = self._adopted[2], None
            held.release(delete=delete)

    def _post(self, rows: Sequence[bytes]) -> None:
        try:
            self._poster.post(rows)
        except RefusedRowsError as error:
            if len(rows) == 1:
                self._park(rows[0], str(error))
                return
            half = len(rows) // 2
            self._post(rows[:half])
            self._post(rows[half:])

    def _park(self, row: bytes, reason: str) -> None:
        """Put a row aside; raises OSError, and is then tried again with its batch."""
        path = self._journal.folder / _REFUSED
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            if os.write(descriptor, row + b"\n") != len(row) + 1:
                raise OSError(f"{path}: short write")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self.refused += 1
        _LOG.error("ledger row refused by the database: parked", extra={"file": str(path), "reason": reason})

    def _count(self, rows: int) -> None:
        with self._progress:
            self.shipped += rows
            self._progress.notify_all()

    def _run(self) -> None:
        failures, idle, adopt_at = 0, False, 0.0
        while True:
            self._wake.clear()
            self._hurry.clear()
            busy = True
            try:
                if idle:
                    self._tidy()
                busy = self.step()
                if self._stop_at is None and time.monotonic() >= adopt_at and not self.adopt():
                    # Spread, so that many workers do not try the same lock at once.
                    adopt_at = time.monotonic() + self._pace.adopt * (0.5 + self._jitter())
                if failures:
                    _LOG.info("ledger ships again", extra={"attempts": failures + 1})
                failures = 0
            except (sa.exc.SQLAlchemyError, OSError) as error:
                failures += 1
                self._save(error, failures)
            if self._stop_at is not None and (not busy or time.monotonic() >= self._stop_at):
                return
            if failures:
                self._back_off(failures)
            elif self._adopted is None and not (busy and self._behind()):
                idle = self._rest(busy=busy)

    def _save(self, error: Exception, failures: int) -> None:
        """Put the rows that wait on stable storage: they may wait for long."""
        _LOG.warning(
            "ledger waits for the database", extra={"error": type(error).__name__, "attempts": failures}
        )
        try:
            self._journal.sync()
        except OSError as fault:
            _LOG.error("ledger journal cannot be synced", extra={"reason": fault.strerror})

    def _back_off(self, failures: int) -> None:
        if self._stop_at is not None:
            time.sleep(self._pace.gather)  # Use the little time that is left.
            return
        # 2**20 is far beyond the longest; unbounded, the power would overflow in a long outage.
        longest = min(self._pace.longest_backoff, self._pace.backoff * 2.0 ** min(failures, 20))
        self._ending.wait(longest * self._jitter())

    def _rest(self, *, busy: bool) -> bool:
        """Wait for rows, then for those that come with them; whether none came for long."""
        if not busy and not self._wake.wait(self._pace.idle):
            return True
        self._hurry.wait(self._pace.gather)
        return False

    def _behind(self) -> bool:
        number, size = self._journal.read_to()
        at, offset = self._reader.position
        return number != at or size - offset >= self._pace.batch_bytes

    def _tidy(self) -> None:
        """Forget rows that the database has, so that an adoption in a distant future finds none to post again."""
        number, offset = self._reader.position
        if self._journal.empty(number, offset):
            self._reader.emptied()
