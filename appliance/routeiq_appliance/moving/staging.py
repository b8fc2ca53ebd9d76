"""Keeps rows aside until all are known: a key names a budget whose row may come later, or earlier.

A SQLite database without a name: on disk once it is large, readable by nobody else, gone with the process.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

from routeiq_appliance.errors import MoveError

__all__ = ["Row", "Staging", "open_staging"]

Row = Mapping[str, str | None]
"""Column → the value as PostgreSQL prints it; None is NULL. A column that the table lacks is absent."""


class Staging:
    """Rows by table and identity; `tell` counts those that are not kept."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._others: dict[str, int] = {}

    def put(self, table: str, identity: str, row: Row) -> None:
        """Keep a row; raises `MoveError` when its table has one of this identity."""
        try:
            self._connection.execute("INSERT INTO rows VALUES (?, ?, ?)", (table, identity, json.dumps(row)))
        except sqlite3.IntegrityError:
            raise MoveError(
                f"{table}: two rows have the same primary key", hint="the dump is damaged: make it again"
            ) from None
        except (sqlite3.Error, UnicodeEncodeError):
            raise MoveError(
                "the rows could not be kept aside", hint="free space in TMPDIR, or set it to another folder"
            ) from None

    def tell(self, table: str, rows: int) -> None:
        """Count rows of a table that are not kept."""
        self._others[table] = self._others.get(table, 0) + rows

    @property
    def others(self) -> Mapping[str, int]:
        """Table → rows that were not kept."""
        return self._others

    def count(self, table: str) -> int:
        """Return how many rows of a table are kept."""
        (found,) = self._connection.execute("SELECT count(*) FROM rows WHERE name = ?", (table,)).fetchone()
        return int(found)

    def rows(self, table: str) -> Iterator[Row]:
        """Yield the rows of a table, in their order."""
        cursor = self._connection.execute("SELECT data FROM rows WHERE name = ? ORDER BY rowid", (table,))
        for (data,) in cursor:
            row: Row = json.loads(data)
            yield row

    def identities(self, table: str, start: str) -> Iterator[str]:
        """Yield the identities of a table's rows that begin with `start`, less that."""
        query = (
            "SELECT identity FROM rows WHERE name = ? AND identity >= ? AND identity < ? ORDER BY identity"
        )
        # No character comes after the last one of Unicode, and none of LiteLLM's ids begins with it.
        for (identity,) in self._connection.execute(query, (table, start, start + "\U0010ffff")):
            yield identity.removeprefix(start)

    def find(self, table: str, identity: str | None) -> Row | None:
        """Return the row of this identity, or None."""
        query = "SELECT data FROM rows WHERE name = ? AND identity = ?"
        found = self._connection.execute(query, (table, identity)).fetchone()
        return None if found is None else json.loads(found[0])


@contextmanager
def open_staging() -> Iterator[Staging]:
    """Yield an empty one."""
    with closing(sqlite3.connect("", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE rows (name TEXT, identity TEXT, data TEXT, UNIQUE (name, identity))")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("BEGIN")
        yield Staging(connection)
