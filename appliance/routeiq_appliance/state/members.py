"""Who is in which team and organization."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from routeiq_appliance.state.access import transaction
from routeiq_appliance.state.records import MemberKind, MemberRecord, allowance_columns, anchored
from routeiq_appliance.state.rows import read_member
from routeiq_appliance.state.tables import members

__all__ = ["MemberStore"]


class MemberStore:
    """Blocking: call from an executor. Raises `StateError` when the database does not answer."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, wanted: Sequence[MemberRecord]) -> None:
        """Add members: all, or none when one of them is a member already: `TakenError`."""
        names = ", ".join(member.user_id for member in wanted)[:256]
        with transaction(self._engine, taken=("user_id", names)) as connection:
            for member in wanted:
                values = {
                    "kind": member.kind,
                    "owner_id": member.owner_id,
                    "user_id": member.user_id,
                    "role": member.role,
                    "created_at": member.created_at,
                    **_limits(member),
                }
                connection.execute(members.insert().values(values))

    def update(
        self, kind: MemberKind, owner_id: str, user_id: str, changes: Mapping[str, Any], *, now: datetime
    ) -> MemberRecord | None:
        """Change columns and return the member; None when there is none."""
        with transaction(self._engine) as connection:
            before = _get(connection, kind, owner_id, user_id)
            if before is None:
                return None
            values = anchored(changes, before.allowance, now)
            if values:
                connection.execute(members.update().where(_is(kind, owner_id, user_id)).values(values))
            return _get(connection, kind, owner_id, user_id)

    def remove(self, kind: MemberKind, owner_id: str, user_id: str) -> bool:
        """Take a member out; returns whether there was one."""
        with transaction(self._engine) as connection:
            return connection.execute(members.delete().where(_is(kind, owner_id, user_id))).rowcount > 0

    def of_owners(self, kind: MemberKind, owner_ids: Sequence[str]) -> dict[str, list[MemberRecord]]:
        """Return the members of each team or organization, in the order of their ids."""
        found: dict[str, list[MemberRecord]] = {identity: [] for identity in owner_ids}
        where = sa.and_(members.c.kind == kind, members.c.owner_id.in_(found))
        query = _all().where(where).order_by(members.c.user_id)
        with transaction(self._engine) as connection:
            for row in connection.execute(query).mappings():
                member = read_member(row)
                found[member.owner_id].append(member)
        return found

    def of_users(self, user_ids: Sequence[str]) -> dict[str, list[MemberRecord]]:
        """Return all memberships of each user."""
        found: dict[str, list[MemberRecord]] = {identity: [] for identity in user_ids}
        query = _all().where(members.c.user_id.in_(found)).order_by(members.c.kind, members.c.owner_id)
        with transaction(self._engine) as connection:
            for row in connection.execute(query).mappings():
                member = read_member(row)
                found[member.user_id].append(member)
        return found


def _limits(member: MemberRecord) -> dict[str, Any]:
    return {name: value for name, value in allowance_columns(member.allowance).items() if name != "blocked"}


def _all() -> sa.Select[Any]:
    return sa.select(members).set_label_style(sa.LABEL_STYLE_TABLENAME_PLUS_COL)


def _is(kind: MemberKind, owner_id: str, user_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(members.c.kind == kind, members.c.owner_id == owner_id, members.c.user_id == user_id)


def _get(connection: sa.Connection, kind: MemberKind, owner_id: str, user_id: str) -> MemberRecord | None:
    row = connection.execute(_all().where(_is(kind, owner_id, user_id))).mappings().one_or_none()
    return None if row is None else read_member(row)
