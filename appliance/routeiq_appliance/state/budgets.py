"""Named budgets in the database: keys, teams, users and organizations refer to them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from routeiq_appliance.state.access import ConflictError, transaction
from routeiq_appliance.state.records import BudgetRecord, allowance_columns, anchored
from routeiq_appliance.state.rows import BUDGETED, read_budget
from routeiq_appliance.state.tables import budgets

__all__ = ["BudgetStore"]


class BudgetStore:
    """Blocking: call from an executor. Raises `StateError` when the database does not answer."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def create(self, budget: BudgetRecord) -> None:
        """Add a budget; raises `TakenError` when its id is taken."""
        limits = allowance_columns(budget.allowance)
        del limits["blocked"]
        row = {"id": budget.id, "created_at": budget.created_at, "updated_at": budget.updated_at, **limits}
        with transaction(self._engine, taken=("budget_id", budget.id)) as connection:
            connection.execute(budgets.insert().values(row))

    def get(self, budget_id: str) -> BudgetRecord | None:
        """Return a budget, or None when there is none."""
        with transaction(self._engine) as connection:
            return _get(connection, budget_id)

    def some(
        self, identities: Sequence[str] | None = None, *, limit: int | None = None, offset: int = 0
    ) -> list[BudgetRecord]:
        """Return those budgets that exist, or all, in the order of their ids."""
        query = _all().order_by(budgets.c.id).limit(limit).offset(offset)
        if identities is not None:
            query = query.where(budgets.c.id.in_(identities))
        with transaction(self._engine) as connection:
            return [read_budget(row) for row in connection.execute(query).mappings()]

    def update(self, budget_id: str, changes: Mapping[str, Any], *, now: datetime) -> BudgetRecord | None:
        """Change columns and return the budget; None when there is none."""
        with transaction(self._engine) as connection:
            before = _get(connection, budget_id)
            if before is None:
                return None
            values = {**anchored(changes, before.allowance, now), "updated_at": now}
            connection.execute(budgets.update().where(budgets.c.id == budget_id).values(values))
            return _get(connection, budget_id)

    def delete(self, budget_id: str) -> BudgetRecord | None:
        """Delete a budget and return it; None when there is none.

        Raises `ConflictError` while anything refers to it: without it, that would have no limits.
        """
        with transaction(self._engine) as connection:
            # Whoever refers to it holds a lock until committed; only a statement after this one sees them all.
            connection.execute(sa.select(budgets.c.id).where(budgets.c.id == budget_id).with_for_update())
            before = _get(connection, budget_id)
            if before is None:
                return None
            unused = [
                ~sa.exists(sa.select(table.c.id).where(table.c.budget_id == budget_id)) for table in BUDGETED
            ]
            gone = connection.execute(budgets.delete().where(budgets.c.id == budget_id, *unused))
            if gone.rowcount != 1:
                raise ConflictError(
                    f"`id`: the budget `{budget_id}` is in use: take it from all that refer to it first",
                    subject="id",
                )
            return before


def _all() -> sa.Select[Any]:
    return sa.select(budgets).set_label_style(sa.LABEL_STYLE_TABLENAME_PLUS_COL)


def _get(connection: sa.Connection, budget_id: str) -> BudgetRecord | None:
    row = connection.execute(_all().where(budgets.c.id == budget_id)).mappings().one_or_none()
    return None if row is None else read_budget(row)
