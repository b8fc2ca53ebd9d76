"""Opens the database and says which schema version it has; knows SQLite and PostgreSQL (psycopg 3)."""

import os
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection

from routeiq_appliance.errors import StateError

__all__ = ["database_url", "describe", "open_engine"]

_FILE = "routeiq.sqlite3"


def database_url(url: str | None, data_dir: Path) -> URL:
    """Return the URL of the database: `url` (PostgreSQL), or the SQLite file in `data_dir`; raises `StateError`."""
    if url is None:
        return URL.create("sqlite", database=str(data_dir / _FILE))
    try:
        parsed = make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise StateError(
            "DATABASE_URL: not a URL", hint="write postgresql://user:password@host:5432/name"
        ) from None
    if parsed.get_backend_name() not in {"postgresql", "postgres"}:
        raise StateError(
            f"DATABASE_URL: {parsed.get_backend_name()} is not supported",
            hint="use postgresql://…, or unset it for SQLite in ROUTEIQ_DATA_DIR",
        )
    return parsed.set(drivername="postgresql+psycopg")


def describe(url: URL) -> str:
    """Return the URL as it may be shown: without password and query."""
    if url.get_backend_name() == "sqlite":
        return f"sqlite {url.database}"
    return f"postgresql {url.host or 'localhost'}:{url.port or 5432}/{url.database}"


def open_engine(url: URL, *, pool_size: int = 4) -> sa.Engine:
    """Return an engine; a SQLite file is made, readable by its owner only, with a write-ahead log."""
    if url.get_backend_name() == "sqlite":
        _prepare_file(Path(str(url.database)))
        engine = sa.create_engine(url, connect_args={"timeout": 10})
        sa.event.listen(engine, "connect", _tune_sqlite)
        return engine
    return sa.create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=5,
        pool_pre_ping=True,
        # A server that is gone without a word must not hold a thread for the kernel's minutes.
        connect_args={
            "connect_timeout": 5,
            "tcp_user_timeout": 5000,
            "options": "-c statement_timeout=10000",
        },
    )


def _prepare_file(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StateError(
            f"{path.parent}: {(error.strerror or 'cannot be written').lower()}",
            subject=str(path.parent),
            hint="set ROUTEIQ_DATA_DIR to a directory that this user may write to",
        ) from None


def _tune_sqlite(connection: DBAPIConnection, _record: object) -> None:
    cursor = connection.cursor()
    # FULL: a row that was committed survives a power cut.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
