"""Writes what is carried, and asks what is here already; inside of one transaction that the caller holds.

Rows that are here are left as they are: a second run changes nothing, and an import undoes no admin's work.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from routeiq_appliance.moving.outcome import Carried
from routeiq_appliance.state.reconcile import CARRIED, COMPARED
from routeiq_appliance.state.tables import budgets, keys, members, organizations, spend, teams, users

__all__ = ["ALIAS_TAKEN", "Writer"]

ALIAS_TAKEN = "its alias is another's here: it was left out"
_TABLES: Mapping[str, tuple[sa.Table, tuple[str, ...]]] = {
    "budgets": (budgets, ("id",)),
    "organizations": (organizations, ("id",)),
    "teams": (teams, ("id",)),
    "users": (users, ("id",)),
    "members": (members, ("kind", "owner_id", "user_id")),
    "keys": (keys, ("digest",)),
}
"""Kind of row → our table, and the columns that tell its rows apart."""


class Writer:
    """One per run."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def write(self, kind: str, rows: Sequence[Carried]) -> tuple[list[tuple[Carried, bool]], int]:
        """Write rows that are not here, and what they spent.

        Returns those that were written, each with whether it lost its alias, and how many are here already.
        """
        table, identity = _TABLES[kind]
        here = self._here(table, identity, rows)
        new = [row for row in rows if _of(row, identity) not in here]
        unique = "alias" in table.c and bool(table.c.alias.unique)
        taken = self._aliases(table, new) if unique else set()
        written: list[tuple[Carried, bool]] = []
        values: list[Mapping[str, Any]] = []
        for row in new:
            alias = row.values["alias"] if unique else None
            lost = alias is not None and alias in taken
            values.append({**row.values, "alias": None} if lost else row.values)
            written.append((row, lost))
            taken |= {alias} - {None}
        if values:
            self._connection.execute(table.insert(), values)
        self._spent(new)
        return written, len(rows) - len(new)

    def _here(
        self, table: sa.Table, identity: tuple[str, ...], rows: Sequence[Carried]
    ) -> set[tuple[Any, ...]]:
        columns = [table.c[name] for name in identity]
        wanted = [_of(row, identity) for row in rows]
        query = sa.select(*columns).where(sa.tuple_(*columns).in_(wanted))
        return {tuple(row) for row in self._connection.execute(query)} if wanted else set()

    def _aliases(self, table: sa.Table, rows: Iterable[Carried]) -> set[str | None]:
        wanted = [row.values["alias"] for row in rows if row.values["alias"] is not None]
        query = sa.select(table.c.alias).where(table.c.alias.in_(wanted))
        return set(self._connection.execute(query).scalars()) if wanted else set()

    def _spent(self, rows: Iterable[Carried]) -> None:
        amounts = [
            {"scope": row.scope, "period": row.period, "amount": row.spent}
            for row in rows
            if row.spent > 0 and row.scope
        ]
        if not amounts:
            return
        # Told apart from what calls cost here: `routeiq admin spend reconcile` takes it off.
        amounts += [
            {**item, "scope": f"{CARRIED}{item['scope']}"}
            for item in amounts
            if str(item["scope"]).startswith(COMPARED)
        ]
        # A team that was named before it was made has spent under its name.
        scopes = [item["scope"] for item in amounts]
        found = self._connection.execute(sa.select(spend).where(spend.c.scope.in_(scopes)))
        here = {(item.scope, item.period) for item in found}
        new = [item for item in amounts if (item["scope"], item["period"]) not in here]
        if new:
            self._connection.execute(spend.insert(), new)
        for item in amounts:
            if (item["scope"], item["period"]) in here:
                where = (spend.c.scope == item["scope"]) & (spend.c.period == item["period"])
                more = spend.update().where(where).values(amount=spend.c.amount + item["amount"])
                self._connection.execute(more)


def _of(row: Carried, identity: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(row.values[name] for name in identity)
