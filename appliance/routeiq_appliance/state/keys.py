"""Generated keys in the database: made once, looked up by digest. The key itself is never stored."""

import secrets
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from routeiq_appliance.state.access import ConflictError, TakenError, require_named, transaction
from routeiq_appliance.state.pepper import key_digest
from routeiq_appliance.state.records import (
    UNLIMITED,
    Allowance,
    Holder,
    KeyRecord,
    allowance_columns,
    anchored,
)
from routeiq_appliance.state.rows import holders, read_holder
from routeiq_appliance.state.tables import keys, teams

__all__ = ["AliasTakenError", "Holder", "KeyRecord", "KeyStore"]

AliasTakenError = TakenError
"""Another key has this alias."""


class KeyStore:
    """Blocking: call from an executor. Raises `StateError` when the database does not answer."""

    def __init__(self, engine: sa.Engine, pepper: bytes) -> None:
        self._engine = engine
        self._pepper = pepper
        self._holders = holders()
        # Made once: what SQLAlchemy works out about a statement stays with it.
        self._holding = self._holders.where(keys.c.digest == sa.bindparam("presented"))

    def create(
        self,
        *,
        now: datetime,
        expires_at: datetime | None = None,
        models: tuple[str, ...] = (),
        metadata: dict[str, Any] | None = None,
        alias: str | None = None,
        team_id: str | None = None,
        user_id: str | None = None,
        model_limits: Mapping[str, Mapping[str, int]] | None = None,
        fail_closed: bool = False,
        allowance: Allowance = UNLIMITED,
        organization_id: str | None = None,
        role: str | None = None,
        key_type: str | None = None,
        created_by: str | None = None,
        budget_id: str | None = None,
    ) -> tuple[str, KeyRecord]:
        """Make a key; returns it, for the only time, with its record.

        Raises `AliasTakenError`, `MissingError` for what it would refer to, `ConflictError` for two organizations.
        """
        key, secret = self._new_secret()
        identity = uuid.uuid4().hex
        row = {
            "id": identity,
            "alias": alias,
            "models": list(models),
            "metadata": metadata or {},
            "created_at": now,
            "expires_at": expires_at,
            "team_id": team_id,
            "user_id": user_id,
            "model_limits": model_limits or {},
            "fail_closed": fail_closed,
            "organization_id": organization_id,
            "role": role,
            "key_type": key_type,
            "created_by": created_by,
            "budget_id": budget_id,
            **secret,
            **allowance_columns(allowance),
        }
        with transaction(self._engine, taken=("key_alias", alias or "")) as connection:
            connection.execute(keys.insert().values(row))
            made = self._written(connection, identity, row)
        return key, made.key

    def find(self, key: str) -> Holder | None:
        """Return who holds `key`, in one read; None when there is no such key."""
        with transaction(self._engine) as connection:
            found = connection.execute(self._holding, {"presented": key_digest(self._pepper, key)})
            row = found.mappings().one_or_none()
            return None if row is None else read_holder(row)

    def get(self, reference: str) -> Holder | None:
        """Return the key that an admin names: the key itself or its id; None when there is none."""
        return self._one(self._is(reference))

    def update(self, reference: str, changes: Mapping[str, Any], *, now: datetime) -> Holder | None:
        """Change columns of a key (or id) and return it; None when there is none. Raises what `create` raises."""
        with transaction(self._engine, taken=("key_alias", str(changes.get("alias")))) as connection:
            before = self._read(connection, self._is(reference))
            if before is None:
                return None
            values = {**anchored(changes, before.key.allowance, now), "updated_at": now}
            connection.execute(keys.update().where(keys.c.id == before.key.id).values(values))
            return self._written(connection, before.key.id, values)

    def regenerate(
        self, reference: str, changes: Mapping[str, Any], *, now: datetime
    ) -> tuple[str, Holder] | None:
        """Give a key another secret, and change columns: the old secret opens nothing from the next read on.

        Returns the new one, for the only time; None when there is no such key. Raises what `create` raises.
        """
        key, secret = self._new_secret()
        holder = self.update(reference, {**changes, **secret}, now=now)
        return None if holder is None else (key, holder)

    def delete(self, references: Sequence[str], aliases: Sequence[str]) -> dict[str, str]:
        """Delete keys, named by themselves, their ids or aliases: all of them, or none when one does not exist.

        Returns which id each name stood for; a name that stands for no key is missing, and then nothing is deleted.
        """
        found: dict[str, str] = {}
        with transaction(self._engine) as connection:
            for name in (*references, *aliases):
                test = keys.c.alias == name if name in aliases else self._is(name)
                identity = connection.execute(sa.select(keys.c.id).where(test)).scalar()
                if identity is not None:
                    found[name] = identity
            if len(found) == len({*references, *aliases}):
                connection.execute(keys.delete().where(keys.c.id.in_(found.values())))
        return found

    def held_by(
        self, *, team_id: str | None = None, user_id: str | None = None, limit: int
    ) -> list[KeyRecord]:
        """Return the newest keys of a team or of a user."""
        test = keys.c.team_id == team_id if team_id is not None else keys.c.user_id == user_id
        return [holder.key for holder in self._some([test], limit, 0)]

    def search(
        self,
        *,
        team_id: str | None = None,
        user_id: str | None = None,
        organization_id: str | None = None,
        alias: str | None = None,
        reference: str | None = None,
        oldest_first: bool = False,
        limit: int,
        offset: int = 0,
    ) -> tuple[list[Holder], int]:
        """Return keys, the newest first, that match all that is given, and how many there are."""
        tests: list[sa.ColumnElement[bool]] = []
        for column, wanted in ((keys.c.team_id, team_id), (keys.c.user_id, user_id), (keys.c.alias, alias)):
            if wanted is not None:
                tests.append(column == wanted)
        if organization_id is not None:
            its = sa.func.coalesce(teams.c.organization_id, keys.c.organization_id)
            tests.append(its == organization_id)
        if reference is not None:
            tests.append(self._is(reference))
        joined = keys.outerjoin(teams, keys.c.team_id == teams.c.id)
        count = sa.select(sa.func.count()).select_from(joined).where(*tests)
        with transaction(self._engine) as connection:
            total = int(connection.execute(count).scalar_one())
        return self._some(tests, limit, offset, oldest_first=oldest_first), total

    def _some(
        self, tests: Sequence[sa.ColumnElement[bool]], limit: int, offset: int, *, oldest_first: bool = False
    ) -> list[Holder]:
        made = keys.c.created_at.asc() if oldest_first else keys.c.created_at.desc()
        query = self._holders.where(*tests).order_by(made, keys.c.id).limit(limit).offset(offset)
        with transaction(self._engine) as connection:
            return [read_holder(row) for row in connection.execute(query).mappings()]

    def _new_secret(self) -> tuple[str, dict[str, str]]:
        """Return a new key and the columns by which it is known."""
        key = f"sk-{secrets.token_urlsafe(32)}"
        return key, {"digest": key_digest(self._pepper, key), "hint": f"sk-...{key[-4:]}"}

    def _written(self, connection: sa.Connection, identity: str, values: Mapping[str, Any]) -> Holder:
        """Return what was written; raises `MissingError` and `ConflictError`, which undo it."""
        require_named(
            connection, budget_id=values.get("budget_id"), organization_id=values.get("organization_id")
        )
        holder = self._read(connection, keys.c.id == identity)
        assert holder is not None  # noqa: S101 - written above
        if holder.key.organization_id is not None and holder.organization_id != holder.key.organization_id:
            raise ConflictError(
                f"`organization_id`: the key's team is of the organization `{holder.organization_id}`",
                subject="organization_id",
            )
        return holder

    def _is(self, reference: str) -> sa.ColumnElement[bool]:
        return sa.or_(keys.c.digest == key_digest(self._pepper, reference), keys.c.id == reference)

    def _one(self, test: sa.ColumnElement[bool]) -> Holder | None:
        with transaction(self._engine) as connection:
            return self._read(connection, test)

    def _read(self, connection: sa.Connection, test: sa.ColumnElement[bool]) -> Holder | None:
        row = connection.execute(self._holders.where(test)).mappings().one_or_none()
        return None if row is None else read_holder(row)
