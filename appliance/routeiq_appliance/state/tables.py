"""The tables. A change here comes with a migration in `migrations/versions`; a test compares the two."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

__all__ = ["METADATA", "calls", "keys"]

METADATA = sa.MetaData()


class UtcDateTime(sa.TypeDecorator[datetime]):
    """An instant; SQLite forgets the zone, so it is kept in UTC."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        """Return the value in UTC."""
        del dialect
        instant: datetime | None = value
        return instant.astimezone(UTC) if instant is not None else None

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        """Return the value in UTC."""
        del dialect
        if value is None:
            return None
        instant: datetime = value
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def _json() -> sa.types.TypeEngine[Any]:
    return sa.JSON().with_variant(JSONB(), "postgresql")


keys = sa.Table(
    "keys",
    METADATA,
    sa.Column("id", sa.String(32), primary_key=True),
    # HMAC-SHA256(pepper, SHA-256(key)), hex: a stolen table gives no key and cannot be tried without the pepper.
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    # "sk-...wxyz": enough for an owner to know the key again.
    sa.Column("hint", sa.String(16), nullable=False),
    sa.Column("alias", sa.String(256), unique=True),
    sa.Column("models", _json(), nullable=False),
    sa.Column("metadata", _json(), nullable=False),
    sa.Column("created_at", UtcDateTime(), nullable=False),
    sa.Column("expires_at", UtcDateTime()),
    sa.Column("blocked", sa.Boolean(), nullable=False, server_default=sa.false()),
)

calls = sa.Table(
    "calls",
    METADATA,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("started_at", UtcDateTime(), nullable=False, index=True),
    # No foreign key: a call outlives its key, and the master key has no row.
    sa.Column("key_id", sa.String(32), nullable=False, index=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("asked", sa.String(128), nullable=False),
    sa.Column("group", sa.String(128)),
    sa.Column("deployment", sa.String(160)),
    sa.Column("status", sa.Integer(), nullable=False),
    sa.Column("outcome", sa.String(32), nullable=False),
    sa.Column("stream", sa.Boolean(), nullable=False),
    sa.Column("prompt_tokens", sa.Integer(), nullable=False),
    sa.Column("completion_tokens", sa.Integer(), nullable=False),
    # True when the upstream gave no usage and the numbers are ours.
    sa.Column("estimated", sa.Boolean(), nullable=False),
    sa.Column("duration_ms", sa.Integer(), nullable=False),
    sa.Column("decision", _json()),
)
