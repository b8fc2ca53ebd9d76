"""Users in the database."""

from collections.abc import Sequence

import sqlalchemy as sa

from routeiq_appliance.state.access import transaction
from routeiq_appliance.state.entities import EntityStore
from routeiq_appliance.state.records import UserRecord, allowance_columns
from routeiq_appliance.state.rows import read_user
from routeiq_appliance.state.tables import keys, members, users

__all__ = ["UserStore"]


class UserStore(EntityStore[UserRecord]):
    """Blocking: call from an executor. Raises `StateError` when the database does not answer."""

    def __init__(self, engine: sa.Engine) -> None:
        super().__init__(engine, users, read_user, "user_id")

    def create(self, user: UserRecord) -> UserRecord:
        """Add a user and return it as it is then; raises `TakenError` when the id is taken."""
        return self._insert(
            {
                "id": user.id,
                "alias": user.alias,
                "metadata": user.metadata,
                "created_at": user.created_at,
                "models": list(user.models),
                "role": user.role,
                "email": user.email,
                "budget_id": user.budget_id,
                **allowance_columns(user.allowance),
            }
        )

    def search(
        self,
        *,
        role: str | None = None,
        user_ids: Sequence[str] | None = None,
        email: str | None = None,
        team_id: str | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> tuple[Sequence[UserRecord], int]:
        """Return users that match all that is given, in the order of their ids, and how many there are."""
        tests: list[sa.ColumnElement[bool]] = []
        if role is not None:
            tests.append(users.c.role == role)
        if user_ids is not None:
            tests.append(users.c.id.in_(user_ids))
        if email is not None:
            tests.append(sa.func.lower(users.c.email).contains(email.lower(), autoescape=True))
        if team_id is not None:
            is_in = sa.select(members.c.user_id).where(
                members.c.kind == "team", members.c.owner_id == team_id
            )
            tests.append(users.c.id.in_(is_in))
        return self.some(*tests, limit=limit, offset=offset), self.count(*tests)

    def with_email(self, email: str) -> list[UserRecord]:
        """Return the users with that address, in any case."""
        return self.some(sa.func.lower(users.c.email) == email.lower())

    def delete(self, user_ids: Sequence[str]) -> tuple[list[UserRecord], list[str]]:
        """Delete users with their keys and memberships: all of them, or none when one does not exist.

        Returns what was found, and which ids were not.
        """
        with transaction(self._engine) as connection:
            query = self._query.where(users.c.id.in_(user_ids)).order_by(users.c.id)
            found = [read_user(row) for row in connection.execute(query).mappings()]
            here = {user.id for user in found}
            missing = [identity for identity in user_ids if identity not in here]
            if not missing:
                connection.execute(keys.delete().where(keys.c.user_id.in_(here)))
                connection.execute(members.delete().where(members.c.user_id.in_(here)))
                connection.execute(users.delete().where(users.c.id.in_(here)))
        return found, missing
