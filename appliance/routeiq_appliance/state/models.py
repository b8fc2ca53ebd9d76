"""Models that were made over the API: rows of `models`, their parameters encrypted (C6, H11).

What a row means, and whether it may be called, is `stored/`'s.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from routeiq_appliance.errors import StateError
from routeiq_appliance.state.access import transaction
from routeiq_appliance.state.tables import models
from routeiq_appliance.state.vault import Vault

__all__ = ["MAX_MODELS", "ModelRecord", "ModelStore"]

MAX_MODELS = 2_000
"""Rows of a store; every worker reads all of them at each change."""
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """One stored deployment. `params` are `litellm_params`, `info` is `model_info` without its id."""

    id: str
    name: str
    params: Mapping[str, Any] = field(repr=False)
    info: Mapping[str, Any]
    created_at: datetime
    created_by: str | None
    updated_at: datetime


class ModelStore:
    """Blocking: call from an executor. Raises `StateError` when the database does not answer, or a row not open."""

    def __init__(self, engine: sa.Engine, vault: Vault | None) -> None:
        self._engine = engine
        self._vault = vault

    @property
    def has_key(self) -> bool:
        """Whether there is a key to store models under."""
        return self._vault is not None

    def generation(self) -> str:
        """Return a digest that changes with any row."""
        with transaction(self._engine) as connection:
            rows = connection.execute(sa.select(models.c.id, models.c.updated_at))
            return _digest([(row.id, row.updated_at) for row in rows])

    def read(self) -> tuple[str, list[ModelRecord]]:
        """Return the generation and all rows, the oldest first."""
        query = sa.select(models).order_by(models.c.created_at, models.c.id)
        with transaction(self._engine) as connection:
            rows = connection.execute(query).mappings().all()
        return _digest([(row["id"], row["updated_at"]) for row in rows]), [self._record(row) for row in rows]

    def create(self, record: ModelRecord) -> bool:
        """Add a row; returns False when there is no room. Raises `TakenError` for its id."""
        with transaction(self._engine, taken=("model_info.id", record.id)) as connection:
            count = connection.execute(sa.select(sa.func.count()).select_from(models)).scalar_one()
            if count >= MAX_MODELS:
                return False
            connection.execute(
                models.insert().values(
                    id=record.id,
                    created_at=record.created_at,
                    created_by=record.created_by,
                    **self._columns(record),
                )
            )
        return True

    def update(self, record: ModelRecord, *, expected: datetime) -> ModelRecord | None:
        """Write a row that was `expected` (its `updated_at`); None when it is gone or was changed meanwhile."""
        # Later than before whatever the clocks say: the generation must change.
        later = max(record.updated_at, expected + _TICK)
        values = {**self._columns(record), "updated_at": later}
        test = sa.and_(models.c.id == record.id, models.c.updated_at == expected)
        with transaction(self._engine) as connection:
            if connection.execute(models.update().where(test).values(values)).rowcount != 1:
                return None
        return ModelRecord(
            record.id, record.name, record.params, record.info, record.created_at, record.created_by, later
        )

    def get(self, identity: str) -> ModelRecord | None:
        """Return one row; None when there is none."""
        with transaction(self._engine) as connection:
            row = (
                connection.execute(sa.select(models).where(models.c.id == identity)).mappings().one_or_none()
            )
        return None if row is None else self._record(row)

    def delete(self, identity: str) -> bool:
        """Delete a row; returns whether there was one."""
        with transaction(self._engine) as connection:
            return connection.execute(models.delete().where(models.c.id == identity)).rowcount > 0

    def _columns(self, record: ModelRecord) -> dict[str, Any]:
        plain = json.dumps(dict(record.params), ensure_ascii=False, allow_nan=False).encode()
        return {
            "model_name": record.name,
            "params": self._key().seal(plain, record.id),
            "model_info": dict(record.info),
            "updated_at": record.updated_at,
        }

    def _record(self, row: Mapping[Any, Any]) -> ModelRecord:
        params = json.loads(self._key().open(bytes(row["params"]), row["id"]))
        return ModelRecord(
            row["id"],
            row["model_name"],
            params,
            dict(row["model_info"] or {}),
            row["created_at"],
            row["created_by"],
            row["updated_at"],
        )

    def _key(self) -> Vault:
        if self._vault is None:
            raise StateError(
                "models: are stored, and ROUTEIQ_STORE_KEY is not set",
                subject="ROUTEIQ_STORE_KEY",
                hint="set it to the secret that they were stored under, the same for all replicas",
            )
        return self._vault


def _digest(rows: Sequence[tuple[str, datetime]]) -> str:
    # Sorted here: databases sort text each in their own way.
    text = "\n".join(f"{identity} {stamp.timestamp():.6f}" for identity, stamp in sorted(rows))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
