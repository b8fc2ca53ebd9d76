"""Reads a running LiteLLM's database into `Staging`: one read-only snapshot, by COPY, in the form of a dump.

The URL is LiteLLM's own `DATABASE_URL`; Prisma's parameters in it, unknown to PostgreSQL's client, are left out.
"""

from collections.abc import Iterator
from urllib.parse import parse_qsl, urlencode, urlsplit

import psycopg
from psycopg import sql

from routeiq_appliance.errors import MoveError
from routeiq_appliance.moving.limits import MoveLimits
from routeiq_appliance.moving.literals import Damage, copy_row
from routeiq_appliance.moving.source import require_litellm, stage_row
from routeiq_appliance.moving.staging import Staging
from routeiq_appliance.moving.tables import CARRIED, PREFIX
from routeiq_signing.progress import Progress

__all__ = ["read_database"]

_SECONDS = 10
_PRISMA = frozenset({
    "connection_limit", "pgbouncer", "pool_timeout", "schema", "socket_timeout", "sslaccept", "sslidentity",
    "sslpassword", "statement_cache_size",
})  # fmt: skip
_TABLES = """
    SELECT c.relname, greatest(c.reltuples, 0)::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relkind = 'r' AND starts_with(c.relname, %s)
"""
_COLUMNS = """
    SELECT a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relname = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""  # noqa: E501


def read_database(url: str, staging: Staging, progress: Progress, limits: MoveLimits) -> str:
    """Stage the rows of the database; returns how it may be called in a report. Raises `MoveError`."""
    plain, schema = _plain(url)
    parts = urlsplit(plain)
    name = f"postgresql {parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path}"
    try:
        with psycopg.connect(plain, connect_timeout=_SECONDS, autocommit=True) as connection:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            # As a dump has them, whatever the server's defaults are.
            connection.execute("SET LOCAL DateStyle = 'ISO, MDY'; SET LOCAL TimeZone = 'UTC'")
            connection.execute("SET LOCAL client_encoding = 'UTF8'; SET LOCAL extra_float_digits = 3")
            tables: dict[str, int] = dict(connection.execute(_TABLES, (schema, PREFIX)).fetchall())
            for table in sorted(CARRIED.keys() & tables.keys()):
                with progress.task(f"reading {table}", None, "rows") as advance:
                    for number in _read(connection, schema, table, staging, limits):
                        advance(number)
            for table in tables.keys() - CARRIED.keys():
                staging.tell(table, _count(connection, schema, table))
    except psycopg.Error as error:
        # The first line alone: others may show parameters.
        lines = str(error).strip().splitlines()
        raise MoveError(
            f"{name}: {lines[0] if lines else type(error).__name__}"[:300],
            hint="check the URL, that the server is up, and that the user may read LiteLLM's tables",
        ) from None
    except Damage as damage:
        raise MoveError(f"{name}: {damage}") from None
    require_litellm(tables, staging, name)
    return name


def _plain(url: str) -> tuple[str, str]:
    """Return the URL as PostgreSQL's client takes it, and the schema; raises `MoveError`."""
    try:
        parts = urlsplit(url)
        given = parse_qsl(parts.query, keep_blank_values=True)
        parts.port  # noqa: B018 - raises for what is no port
    except ValueError:
        parts = urlsplit("")
        given = []
    if parts.scheme not in {"postgresql", "postgres"}:
        raise MoveError(
            "the file holds no URL of PostgreSQL", hint="write postgresql://user:password@host:5432/name"
        )
    schema = dict(given).get("schema") or "public"
    query = urlencode([(key, value) for key, value in given if key not in _PRISMA])
    return parts._replace(query=query).geturl(), schema


def _read(
    connection: psycopg.Connection[tuple[str, ...]],
    schema: str,
    table: str,
    staging: Staging,
    limits: MoveLimits,
) -> Iterator[int]:
    columns = tuple(row[0] for row in connection.execute(_COLUMNS, (schema, table)))
    statement = sql.SQL("COPY {}.{} ({}) TO STDOUT").format(
        sql.Identifier(schema), sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for block in copy:
            # The server sends one row at a time.
            line = bytes(block)
            if len(line) > limits.row_bytes:
                raise Damage(f"a row of {table} is larger than {limits.row_bytes} bytes")
            stage_row(staging, table, columns, copy_row(line.removesuffix(b"\n"), len(columns)))
            yield 1


def _count(connection: psycopg.Connection[tuple[str, ...]], schema: str, table: str) -> int:
    query = sql.SQL("SELECT count(*) FROM {}.{}").format(sql.Identifier(schema), sql.Identifier(table))
    row = connection.execute(query).fetchone()
    return int(row[0]) if row is not None else 0
