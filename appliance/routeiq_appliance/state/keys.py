"""Generated keys in the database: made once, looked up by digest. The key itself is never stored."""

import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from routeiq_appliance.errors import StateError
from routeiq_appliance.state.pepper import key_digest
from routeiq_appliance.state.tables import keys

__all__ = ["AliasTakenError", "KeyRecord", "KeyStore"]


class AliasTakenError(StateError):
    """Another key has this alias."""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """One generated key. `models` empty means every group."""

    id: str
    hint: str
    alias: str | None
    models: tuple[str, ...]
    metadata: dict[str, Any]
    created_at: datetime
    expires_at: datetime | None
    blocked: bool


class KeyStore:
    """Blocking: call from an executor. Raises `StateError` when the database does not answer."""

    def __init__(self, engine: sa.Engine, pepper: bytes) -> None:
        self._engine = engine
        self._pepper = pepper

    def create(
        self,
        *,
        now: datetime,
        expires_at: datetime | None,
        models: tuple[str, ...],
        metadata: dict[str, Any],
        alias: str | None,
    ) -> tuple[str, KeyRecord]:
        """Make a key; returns it, for the only time, with its record. Raises `AliasTakenError`."""
        key = f"sk-{secrets.token_urlsafe(32)}"
        record = KeyRecord(
            uuid.uuid4().hex, f"sk-...{key[-4:]}", alias, models, metadata, now, expires_at, blocked=False
        )
        row = {
            "id": record.id,
            "digest": key_digest(self._pepper, key),
            "hint": record.hint,
            "alias": alias,
            "models": list(models),
            "metadata": metadata,
            "created_at": now,
            "expires_at": expires_at,
        }
        try:
            with self._engine.begin() as connection:
                connection.execute(keys.insert().values(row))
        except sa.exc.IntegrityError:
            raise AliasTakenError(f"key_alias: {alias!r} is taken", subject="key_alias") from None
        except sa.exc.SQLAlchemyError:
            raise StateError("the key store does not answer") from None
        return key, record

    def find(self, key: str) -> KeyRecord | None:
        """Return the record of `key`, or None when there is none."""
        query = sa.select(keys).where(keys.c.digest == key_digest(self._pepper, key))
        try:
            with self._engine.connect() as connection:
                row = connection.execute(query).mappings().one_or_none()
        except sa.exc.SQLAlchemyError:
            raise StateError("the key store does not answer") from None
        if row is None:
            return None
        return KeyRecord(
            row["id"],
            row["hint"],
            row["alias"],
            tuple(row["models"]),
            dict(row["metadata"]),
            row["created_at"],
            row["expires_at"],
            bool(row["blocked"]),
        )
