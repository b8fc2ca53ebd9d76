"""Generated keys in the database: made once, looked up by digest. The key itself is never stored."""

import secrets
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from routeiq_appliance.state.access import TakenError, transaction
from routeiq_appliance.state.pepper import key_digest
from routeiq_appliance.state.records import (
    UNLIMITED,
    Allowance,
    Holder,
    KeyRecord,
    allowance_columns,
    anchored,
    read_allowance,
)
from routeiq_appliance.state.tables import keys, teams, users
from routeiq_appliance.state.teams import read_team
from routeiq_appliance.state.users import read_user

__all__ = ["AliasTakenError", "Holder", "KeyRecord", "KeyStore"]

AliasTakenError = TakenError
"""Another key has this alias."""


class KeyStore:
    """Blocking: call from an executor. Raises `StateError` when the database does not answer."""

    def __init__(self, engine: sa.Engine, pepper: bytes) -> None:
        self._engine = engine
        self._pepper = pepper
        joined = keys.outerjoin(teams, keys.c.team_id == teams.c.id).outerjoin(
            users, keys.c.user_id == users.c.id
        )
        self._holders = (
            sa.select(keys, teams, users)
            .select_from(joined)
            .set_label_style(sa.LABEL_STYLE_TABLENAME_PLUS_COL)
        )

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
    ) -> tuple[str, KeyRecord]:
        """Make a key; returns it, for the only time, with its record. Raises `AliasTakenError`."""
        key = f"sk-{secrets.token_urlsafe(32)}"
        record = KeyRecord(
            uuid.uuid4().hex,
            f"sk-...{key[-4:]}",
            alias,
            models,
            metadata or {},
            now,
            expires_at,
            team_id,
            user_id,
            model_limits or {},
            fail_closed,
            allowance,
        )
        row = {
            "id": record.id,
            "digest": key_digest(self._pepper, key),
            "hint": record.hint,
            "alias": alias,
            "models": list(models),
            "metadata": record.metadata,
            "created_at": now,
            "expires_at": expires_at,
            "team_id": team_id,
            "user_id": user_id,
            "model_limits": record.model_limits,
            "fail_closed": fail_closed,
            **allowance_columns(allowance),
        }
        with transaction(self._engine, taken=("key_alias", alias or "")) as connection:
            connection.execute(keys.insert().values(row))
        return key, record

    def find(self, key: str) -> Holder | None:
        """Return who holds `key`, in one read; None when there is no such key."""
        return self._one(keys.c.digest == key_digest(self._pepper, key))

    def get(self, reference: str) -> Holder | None:
        """Return the key that an admin names: the key itself or its id; None when there is none."""
        return self._one(self._is(reference))

    def update(self, reference: str, changes: Mapping[str, Any], *, now: datetime) -> Holder | None:
        """Change columns of a key (or id) and return it; None when there is none. Raises `AliasTakenError`."""
        with transaction(self._engine, taken=("key_alias", str(changes.get("alias")))) as connection:
            before = self._read(connection, self._is(reference))
            if before is None:
                return None
            values = anchored(changes, before.key.allowance, now)
            if values:
                connection.execute(keys.update().where(keys.c.id == before.key.id).values(values))
            return self._read(connection, keys.c.id == before.key.id)

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
        query = self._holders.where(test).order_by(keys.c.created_at.desc()).limit(limit)
        with transaction(self._engine) as connection:
            return [_read_key(row) for row in connection.execute(query).mappings()]

    def _is(self, reference: str) -> sa.ColumnElement[bool]:
        return sa.or_(keys.c.digest == key_digest(self._pepper, reference), keys.c.id == reference)

    def _one(self, test: sa.ColumnElement[bool]) -> Holder | None:
        with transaction(self._engine) as connection:
            return self._read(connection, test)

    def _read(self, connection: sa.Connection, test: sa.ColumnElement[bool]) -> Holder | None:
        row = connection.execute(self._holders.where(test)).mappings().one_or_none()
        return None if row is None else Holder(_read_key(row), read_team(row), read_user(row))


def _read_key(row: Mapping[Any, Any]) -> KeyRecord:
    return KeyRecord(
        row["keys_id"],
        row["keys_hint"],
        row["keys_alias"],
        tuple(row["keys_models"]),
        dict(row["keys_metadata"]),
        row["keys_created_at"],
        row["keys_expires_at"],
        row["keys_team_id"],
        row["keys_user_id"],
        dict(row["keys_model_limits"]),
        bool(row["keys_fail_closed"]),
        read_allowance(row, "keys_"),
    )
