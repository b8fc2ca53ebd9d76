"""The ledger as the pipeline sees it: one row a call, kept before the call's slot is given back.

`record` appends to this worker's journal on disk; the shipper moves rows from there to the database, exactly once.
How a call ends is decided by neither: the row's bytes come from `pipeline.settle`.
"""

import logging
from pathlib import Path

import sqlalchemy as sa

from routeiq_appliance.state.journal import Journal, JournalLimits
from routeiq_appliance.state.posting import open_poster
from routeiq_appliance.state.shipper import Pace, Shipper

__all__ = ["Ledger"]

_LOG = logging.getLogger(__name__)


class Ledger:
    """One per worker: start with `start`, end with `close`. Raises `StateError` when `folder` cannot be written.

    `worker_id` names the journal's files; it need not be unique.
    """

    def __init__(
        self,
        engine: sa.Engine,
        folder: Path,
        *,
        worker_id: str,
        limits: JournalLimits | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._journal = Journal(folder, worker_id, limits=limits)
        self._shipper = Shipper(open_poster(engine), self._journal, pace=pace)

    def start(self) -> None:
        """Start to ship, what dead workers left in the folder too."""
        self._shipper.start()

    @property
    def has_room(self) -> bool:
        """Whether a further call may be admitted: a row is never dropped, so calls are refused before it would be."""
        return self._journal.has_room

    @property
    def waiting(self) -> int:
        """Rows of this worker that the database has not taken yet."""
        return self._journal.appended - self._shipper.shipped

    @property
    def refused(self) -> int:
        """Rows that the database could never take; they lie in `refused.jsonl`."""
        return self._shipper.refused

    def record(self, row: bytes) -> None:
        """Keep one row, a JSON object with the columns of `calls` and `charges`; some microseconds, never raises."""
        self._journal.append(row)
        self._shipper.notify()

    def flush(self, *, seconds: float) -> bool:
        """Block until the rows recorded so far are in the database, for at most `seconds`; whether they are."""
        return self._shipper.wait_for(self._journal.appended, seconds=seconds)

    def close(self, *, seconds: float) -> None:
        """Ship what the database takes within `seconds`; the rest stays on disk for the next worker."""
        ended = self._shipper.stop(seconds=seconds)
        if self.waiting:
            _LOG.warning("ledger rows left on disk", extra={"rows": self.waiting})
        if ended:
            self._journal.close()
