"""What the poster asks SQLite for: the driver keeps every compiled statement, so they are few (H11)."""

from pathlib import Path

import sqlalchemy as sa
from tests.appliance.ledger_rows import ids_of, make_row

from routeiq_appliance.state.database import database_url, open_engine
from routeiq_appliance.state.migrate import migrate
from routeiq_appliance.state.posting import open_poster


def test_batches_of_any_size_use_a_handful_of_statements(tmp_path: Path) -> None:
    engine = open_engine(database_url(None, tmp_path / "data"))
    migrate(engine)
    statements: set[str] = set()

    @sa.event.listens_for(engine, "before_cursor_execute")
    def note(_c: object, _u: object, statement: str, *_: object) -> None:
        statements.add(statement)

    poster, number = open_poster(engine), 0
    for size in [*range(1, 80), 127, 128, 129, 300]:
        rows = [make_row(number + offset) for offset in range(size)]
        number += size
        assert poster.post(rows) == size
    assert ids_of(engine) == list(range(number))
    assert len(statements) <= 15
    engine.dispose()
