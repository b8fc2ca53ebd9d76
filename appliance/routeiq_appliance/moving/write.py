"""Writes what is carried, and asks what is here already; inside of one transaction that the caller holds.

Rows that are here are left as they are: a second run changes nothing, and an import undoes no admin's work.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from routeiq_appliance.moving.outcome import Carried
from routeiq_appliance.state.tables import keys, spend, teams, users

__all__ = ["ALIAS_TAKEN", "Writer"]

ALIAS_TAKEN = "its alias is another's here: it was left out"
_TABLES: Mapping[str, tuple[sa.Table, str]] = {
    "teams": (teams, "id"),
    "users": (users, "id"),
    "keys": (keys, "digest"),
}


class Writer:
    """One per run."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def here(self, kind: str, rows: Sequence[Carried]) -> frozenset[str]:
        """Return the identities, of those in `rows`, that the table holds."""
        table, column = _TABLES[kind]
        return self._held(table, column, [row.values[column] for row in rows])

    def write(self, kind: str, rows: Sequence[Carried]) -> list[tuple[Carried, bool]]:
        """Write rows that are not here, and what they spent; return each and whether it lost its alias."""
        table, _ = _TABLES[kind]
        unique = bool(table.c.alias.unique)
        taken = set(self._aliases(table, rows)) if unique else set()
        written: list[tuple[Carried, bool]] = []
        values: list[Mapping[str, Any]] = []
        for row in rows:
            alias = row.values["alias"]
            lost = unique and alias in taken
            values.append({**row.values, "alias": None} if lost else row.values)
            written.append((row, lost))
            if unique and alias is not None:
                taken.add(alias)
        if values:
            self._connection.execute(table.insert(), values)
        self._spent(rows)
        return written

    def _aliases(self, table: sa.Table, rows: Iterable[Carried]) -> Collection[str]:
        return self._held(
            table, "alias", [row.values["alias"] for row in rows if row.values["alias"] is not None]
        )

    def _held(self, table: sa.Table, column: str, wanted: Sequence[str]) -> frozenset[str]:
        query = sa.select(table.c[column]).where(table.c[column].in_(wanted))
        return frozenset(self._connection.execute(query).scalars()) if wanted else frozenset()

    def _spent(self, rows: Iterable[Carried]) -> None:
        amounts = [
            {"scope": row.scope, "period": row.period, "amount": row.spent} for row in rows if row.spent > 0
        ]
        if not amounts:
            return
        # A team that was named before it was made has spent under its name.
        here = {
            (item.scope, item.period): item.amount
            for item in self._connection.execute(
                sa.select(spend).where(spend.c.scope.in_([item["scope"] for item in amounts]))
            )
        }
        new = [item for item in amounts if (item["scope"], item["period"]) not in here]
        if new:
            self._connection.execute(spend.insert(), new)
        for item in amounts:
            if (item["scope"], item["period"]) in here:
                where = (spend.c.scope == item["scope"]) & (spend.c.period == item["period"])
                self._connection.execute(
                    spend.update().where(where).values(amount=spend.c.amount + item["amount"])
                )
