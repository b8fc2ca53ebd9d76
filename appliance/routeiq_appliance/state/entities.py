"""What the stores of teams, users and organizations have alike: rows with an id, an allowance, a named budget."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

import sqlalchemy as sa

from routeiq_appliance.state.access import require_named, transaction
from routeiq_appliance.state.records import Allowance, anchored
from routeiq_appliance.state.rows import with_budget

__all__ = ["EntityStore"]


class _Entity(Protocol):
    @property
    def allowance(self) -> Allowance: ...


_R = TypeVar("_R", bound=_Entity)


class EntityStore(Generic[_R]):
    """Blocking: call from an executor. Raises `StateError` when the database does not answer.

    `field` is what messages call a row's id; `<field without _id>_alias` is its alias.
    """

    def __init__(
        self, engine: sa.Engine, table: sa.Table, read: Callable[[Mapping[Any, Any]], _R], field: str
    ) -> None:
        self._engine = engine
        self._table = table
        self._read = read
        self._field = field
        self._alias = field.removesuffix("_id") + "_alias"
        self._query = with_budget(table)

    def get(self, identity: str) -> _R | None:
        """Return one, or None when there is none."""
        with transaction(self._engine) as connection:
            return self._one(connection, identity)

    def some(
        self,
        *tests: sa.ColumnElement[bool],
        order: Sequence[sa.ColumnElement[Any]] = (),
        limit: int | None = None,
        offset: int = 0,
    ) -> list[_R]:
        """Return those that pass all `tests`, by default in the order of their ids."""
        query = self._query.where(*tests).order_by(*order, self._table.c.id).limit(limit).offset(offset)
        with transaction(self._engine) as connection:
            return [self._read(row) for row in connection.execute(query).mappings()]

    def count(self, *tests: sa.ColumnElement[bool]) -> int:
        """Return how many pass all `tests`."""
        query = sa.select(sa.func.count()).select_from(self._table).where(*tests)
        with transaction(self._engine) as connection:
            return int(connection.execute(query).scalar_one())

    def update(self, identity: str, changes: Mapping[str, Any], *, now: datetime) -> _R | None:
        """Change columns and return what is then; None when there is none.

        Raises `TakenError` for its alias, `MissingError` for what it would refer to.
        """
        with transaction(self._engine, taken=(self._alias, str(changes.get("alias")))) as connection:
            before = self._one(connection, identity)
            if before is None:
                return None
            values = anchored(changes, before.allowance, now)
            if values:
                connection.execute(self._table.update().where(self._table.c.id == identity).values(values))
            self._require(connection, values)
            return self._one(connection, identity)

    def _insert(self, row: Mapping[str, Any]) -> _R:
        """Add a row and return it as it is then; raises `TakenError` and `MissingError`."""
        identity = str(row["id"])
        with transaction(self._engine) as connection:
            taken = connection.execute(
                sa.select(self._table.c.id).where(self._table.c.id == identity)
            ).first()
        field = (self._field, identity) if taken else (self._alias, str(row["alias"] or ""))
        with transaction(self._engine, taken=field) as connection:
            connection.execute(self._table.insert().values(row))
            self._require(connection, row)
            made = self._one(connection, identity)
        assert made is not None  # noqa: S101 - inserted above
        return made

    def _require(self, connection: sa.Connection, values: Mapping[str, Any]) -> None:
        require_named(
            connection, budget_id=values.get("budget_id"), organization_id=values.get("organization_id")
        )

    def _one(self, connection: sa.Connection, identity: str) -> _R | None:
        row = connection.execute(self._query.where(self._table.c.id == identity)).mappings().one_or_none()
        return None if row is None else self._read(row)
