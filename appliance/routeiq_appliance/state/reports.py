"""Sums over the ledger: by any of key, team, user, organization, model and day (UTC), and over all of it.

What a sum says of calls that have no price is in columns of its own (`unpriced_requests`): their cost is not known, so
it is in no sum, and a group of nothing else has no spend at all. What rests on our estimate of tokens is told apart.

One statement, read through a cursor of the server (PostgreSQL) or of the library (SQLite): the rows come in pages, and
however many groups there are, one page is in memory. Sums are exact: SQLite adds 64-bit integers and refuses more, so
it adds thousand millions and the rest apart.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

import sqlalchemy as sa

from routeiq_appliance.state.tables import calls, keys, teams

__all__ = [
    "GROUPS",
    "Group",
    "Row",
    "Sums",
    "Wanted",
    "conditions",
    "exact_sum",
    "joined",
    "report_rows",
    "report_total",
    "snapshot",
]

Group = Literal["day", "organization", "team", "user", "key", "model"]
GROUPS: tuple[Group, ...] = get_args(Group)
"""In the order in which a report has them."""
_PAGE = 1_000
_SECONDS = 300
"""How long PostgreSQL may work on one report: a hundred million rows take some minutes."""
_HALF = 10**9
_PRICED = calls.c.cost.is_not(None)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which calls: all that is given must hold. `start` is included, `end` not; both are instants."""

    key_id: str | None = None
    team_id: str | None = None
    user_id: str | None = None
    organization_id: str | None = None
    model: str | None = None
    """The group that was chosen, as the configuration names it."""
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over calls; money in pico-dollars."""

    requests: int = 0
    failed_requests: int = 0
    """Answered with a status of 400 and above."""
    unpriced_requests: int = 0
    """Calls whose deployment has no price: `spend` does not know them."""
    estimated_requests: int = 0
    """Calls whose tokens are our estimate, as the upstream counted none."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    unpriced_tokens: int = 0
    priced_spend: int = 0
    estimated_spend: int = 0
    """The part of `spend` that rests on estimated tokens."""

    @property
    def spend(self) -> int | None:
        """Return what the calls cost, None when none of them has a price."""
        return None if self.requests and self.requests == self.unpriced_requests else self.priced_spend


@dataclass(frozen=True, slots=True)
class Row:
    """The sums of one group. `names` has one name per grouping, None for calls without; days look like 2026-11-21."""

    names: tuple[str | None, ...]
    aliases: tuple[str | None, ...]
    """Of a key and of a team its alias, else None; for what was deleted too."""
    sums: Sums


@contextmanager
def snapshot(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Give a connection on which all reads see the same rows; it may work longer than others. Blocking."""
    postgresql = engine.dialect.name == "postgresql"
    with engine.connect() as connection:
        if postgresql:
            connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            connection.execute(sa.text(f"SET LOCAL statement_timeout = '{_SECONDS}s'"))
        else:
            # The driver begins with the first write only; a read transaction is one snapshot of the log.
            connection.exec_driver_sql("BEGIN")
        try:
            yield connection
        finally:
            connection.rollback()


def report_rows(
    connection: sa.Connection, groups: Sequence[Group], wanted: Wanted, *, page: int = _PAGE
) -> Iterator[list[Row]]:
    """Yield the rows in order of their names, `page` at a time; no group at all is one row over everything."""
    dialect = connection.dialect.name
    names = [_name(group, dialect).label(f"name_{number}") for number, group in enumerate(groups)]
    query = sa.select(*names, *_sums(dialect)).where(*conditions(wanted)).group_by(*names)
    sums = query.subquery("sums")
    order = [sums.c[f"name_{number}"].nulls_first() for number in range(len(groups))]
    source: sa.FromClause = sums
    aliases: list[sa.ColumnElement[Any]] = []
    for number, group in enumerate(groups):
        named = {"key": keys, "team": teams}.get(group)
        if named is None:
            aliases.append(sa.null().label(f"alias_{number}"))
            continue
        table = named.alias(f"named_{number}")
        source = source.outerjoin(table, table.c.id == sums.c[f"name_{number}"])
        aliases.append(table.c.alias.label(f"alias_{number}"))
    result = connection.execute(
        sa.select(*sums.c, *aliases).select_from(source).order_by(*order),
        execution_options={"stream_results": True, "max_row_buffer": page},
    )
    count = len(groups)
    for chunk in result.mappings().partitions(page):
        yield [
            Row(
                tuple(row[f"name_{number}"] for number in range(count)),
                tuple(row[f"alias_{number}"] for number in range(count)),
                _read(row),
            )
            for row in chunk
        ]


def report_total(connection: sa.Connection, wanted: Wanted) -> Sums:
    """Return the sums over all calls that are wanted."""
    query = sa.select(*_sums(connection.dialect.name)).where(*conditions(wanted))
    return _read(connection.execute(query).mappings().one())


def conditions(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    """Return what holds for the calls that are wanted."""
    equal = {
        "key_id": wanted.key_id,
        "team_id": wanted.team_id,
        "user_id": wanted.user_id,
        "organization_id": wanted.organization_id,
        "group": wanted.model,
    }
    found = [calls.c[name] == value for name, value in equal.items() if value is not None]
    if wanted.start is not None:
        found.append(calls.c.started_at >= wanted.start)
    if wanted.end is not None:
        found.append(calls.c.started_at < wanted.end)
    return found


def exact_sum(amount: sa.ColumnElement[Any], name: str, dialect: str) -> list[sa.ColumnElement[Any]]:
    """Return the columns of a sum of whole numbers that cannot overflow; `joined` reads them."""
    if dialect == "postgresql":
        return [sa.func.coalesce(sa.func.sum(sa.cast(amount, sa.Numeric(60, 0))), 0).label(name)]
    whole = sa.cast(amount, sa.BigInteger)
    return [
        # `/` of SQLAlchemy is true division; SQLite's own on integers is not.
        sa.func.coalesce(sa.func.sum(whole.op("/")(sa.literal_column(str(_HALF)))), 0).label(f"{name}_high"),
        sa.func.coalesce(sa.func.sum(whole.op("%")(sa.literal_column(str(_HALF)))), 0).label(name),
    ]


def joined(row: Any, name: str) -> int:
    """Return the sum that `exact_sum` made, from a row's mapping."""
    return int(row.get(f"{name}_high", 0)) * _HALF + int(row[name])


def _name(group: Group, dialect: str) -> sa.ColumnElement[Any]:
    if group != "day":
        return calls.c["group" if group == "model" else f"{group}_id"]
    if dialect == "postgresql":
        return sa.literal_column("to_char(calls.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')", sa.String())
    return sa.func.substr(calls.c.started_at, 1, 10, type_=sa.String())


def _sums(dialect: str) -> list[sa.ColumnElement[Any]]:
    # Two columns of 32 bits: PostgreSQL would refuse their sum.
    tokens = sa.cast(calls.c.prompt_tokens, sa.BigInteger) + calls.c.completion_tokens
    estimated = calls.c.estimated.is_(sa.true())
    return [
        sa.func.count().label("requests"),
        _count(calls.c.status >= _FAILED).label("failed_requests"),
        _count(~_PRICED).label("unpriced_requests"),
        _count(estimated).label("estimated_requests"),
        sa.func.coalesce(sa.func.sum(calls.c.prompt_tokens), 0).label("prompt_tokens"),
        sa.func.coalesce(sa.func.sum(calls.c.completion_tokens), 0).label("completion_tokens"),
        sa.func.coalesce(sa.func.sum(sa.case((~_PRICED, tokens), else_=0)), 0).label("unpriced_tokens"),
        *exact_sum(calls.c.cost, "priced_spend", dialect),
        *exact_sum(sa.case((estimated, calls.c.cost)), "estimated_spend", dialect),
    ]


_FAILED = 400


def _count(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


def _read(row: Any) -> Sums:
    return Sums(
        **{
            name: int(row[name])
            for name in (
                "requests",
                "failed_requests",
                "unpriced_requests",
                "estimated_requests",
                "prompt_tokens",
                "completion_tokens",
                "unpriced_tokens",
            )
        },
        priced_spend=joined(row, "priced_spend"),
        estimated_spend=joined(row, "estimated_spend"),
    )
