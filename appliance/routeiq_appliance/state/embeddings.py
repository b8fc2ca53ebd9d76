"""What decisions were made from (`routing.why.Embedding`): kept by opt-in, for a while, beside the ledger.

It is no record: when the database is away, or more comes than it takes, what comes is dropped and counted; a call never
waits. Written in batches by one thread per worker, which also takes away what is too old or too much.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from routeiq_appliance.routing.why import Embedding
from routeiq_appliance.state.schema import reason
from routeiq_appliance.state.tables import calls, embeddings

__all__ = ["EmbeddingKeeper", "add_embeddings", "prune_embeddings", "recorded_decisions"]

_LOG = logging.getLogger(__name__)
_MAX_WAITING = 4096
_BATCH = 200
_PRUNE_SECONDS = 60.0
_Row = dict[str, Any]


def add_embeddings(engine: sa.Engine, rows: Sequence[_Row]) -> None:
    """Insert rows, all or none. Blocking."""
    with engine.begin() as connection:
        connection.execute(sa.insert(embeddings), list(rows))


def prune_embeddings(engine: sa.Engine, *, before: datetime, rows: int) -> int:
    """Delete what is older than `before`, and all but the newest `rows`; returns how many were deleted. Blocking."""
    oldest = (
        sa.select(embeddings.c.created_at)
        .order_by(embeddings.c.created_at.desc(), embeddings.c.call_id.desc())
        .offset(rows)
        .limit(1)
    )
    with engine.begin() as connection:
        limit = connection.execute(oldest).scalar_one_or_none()
        condition = embeddings.c.created_at < before
        if limit is not None:
            condition = sa.or_(condition, embeddings.c.created_at <= limit)
        return int(connection.execute(sa.delete(embeddings).where(condition)).rowcount)


def recorded_decisions(
    engine: sa.Engine, *, since: datetime | None = None, limit: int = 1000
) -> Iterator[tuple[Mapping[str, Any], Embedding]]:
    """Yield rows of `calls` with what their decisions were made from, the newest first. Blocking."""
    kept = (embeddings.c.embedder, embeddings.c.surface, embeddings.c.dimension, embeddings.c.data)
    query = (
        sa.select(calls, *kept)
        .join(embeddings, embeddings.c.call_id == calls.c.id)
        .order_by(embeddings.c.created_at.desc(), embeddings.c.call_id.desc())
        .limit(limit)
    )
    if since is not None:
        query = query.where(embeddings.c.created_at >= since)
    with engine.connect() as connection:
        for row in connection.execute(query).mappings():
            yield dict(row), Embedding(row["embedder"], row["surface"], row["dimension"], row["data"])


class EmbeddingKeeper:
    """One per worker; `days` and `rows` bound what all workers keep."""

    def __init__(
        self,
        engine: sa.Engine,
        *,
        days: int,
        rows: int,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.dropped = 0
        """Embeddings that were not kept."""
        self._engine = engine
        self._age = timedelta(days=days)
        self._rows = rows
        self._now = now
        self._waiting: queue.Queue[_Row | None] = queue.Queue(_MAX_WAITING)
        self._thread = threading.Thread(target=self._run, name="embeddings", daemon=True)

    def keep(self, call_id: str, instant: datetime, embedding: Embedding) -> None:
        """Keep one; never blocks, never raises."""
        row = {
            "call_id": call_id, "created_at": instant, "embedder": embedding.embedder, "surface": embedding.surface,
            "dimension": embedding.dimension, "data": embedding.data,
        }  # fmt: skip
        try:
            self._waiting.put_nowait(row)
        except queue.Full:
            self.dropped += 1

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self, *, seconds: float) -> None:
        """Write what waits, for at most `seconds`."""
        try:
            self._waiting.put(None, timeout=seconds)
        except queue.Full:
            return
        self._thread.join(seconds)

    def _run(self) -> None:
        pruned_at: float | None = None
        ended = False
        while not ended:
            taken = self._take()
            ended = None in taken
            self._write([row for row in taken if row is not None])
            now = time.monotonic()
            if pruned_at is None or now - pruned_at >= _PRUNE_SECONDS:
                pruned_at = now
                self._prune()

    def _take(self) -> list[_Row | None]:
        """Return what waits, one or more; an empty list when nothing came for a while."""
        try:
            found = [self._waiting.get(timeout=_PRUNE_SECONDS)]
        except queue.Empty:
            return []
        while len(found) < _BATCH:
            try:
                found.append(self._waiting.get_nowait())
            except queue.Empty:
                break
        return found

    def _write(self, batch: list[_Row]) -> None:
        if not batch:
            return
        try:
            add_embeddings(self._engine, batch)
        except sa.exc.SQLAlchemyError as error:
            self.dropped += len(batch)
            _LOG.warning("embeddings not kept", extra={"reason": reason(error), "rows": len(batch)})

    def _prune(self) -> None:
        try:
            prune_embeddings(self._engine, before=self._now() - self._age, rows=self._rows)
        except sa.exc.SQLAlchemyError as error:
            _LOG.warning("old embeddings not deleted", extra={"reason": reason(error)})
