"""Compares two accounts of the same money: the ledger's calls, and the `spend` table that budgets are decided by.

Both are written in one transaction (`state.posting`), so any difference is a fault: a row that was changed or deleted
by hand, a database that was restored in part. Compared are sums over all time, per key, team, user and organization:
`spend` has no days, only periods of budgets.

Not compared: what a key spent of one model (`key:ID/model:GROUP`), which is counted only while such a limit stands;
and the master key, whose calls are in the ledger but charged to nobody. What was carried over from another gateway is
in `spend` without calls; the import writes it under `carried:SCOPE` too, and it is taken off here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from routeiq_appliance.state.reports import Wanted, exact_sum, joined
from routeiq_appliance.state.tables import calls, spend

__all__ = ["CARRIED", "COMPARED", "EVERY_KEY", "Reconciliation", "compare", "compare_all"]

EVERY_KEY = "every key"
CARRIED = "carried:"
"""What the scope of an amount begins with that another gateway had spent."""
_OWNERS = {"key": "key_id", "team": "team_id", "user": "user_id", "organization": "organization_id"}
COMPARED = tuple(f"{kind}:" for kind in _OWNERS)
"""What the scopes begin with that are compared."""
_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The two accounts of one scope over all time, in pico-dollars."""

    scope: str
    """`key:ID`, `team:ID`, `user:ID`, `organization:ID`, or `EVERY_KEY`."""
    ledger: int
    """Cost of the calls that have a price."""
    spend: int
    """Of the `spend` table, without what was carried over."""
    uncharged: int = 0
    """The part of `ledger` that is charged to nobody: the master key's."""
    carried: int = 0
    """What another gateway had spent; the ledger does not know it."""

    @property
    def difference(self) -> int:
        """Return how much more the `spend` table has than it should."""
        return self.spend - (self.ledger - self.uncharged)

    @property
    def reconciled(self) -> bool:
        """Return whether both agree to the pico-dollar."""
        return self.difference == 0


def compare(connection: sa.Connection, wanted: Wanted, *, uncharged: str) -> Reconciliation:
    """Return the accounts of the narrowest scope in `wanted`: its key, team, user, organization, else of every key.

    Its days and model do not count. `uncharged` is the id of the key that is charged to nobody.
    """
    for kind, column in _OWNERS.items():
        owner = getattr(wanted, column)
        if owner is not None:
            scope = f"{kind}:{owner}"
            ledger = _ledger(connection, calls.c[column] == owner)
            nobody = _ledger(connection, calls.c[column] == owner, calls.c.key_id == uncharged)
            carried = _spend(connection, spend.c.scope == f"{CARRIED}{scope}")
            whole = _spend(connection, spend.c.scope == scope)
            return Reconciliation(scope, ledger, whole - carried, nobody, carried)
    carried = _spend(connection, spend.c.scope.startswith(f"{CARRIED}key:"))
    return Reconciliation(
        EVERY_KEY,
        _ledger(connection),
        _spend(connection, *_comparable("key")) - carried,
        _ledger(connection, calls.c.key_id == uncharged),
        carried,
    )


def compare_all(connection: sa.Connection, *, uncharged: str) -> Iterator[Reconciliation]:
    """Yield the accounts of every scope that has any, in order of its name; few are in memory at once."""
    dialect = connection.dialect.name
    parts = []
    for kind, column in _OWNERS.items():
        owner = calls.c[column]
        parts.append(
            sa.select(
                (sa.literal(f"{kind}:") + owner).label("scope"), sa.literal("ledger").label("account"),
                *exact_sum(calls.c.cost, "amount", dialect),
            )
            .where(owner.is_not(None), calls.c.key_id != uncharged, calls.c.cost != 0)
            .group_by(owner)
        )  # fmt: skip
        parts.append(
            sa.select(spend.c.scope, sa.literal("spend"), *exact_sum(spend.c.amount, "amount", dialect))
            .where(*_comparable(kind))
            .group_by(spend.c.scope)
        )
    parts.append(
        sa.select(
            sa.func.substr(spend.c.scope, len(CARRIED) + 1), sa.literal("carried"),
            *exact_sum(spend.c.amount, "amount", dialect),
        )
        .where(spend.c.scope.startswith(CARRIED))
        .group_by(spend.c.scope)
    )  # fmt: skip
    every = sa.union_all(*parts).subquery("accounts")
    result = connection.execute(
        sa.select(every).order_by(every.c.scope),
        execution_options={"stream_results": True, "max_row_buffer": _PAGE},
    )
    scope: str | None = None
    amounts: dict[str, int] = {}
    for row in result.mappings():
        if row["scope"] != scope:
            if scope is not None:
                yield _made(scope, amounts)
            scope, amounts = row["scope"], {}
        amounts[row["account"]] = joined(row, "amount")
    if scope is not None:
        yield _made(scope, amounts)


def _made(scope: str, amounts: dict[str, int]) -> Reconciliation:
    carried = amounts.get("carried", 0)
    return Reconciliation(scope, amounts.get("ledger", 0), amounts.get("spend", 0) - carried, carried=carried)


def _comparable(kind: str) -> list[sa.ColumnElement[bool]]:
    found = [spend.c.scope.startswith(f"{kind}:")]
    if kind == "key":
        # The id of a key has no slash: it is ours.
        found.append(~spend.c.scope.contains("/model:"))
    return found


def _ledger(connection: sa.Connection, *where: sa.ColumnElement[bool]) -> int:
    return _sum(connection, calls.c.cost, where)


def _spend(connection: sa.Connection, *where: sa.ColumnElement[bool]) -> int:
    return _sum(connection, spend.c.amount, where)


def _sum(
    connection: sa.Connection, amount: sa.ColumnElement[Any], where: tuple[sa.ColumnElement[bool], ...]
) -> int:
    query = sa.select(*exact_sum(amount, "amount", connection.dialect.name)).where(*where)
    return joined(connection.execute(query).mappings().one(), "amount")
