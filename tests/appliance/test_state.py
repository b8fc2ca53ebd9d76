import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from click.testing import CliRunner
from tests.appliance.postgresql import PostgreSQL

from routeiq_appliance.cli.main import main
from routeiq_appliance.errors import StateError
from routeiq_appliance.state.database import database_url, describe, open_engine
from routeiq_appliance.state.keys import AliasTakenError, Holder, KeyStore
from routeiq_appliance.state.ledger import Ledger
from routeiq_appliance.state.migrate import migrate, wait_for_database
from routeiq_appliance.state.pepper import ensure_pepper, key_digest
from routeiq_appliance.state.schema import SCHEMA, current_revision, require_schema
from routeiq_appliance.state.tables import METADATA, calls
from routeiq_signing.progress import QuietProgress

NOW = datetime(2026, 11, 21, tzinfo=UTC)
PEPPER = b"p" * 32


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    made = open_engine(database_url(None, tmp_path / "data"))
    yield made
    made.dispose()


def _row(number: int) -> bytes:
    row = {"id": f"{number:032x}", "started_at": NOW.isoformat(timespec="microseconds"), "key_id": "k", "kind": "chat",
           "asked": "a", "status": 200, "outcome": "answered"}  # fmt: skip
    return json.dumps(row).encode()


def test_migrating_twice_changes_nothing_and_gives_the_declared_tables(engine: sa.Engine) -> None:  # B8
    assert migrate(engine) == (None, SCHEMA)
    assert migrate(engine) == (SCHEMA, SCHEMA)
    require_schema(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_a_schema_that_is_not_this_releases_is_refused(engine: sa.Engine) -> None:
    with pytest.raises(StateError, match="database: schema is empty, want") as caught:
        require_schema(engine)
    assert caught.value.hint == "run `routeiq admin migrate` first"
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StateError, match="schema 9999 is newer than this release"):
        migrate(engine)
    assert current_revision(engine) == "9999"


def test_waiting_for_a_database_ends_with_the_reason() -> None:
    engine = open_engine(database_url("postgresql://u:planted@127.0.0.1:1/d", Path()))
    with pytest.raises(StateError, match="database: no answer within 0 s") as caught:
        wait_for_database(engine, seconds=0, progress=QuietProgress())
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize("url", ["mysql://h/d", "nonsense", "sqlite:///x"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(StateError, match="DATABASE_URL"):
        database_url(url, Path())


def test_a_database_is_described_without_its_password() -> None:
    assert describe(database_url("postgres://u:planted@h/d", Path())) == "postgresql h:5432/d"


def test_a_data_directory_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError) as caught:
        open_engine(database_url(None, tmp_path / "file"))
    assert caught.value.hint == "set ROUTEIQ_DATA_DIR to a directory that this user may write to"
    with pytest.raises(StateError):
        ensure_pepper(tmp_path / "file")


def test_the_pepper_is_made_once_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    first = ensure_pepper(tmp_path / "d")
    assert ensure_pepper(tmp_path / "d") == first
    assert [p.name for p in (tmp_path / "d").iterdir()] == ["pepper"]
    (tmp_path / "d" / "pepper").write_bytes(b"short")
    with pytest.raises(StateError, match="shorter than 32 bytes"):
        ensure_pepper(tmp_path / "d")


def test_a_digest_depends_on_pepper_and_key() -> None:
    assert len({key_digest(pepper, key) for pepper in (b"a", b"b") for key in ("x", "y")}) == 4


def test_keys_are_found_by_value_only(engine: sa.Engine) -> None:
    migrate(engine)
    store = KeyStore(engine, PEPPER)
    zone = timezone(timedelta(hours=2))
    key, record = store.create(
        now=NOW, expires_at=NOW.astimezone(zone), models=("a",), metadata={"x": 1}, alias="n"
    )
    assert store.find(key) == Holder(record)
    assert store.find(record.id) is None
    assert store.find(key[:-1]) is None
    assert KeyStore(engine, b"q" * 32).find(key) is None
    with pytest.raises(AliasTakenError):
        store.create(now=NOW, expires_at=None, models=(), metadata={}, alias="n")


def test_the_ledger_writes_every_row_before_it_closes(engine: sa.Engine, tmp_path: Path) -> None:
    migrate(engine)
    ledger = Ledger(engine, tmp_path / "journal", worker_id="w")
    ledger.start()
    for number in range(1500):
        ledger.record(_row(number))
    ledger.close(seconds=30)
    assert ledger.waiting == 0
    with engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(calls)).scalar_one() == 1500
    assert list((tmp_path / "journal").iterdir()) == []


def test_admin_migrate_reports_what_it_did(tmp_path: Path) -> None:
    environ = {"ROUTEIQ_DATA_DIR": str(tmp_path / "d")}
    first = CliRunner().invoke(main, ["admin", "migrate"], env=environ)
    assert first.exit_code == 0, first.output
    assert f"migrated from empty to {SCHEMA}" in first.stdout
    second = CliRunner().invoke(main, ["admin", "migrate", "--json"], env=environ)
    assert f'"before": "{SCHEMA}"' in second.stdout


def test_admin_wait_changes_nothing_and_says_what_is_missing(tmp_path: Path) -> None:  # B8
    environ = {"ROUTEIQ_DATA_DIR": str(tmp_path / "d")}
    refused = CliRunner().invoke(main, ["admin", "wait", "--seconds", "0"], env=environ)
    assert refused.exit_code == 1
    assert "error: database: schema is empty, want" in refused.stderr
    assert CliRunner().invoke(main, ["admin", "migrate"], env=environ).exit_code == 0
    waited = CliRunner().invoke(main, ["admin", "wait", "--json"], env=environ)
    assert f'"schema": "{SCHEMA}"' in waited.stdout


@pytest.mark.e2e
def test_postgresql_migrates_once_from_four_places_at_once(
    postgresql: PostgreSQL, tmp_path: Path
) -> None:  # B8
    url = postgresql.new_database()
    results: list[tuple[str | None, str]] = []

    def one() -> None:
        engine = open_engine(database_url(url, Path()))
        results.append(migrate(engine))
        engine.dispose()

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(before or "" for before, _ in results) == ["", *[SCHEMA] * 3]
    engine = open_engine(database_url(url, Path()))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    store = KeyStore(engine, PEPPER)
    key, record = store.create(now=NOW, expires_at=NOW, models=("a",), metadata={"x": 1}, alias="n")
    assert store.find(key) == Holder(record)
    ledger = Ledger(engine, tmp_path / "journal", worker_id="w")
    ledger.start()
    ledger.record(_row(1))
    assert ledger.flush(seconds=60)  # closing leaves on disk what a busy host does not take at once
    ledger.close(seconds=10)
    with engine.connect() as connection:
        assert connection.execute(sa.select(calls.c.started_at)).scalar_one() == NOW
    engine.dispose()


def test_admin_takes_the_database_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("mysql://user:hidden@db/name\n")
    done = CliRunner().invoke(main, ["admin", "migrate"], env={"DATABASE_URL_FILE": str(file)})
    assert done.exit_code != 0
    assert "mysql is not supported" in done.output
    assert "hidden" not in done.output
