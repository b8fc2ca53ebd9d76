"""Writes one row per call to the database, off the request's path.

`record` puts the row in a bounded queue; one thread inserts in batches and tries again until the database takes
them, and `close` waits for it. Rows still queued are lost when the process is killed: the journal on disk that
closes this gap is not built yet.
"""

import logging
import queue
import threading
import time
from typing import Any

import sqlalchemy as sa

from routeiq_appliance.state.tables import calls

__all__ = ["Ledger"]

_LOG = logging.getLogger(__name__)
_BATCH = 500
_RETRY_SECONDS = 1.0


class Ledger:
    """Start with `start`, end with `close`."""

    def __init__(self, engine: sa.Engine, *, capacity: int) -> None:
        self._engine = engine
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._capacity = capacity
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._give_up_at: float | None = None

    def start(self) -> None:
        """Start the writer."""
        self._thread.start()

    @property
    def has_room(self) -> bool:
        """Whether a further call may be admitted: a row is never dropped, so calls are refused before it is full."""
        return self._queue.qsize() < self._capacity

    @property
    def waiting(self) -> int:
        """Rows that the database has not taken yet."""
        return self._queue.qsize()

    def record(self, row: dict[str, Any]) -> None:
        """Queue one row; never blocks."""
        self._queue.put(row)

    def close(self, *, seconds: float) -> None:
        """Write what is queued, for at most `seconds`."""
        self._give_up_at = time.monotonic() + seconds
        self._queue.put(None)
        self._thread.join(seconds + _RETRY_SECONDS)

    def _run(self) -> None:
        while True:
            row = self._queue.get()
            if row is None:
                return
            rows, last = [row], False
            while len(rows) < _BATCH and not last:
                try:
                    following = self._queue.get_nowait()
                except queue.Empty:
                    break
                last = following is None
                if following is not None:
                    rows.append(following)
            self._insert(rows)
            if last:
                return

    def _insert(self, rows: list[dict[str, Any]]) -> None:
        while True:
            try:
                with self._engine.begin() as connection:
                    connection.execute(calls.insert(), rows)
                return
            except sa.exc.DataError as error:
                # A value that the database can never take: nothing is gained by trying again.
                _LOG.error("ledger rows refused", extra={"rows": len(rows), "error": type(error).__name__})
                return
            except sa.exc.SQLAlchemyError as error:
                _LOG.warning(
                    "ledger waits for the database", extra={"rows": len(rows), "error": type(error).__name__}
                )
                if self._give_up_at is not None and time.monotonic() >= self._give_up_at:
                    _LOG.error("ledger rows lost at stop", extra={"rows": len(rows)})
                    return
                time.sleep(_RETRY_SECONDS)
