"""Users in the database."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from routeiq_appliance.state.access import transaction
from routeiq_appliance.state.records import UserRecord, allowance_columns, anchored, read_allowance
from routeiq_appliance.state.tables import users

__all__ = ["UserStore", "read_user"]


class UserStore:
    """Blocking: call from an executor. Raises `StateError` when the database does not answer."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def create(self, user: UserRecord) -> None:
        """Add a user; raises `TakenError` when the id is taken."""
        row = {
            "id": user.id,
            "alias": user.alias,
            "metadata": user.metadata,
            "created_at": user.created_at,
            **allowance_columns(user.allowance),
        }
        with transaction(self._engine, taken=("user_id", user.id)) as connection:
            connection.execute(users.insert().values(row))

    def get(self, user_id: str) -> UserRecord | None:
        """Return a user, or None when there is none."""
        with transaction(self._engine) as connection:
            return _get(connection, user_id)

    def update(self, user_id: str, changes: Mapping[str, Any], *, now: datetime) -> UserRecord | None:
        """Change columns and return the user; None when there is none."""
        with transaction(self._engine) as connection:
            before = _get(connection, user_id)
            if before is None:
                return None
            values = anchored(changes, before.allowance, now)
            if values:
                connection.execute(users.update().where(users.c.id == user_id).values(values))
            return _get(connection, user_id)


def read_user(row: Mapping[Any, Any]) -> UserRecord | None:
    """Return the user in a row with labelled columns; None when an outer join found none."""
    if row["users_id"] is None:
        return None
    return UserRecord(
        row["users_id"],
        row["users_alias"],
        dict(row["users_metadata"]),
        row["users_created_at"],
        read_allowance(row, "users_"),
    )


def _get(connection: sa.Connection, user_id: str) -> UserRecord | None:
    query = sa.select(users).where(users.c.id == user_id)
    labelled = query.set_label_style(sa.LABEL_STYLE_TABLENAME_PLUS_COL)
    row = connection.execute(labelled).mappings().one_or_none()
    return None if row is None else read_user(row)
