"""What decisions were made from is kept for a while, in both databases; what cannot be kept is dropped and counted."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from tests.appliance.ledger_rows import make_row

from routeiq_appliance.routing.why import Embedding
from routeiq_appliance.state.embeddings import (
    EmbeddingKeeper,
    add_embeddings,
    prune_embeddings,
    recorded_decisions,
)
from routeiq_appliance.state.posting import open_poster
from routeiq_appliance.state.tables import embeddings

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MADE = Embedding("sha256:e", "surface/v1", 2, b"\x00\x3c\x00\xbc\x00\x00")


def _row(number: int, **fields: Any) -> dict[str, Any]:
    values = {
        "call_id": f"{number:032x}", "created_at": NOW - timedelta(days=number), "embedder": MADE.embedder,
        "surface": MADE.surface, "dimension": MADE.dimension, "data": MADE.data,
    }  # fmt: skip
    return {**values, **fields}


def _kept(engine: sa.Engine) -> list[str]:
    with engine.connect() as connection:
        return sorted(connection.execute(sa.select(embeddings.c.call_id)).scalars())


def test_the_old_and_the_many_are_deleted(engine: sa.Engine) -> None:
    add_embeddings(engine, [_row(number) for number in range(1, 8)])
    assert prune_embeddings(engine, before=NOW - timedelta(days=5, hours=1), rows=100) == 2
    assert prune_embeddings(engine, before=NOW - timedelta(days=99), rows=3) == 2
    assert _kept(engine) == [f"{number:032x}" for number in (1, 2, 3)]
    assert prune_embeddings(engine, before=NOW - timedelta(days=99), rows=3) == 0


def test_decisions_are_read_with_their_calls_the_newest_first(engine: sa.Engine) -> None:
    add_embeddings(engine, [_row(number) for number in range(1, 5)])
    open_poster(engine).post([make_row(number) for number in (1, 2, 4)])  # the third call's row never came
    found = list(recorded_decisions(engine))
    assert [int(row["id"], 16) for row, _ in found] == [1, 2, 4]
    assert found[0][1] == MADE
    assert [int(row["id"], 16) for row, _ in recorded_decisions(engine, limit=1)] == [1]
    assert [int(r["id"], 16) for r, _ in recorded_decisions(engine, since=NOW - timedelta(days=3))] == [1, 2]


def test_the_keeper_writes_in_its_own_thread_and_prunes(engine: sa.Engine) -> None:
    add_embeddings(engine, [_row(99)])
    keeper = EmbeddingKeeper(engine, days=30, rows=10, now=lambda: NOW)
    keeper.start()
    for number in range(3):
        keeper.keep(f"{number:032x}", NOW, MADE)
    keeper.close(seconds=10)
    assert _kept(engine) == [f"{number:032x}" for number in range(3)]
    assert keeper.dropped == 0


def test_without_a_database_they_are_dropped_and_counted(tmp_path: Path) -> None:
    away = sa.create_engine(f"sqlite:///{tmp_path / 'none' / 'away.sqlite3'}")
    keeper = EmbeddingKeeper(away, days=1, rows=1, now=lambda: NOW)
    for number in range(5000):  # more than wait: nobody writes yet
        keeper.keep(f"{number:032x}", NOW, MADE)
    assert keeper.dropped == 5000 - 4096
    keeper.start()
    keeper.close(seconds=10)
    assert keeper.dropped >= 5000 - 200
    away.dispose()
