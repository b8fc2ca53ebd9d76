"""Puts rows of the journal into `calls` and adds their cost to `spend`: one transaction, each row once, or no row.

A row that `calls` already has adds nothing, so a batch may be posted again after any doubt. Names that a row lacks are
NULL, or 0, false and one attempt where the column needs a value.

The two databases differ in where the work is cheap. PostgreSQL takes the lines as one JSON text and does all of it in
one statement: it runs on another core, and this one only copies bytes. SQLite runs on this core, where `json_extract`
of 23 names costs twice as much as checking and binding them here; the check also refuses what SQLite would store
although the column's type is another.
"""

import itertools
import operator
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from pydantic_core import SchemaValidator, ValidationError, core_schema, to_json

from routeiq_appliance.errors import StateError

__all__ = ["Poster", "RefusedRowsError", "open_poster"]

_TEXT = (
    "key_id",
    "team_id",
    "user_id",
    "organization_id",
    "kind",
    "asked",
    "group",
    "deployment",
    "provider",
    "outcome",
    "trace_id",
)
_NEEDED = ("id", "started_at", "key_id", "kind", "asked", "status", "outcome")
_DEFAULTS: dict[str, int | bool] = {
    "stream": False, "prompt_tokens": 0, "completion_tokens": 0, "estimated": False, "attempts": 1, "duration_ms": 0,
}  # fmt: skip
_INTEGERS = (
    "status",
    "prompt_tokens",
    "completion_tokens",
    "cost",
    "attempts",
    "duration_ms",
    "first_token_ms",
)
_COLUMNS = (
    "id", "started_at", "key_id", "team_id", "user_id", "organization_id", "kind", "asked", "group", "deployment",
    "provider", "status", "outcome", "stream", "prompt_tokens", "completion_tokens", "estimated", "cost", "attempts",
    "duration_ms", "first_token_ms", "trace_id", "decision",
)  # fmt: skip
_LARGEST = 2**63 - 1
_ROWS_PER_STATEMENT = (256, 128, 64, 32, 16, 8, 4, 2, 1)
"""Few sizes, so few statements: the driver keeps 128 compiled ones, and one for every size took 80 MB. Powers of two
make any batch of a handful. SQLite binds 32,766 values at most."""


class RefusedRowsError(StateError):
    """The database can never take at least one row of the batch; none was taken."""


class Poster:
    """Posts rows to one kind of database; used from one thread."""

    def post(self, rows: Sequence[bytes]) -> int:
        """Post JSON objects and return how many were new.

        Raises `RefusedRowsError`, or SQLAlchemy's error while the database is away: then whether the rows were taken
        may be unknown, and they are to be posted again.
        """
        raise NotImplementedError


def open_poster(engine: sa.Engine) -> Poster:
    """Return the poster for an engine's kind of database."""
    return _PostgreSQL(engine) if engine.dialect.name == "postgresql" else _SQLite(engine)


class _PostgreSQL(Poster):
    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._sql = _postgresql()

    def post(self, rows: Sequence[bytes]) -> int:
        try:
            text = b"".join((b"[", b",".join(rows), b"]")).decode()
        except UnicodeDecodeError:
            raise RefusedRowsError("ledger rows: not UTF-8") from None
        try:
            with self._engine.begin() as connection:
                return int(connection.exec_driver_sql(self._sql, (text,)).scalar_one())
        except (sa.exc.DataError, sa.exc.IntegrityError) as error:
            raise RefusedRowsError(f"ledger rows: {_reason(error)}") from None
        except sa.exc.OperationalError as error:
            # Class 54, a limit of the server: nesting, sizes. It will not pass by itself, as an outage does.
            if (getattr(error.orig, "sqlstate", None) or "").startswith("54"):
                raise RefusedRowsError(f"ledger rows: {_reason(error)}") from None
            raise


class _SQLite(Poster):
    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._rows = SchemaValidator(core_schema.list_schema(_row_schema()))
        names = ", ".join(f'"{name}"' for name in _COLUMNS)
        self._insert = f"INSERT INTO calls ({names}) VALUES "  # noqa: S608 - names from this module
        self._values = "(" + ", ".join("?" * len(_COLUMNS)) + ")"
        self._ordered = operator.itemgetter(*_COLUMNS)

    def post(self, rows: Sequence[bytes]) -> int:
        try:
            parsed = self._rows.validate_json(b"".join((b"[", b",".join(rows), b"]")))
            for row in parsed:
                row["started_at"] = _instant(row["started_at"])
                row["decision"] = None if row["decision"] is None else to_json(row["decision"]).decode()
        except ValidationError as error:
            # Never the input: a row holds names that callers chose.
            first = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(str(item) for item in first["loc"][1:])
            raise RefusedRowsError(f"ledger rows: {place or 'JSON'}: {first['type']}") from None
        except ValueError:
            raise RefusedRowsError("ledger rows: started_at: not an instant") from None
        try:
            with self._engine.begin() as connection:
                return self._post(connection, {row["id"]: row for row in reversed(parsed)})
        except (sa.exc.DataError, sa.exc.IntegrityError) as error:
            raise RefusedRowsError(f"ledger rows: {_reason(error)}") from None

    def _post(self, connection: sa.Connection, rows: dict[str, dict[str, Any]]) -> int:
        # The driver would begin with the first write only: another shipper could write between look-up and insert.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        known = connection.exec_driver_sql(
            "SELECT id FROM calls WHERE id IN (SELECT value FROM json_each(?))",
            (to_json(list(rows)).decode(),),
        )
        for (identifier,) in known.all():
            del rows[identifier]
        if not rows:
            return 0
        # Many rows a statement: the driver lets go of the interpreter for each one, and gets it back only when the
        # event loop's thread yields.
        for chunk in _chunks(list(rows.values())):
            bound = tuple(itertools.chain.from_iterable(map(self._ordered, chunk)))
            connection.exec_driver_sql(self._insert + ", ".join([self._values] * len(chunk)), bound)
        amounts = _amounts(rows.values())
        if amounts:
            connection.exec_driver_sql(
                "INSERT INTO spend (scope, period, amount) VALUES (?, ?, ?) "
                "ON CONFLICT (scope, period) DO UPDATE SET amount = amount + excluded.amount",
                [(scope, period, amount) for (scope, period), amount in sorted(amounts.items())],
            )
        return len(rows)


def _chunks(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    start = 0
    for size in _ROWS_PER_STATEMENT:
        while len(rows) - start >= size:
            yield rows[start : start + size]
            start += size


def _amounts(rows: Any) -> dict[tuple[str, int], int]:
    amounts: dict[tuple[str, int], int] = {}
    for row in rows:
        cost = row["cost"]
        if cost:
            for charge in row["charges"]:
                amounts[charge] = amounts.get(charge, 0) + cost
    if any(abs(amount) > _LARGEST for amount in amounts.values()):
        raise RefusedRowsError("ledger rows: a sum of costs is out of range")
    return amounts


def _instant(value: str) -> str:
    """Return an ISO 8601 instant as SQLAlchemy keeps it in SQLite: UTC, without a zone; raises ValueError."""
    instant = datetime.fromisoformat(value)
    if len(value) == 27 and value[7] == "-" and value.endswith("Z"):
        return f"{value[:10]} {value[11:26]}"  # As `settle` writes it.
    return instant.astimezone(UTC).isoformat(" ", "microseconds")[:26]


def _row_schema() -> core_schema.CoreSchema:
    text = core_schema.str_schema(strict=True)
    whole = core_schema.int_schema(strict=True, ge=-_LARGEST, le=_LARGEST)
    flag = core_schema.bool_schema(strict=True)
    kinds: dict[str, core_schema.CoreSchema] = {name: core_schema.any_schema() for name in _COLUMNS}
    kinds |= dict.fromkeys((*_TEXT, "id", "started_at"), text) | dict.fromkeys(_INTEGERS, whole)
    kinds |= {"stream": flag, "estimated": flag}
    fields = {}
    for name, kind in kinds.items():
        nullable = kind if name in _NEEDED else core_schema.nullable_schema(kind)
        if name in _DEFAULTS:
            nullable = core_schema.with_default_schema(kind, default=_DEFAULTS[name])
        elif name not in _NEEDED:
            nullable = core_schema.with_default_schema(nullable, default=None)
        fields[name] = core_schema.typed_dict_field(nullable)
    charge = core_schema.tuple_schema([text, whole])
    fields["charges"] = core_schema.typed_dict_field(
        core_schema.with_default_schema(core_schema.list_schema(charge), default=())
    )
    return core_schema.typed_dict_schema(fields)


def _postgresql() -> str:
    """Return the statement; its parameter is a JSON array of rows.

    Rows are inserted, and spend is added, in sorted order: two workers that post the same rows, or charge the same
    scopes, wait for each other instead of in a circle.
    """
    types = dict.fromkeys(_COLUMNS, "text") | dict.fromkeys(_INTEGERS, "integer")
    types |= {"started_at": "timestamptz", "stream": "boolean", "estimated": "boolean", "cost": "numeric",
              "decision": "jsonb", "charges": "jsonb"}  # fmt: skip
    declared = ", ".join(f'"{name}" {kind}' for name, kind in types.items())
    names = ", ".join(f'"{name}"' for name in _COLUMNS)
    values = ", ".join(
        f'coalesce("{name}", {str(_DEFAULTS[name]).lower()})' if name in _DEFAULTS else f'"{name}"'
        for name in _COLUMNS
    )
    return f"""
WITH posted AS MATERIALIZED (
    SELECT DISTINCT ON (id) * FROM jsonb_to_recordset(CAST(%s AS jsonb)) AS r({declared}) ORDER BY id
), taken AS (
    INSERT INTO calls ({names}) SELECT {values} FROM posted ON CONFLICT (id) DO NOTHING RETURNING id
), charged AS (
    INSERT INTO spend (scope, period, amount)
    SELECT charge ->> 0, CAST(charge ->> 1 AS bigint), sum(cost)
    FROM taken JOIN posted USING (id), jsonb_array_elements(charges) AS charge
    WHERE cost <> 0 GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (scope, period) DO UPDATE SET amount = spend.amount + excluded.amount
)
SELECT count(*) FROM taken"""  # noqa: S608 - names from this module


def _reason(error: sa.exc.DBAPIError) -> str:
    """Return the kind of fault without the statement and its values."""
    return getattr(error.orig, "sqlstate", None) or getattr(error.orig, "sqlite_errorname", None) or "refused"
