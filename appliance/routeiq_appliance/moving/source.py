"""Reads a dump into `Staging`; says whether it is whole, and LiteLLM's.

Refused: what pg_dump did not begin, what it did not end, what goes on after its end, another encoding, the same table
in two schemas, a row that does not fit its table. Rows of tables that are not carried are only counted.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from routeiq_appliance.errors import MoveError
from routeiq_appliance.moving.dump_file import DumpLines, open_dump
from routeiq_appliance.moving.lexer import Comment, CopyEnd, CopyLine, CopyStart, Statement, Token, tokens
from routeiq_appliance.moving.limits import MoveLimits
from routeiq_appliance.moving.literals import (
    Damage,
    copy_row,
    identifier,
    identifiers,
    read_columns,
    read_insert,
)
from routeiq_appliance.moving.staging import Staging
from routeiq_appliance.moving.tables import CARRIED, KEYS, PREFIX
from routeiq_signing.progress import Advance

__all__ = ["read_dump", "require_litellm", "stage_row"]

_BEGIN, _END = "PostgreSQL database dump", "PostgreSQL database dump complete"
_CLUSTER = "PostgreSQL database cluster dump"
_AGAIN = "make the dump again, or copy it again"
_PLAIN = "make it with `pg_dump --file=dump.sql DATABASE`"
_SETTING = re.compile(r"SET (client_encoding|standard_conforming_strings) = '?(\w+)'?;\Z")
_HEAD = re.compile(r'(?:INSERT INTO|CREATE (?:UNLOGGED )?TABLE)\s+((?:"[^"]+"|\w+)(?:\.(?:"[^"]+"|\w+))?)')
_FUNCTION = re.compile(r"CREATE (?:OR REPLACE )?(?:FUNCTION|PROCEDURE)\b")
_ATOMIC = re.compile(r"\bBEGIN\s+ATOMIC\b", re.IGNORECASE)


def read_dump(path: Path, staging: Staging, advance: Advance, limits: MoveLimits) -> None:
    """Stage the rows of the dump at `path`; raises `MoveError`."""
    with open_dump(path, advance, limits) as lines:
        reader = _Reader(lines, staging, limits)
        reader.read(tokens(lines, reader.wants, reader.wants_table, limits))
    require_litellm(reader.tables, staging, str(path))


def require_litellm(tables: Iterable[str], staging: Staging, name: str) -> None:
    """Raise `MoveError` unless the tables are LiteLLM's and hold something."""
    if KEYS not in tables:
        raise MoveError(
            f"{name}: not a database of LiteLLM's: it has no table {KEYS}",
            subject=name,
            hint="dump the database that DATABASE_URL of the LiteLLM proxy names, whole",
        )
    if not any(staging.count(table) for table in CARRIED):
        raise MoveError(
            f"{name}: has LiteLLM's tables and no row of them",
            subject=name,
            hint="dump without --schema-only",
        )


def stage_row(staging: Staging, table: str, columns: tuple[str, ...], values: list[str | None]) -> None:
    """Stage one row; raises `Damage` or `MoveError`."""
    row = dict(zip(columns, values, strict=True))
    parts = []
    for name in CARRIED[table]:
        value = row.get(name)
        if value is None:
            raise Damage(f"a row of {table} has no {name}")
        parts.append(value)
    staging.put(table, "\n".join(parts), row)


class _Reader:
    """Follows the tokens; `tables` holds LiteLLM's tables that were seen, with the columns they were made with."""

    def __init__(self, lines: DumpLines, staging: Staging, limits: MoveLimits) -> None:
        self._lines = lines
        self._staging = staging
        self._limits = limits
        self.tables: dict[str, tuple[str, ...] | None] = {}
        self._written: dict[str, str] = {}
        self._begun = self._ended = False
        self._table = ""
        self._columns: tuple[str, ...] = ()

    def wants(self, head: str) -> bool:
        """Whether a statement is to be kept; raises `MoveError` for one before the dump says what it is."""
        if not self._begun:
            raise self._not_a_dump()
        match = _HEAD.match(head)
        if match is not None:
            return identifier(match[1]).startswith(PREFIX)
        return head.startswith("SET ") or _FUNCTION.match(head) is not None

    def wants_table(self, written: str) -> bool:
        """Whether the rows of a COPY block are to be kept."""
        return identifier(written) in CARRIED

    def read(self, found: Iterable[Token]) -> None:
        """Take every token; raises `MoveError` when the dump is not whole."""
        try:
            for token in found:
                self._take(token)
        except Damage as damage:
            raise self._lines.fault(str(damage), "the dump is damaged: " + _AGAIN) from None
        if not self._begun:
            raise self._not_a_dump()
        if not self._ended:
            raise self._lines.fault("cut off: the dump has no end", _AGAIN)

    def _take(self, token: Token) -> None:
        if isinstance(token, Comment):
            self._comment(token.text)
            return
        if not self._begun:
            raise self._not_a_dump()
        if self._ended:
            raise self._lines.fault("the dump goes on after its end", "dump one database alone, with pg_dump")
        if isinstance(token, CopyLine):
            self._copied(token.raw)
        elif isinstance(token, CopyStart):
            self._table = self._known(token.table)
            self._columns = self._checked(identifiers(token.columns)) if self._table in CARRIED else ()
        elif isinstance(token, Statement) and token.text is not None:
            self._statement(token.text)
        elif isinstance(token, CopyEnd):
            self._table = ""

    def _comment(self, text: str) -> None:
        if text == _CLUSTER:
            raise self._lines.fault("a dump of a whole server, by pg_dumpall", _PLAIN)
        if text == _BEGIN:
            if self._begun:
                raise self._lines.fault("a second dump begins", "give one dump of one database")
            self._begun = True
        elif text == _END:
            self._ended = True
        elif not self._begun and self._lines.line > self._limits.header_lines:
            raise self._not_a_dump()

    def _statement(self, text: str) -> None:
        setting = _SETTING.match(text)
        if setting is not None:
            if setting[1] == "client_encoding" and setting[2].upper() not in {"UTF8", "SQL_ASCII"}:
                raise self._lines.fault(f"encoded in {setting[2]}", "dump with `pg_dump --encoding=UTF8`")
            if setting[1] != "client_encoding" and setting[2] != "on":
                raise self._lines.fault(
                    "strings are not written as standard SQL",
                    "set standard_conforming_strings = on and dump again",
                )
        elif text.startswith("INSERT"):
            self._insert(text)
        elif text.startswith("CREATE") and not _FUNCTION.match(text):
            made = read_columns(text)
            if made is not None:
                self.tables[self._known(made[0])] = made[1]
        elif _ATOMIC.search(text):
            # Its statements end at `;` as those of the dump do.
            raise self._lines.fault(
                "a function with statements in it, which LiteLLM has none of",
                "dump LiteLLM's tables alone: `pg_dump --table='\"LiteLLM_*\"' …`",
            )

    def _insert(self, text: str) -> None:
        head = _HEAD.match(text)
        table = self._known(head[1]) if head else ""
        insert = read_insert(text)
        if table not in CARRIED:
            self._staging.tell(table, len(insert.rows))
            return
        columns = insert.columns or self.tables.get(table)
        if columns is None:
            raise Damage(f"rows of {table} without the names of their columns")
        for values in insert.rows:
            if len(values) != len(columns):
                raise Damage(f"a row has {len(values)} values, its table {len(columns)} columns")
            stage_row(self._staging, table, self._checked(columns), values)

    def _copied(self, raw: bytes | None) -> None:
        if raw is None:
            if self._table.startswith(PREFIX):
                self._staging.tell(self._table, 1)
            return
        stage_row(self._staging, self._table, self._columns, copy_row(raw, len(self._columns)))

    def _known(self, written: str) -> str:
        """Return the table's name; raises `MoveError` when another schema has it, too."""
        name = identifier(written)
        if name.startswith(PREFIX):
            if self._written.setdefault(name, written) != written:
                raise self._lines.fault(
                    f"{name} is in two schemas", "dump one of them: `pg_dump --schema=SCHEMA …`"
                )
            self.tables.setdefault(name, None)
        return name

    def _checked(self, columns: tuple[str, ...]) -> tuple[str, ...]:
        if len(columns) > self._limits.columns:
            raise Damage(f"a table of more than {self._limits.columns} columns")
        return columns

    def _not_a_dump(self) -> MoveError:
        return MoveError(f"{self._lines.name}: not a dump by pg_dump", subject=self._lines.name, hint=_PLAIN)
