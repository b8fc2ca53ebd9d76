"""The tables. A change here comes with a migration in `migrations/versions`; a test compares the two."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

__all__ = [
    "METADATA",
    "budgets",
    "calls",
    "embeddings",
    "keys",
    "members",
    "models",
    "organizations",
    "spend",
    "teams",
    "users",
]

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


class Money(sa.TypeDecorator[int]):
    """Whole pico-dollars (`routeiq_appliance.money`): 30 digits in PostgreSQL, 64 bits in SQLite."""

    impl = sa.BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Return NUMERIC where it is exact."""
        exact = dialect.name == "postgresql"
        return dialect.type_descriptor(sa.Numeric(30, 0) if exact else sa.BigInteger())

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> int | None:
        """Return the driver's number as an integer."""
        del dialect
        return None if value is None else int(value)


def _json() -> sa.types.TypeEngine[Any]:
    return sa.JSON().with_variant(JSONB(), "postgresql")


def _limits() -> list[sa.Column[Any]]:
    """Return the limits that all have alike; NULL is no limit."""
    return [
        sa.Column("rpm_limit", sa.BigInteger()),
        sa.Column("tpm_limit", sa.BigInteger()),
        sa.Column("max_parallel_requests", sa.Integer()),
        sa.Column("max_budget", Money()),
        # As the admin wrote it: `30d`; NULL is one budget for ever.
        sa.Column("budget_duration", sa.String(16)),
        # Periods are counted from here; set when the duration is.
        sa.Column("budget_anchor", UtcDateTime()),
    ]


def _allowance() -> list[sa.Column[Any]]:
    """Return what keys, teams, users and organizations have alike: limits, and whether they are blocked."""
    return [*_limits(), sa.Column("blocked", sa.Boolean(), nullable=False, server_default=sa.false())]


def _budget() -> sa.Column[Any]:
    # A named budget: it says what a row leaves open. No foreign key, as for teams.
    return sa.Column("budget_id", sa.String(128), index=True)


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
    # No foreign keys: teams and users may be named before they are made, and are then without limits.
    sa.Column("team_id", sa.String(128), index=True),
    sa.Column("user_id", sa.String(128), index=True),
    # {group: {"rpm": n, "tpm": n, "budget": pico-dollars}}
    sa.Column("model_limits", _json(), nullable=False, server_default="{}"),
    # Refuse, rather than go on with last known numbers, while the shared state is away.
    sa.Column("fail_closed", sa.Boolean(), nullable=False, server_default=sa.false()),
    # Of a key without a team, or whose team has none: the team's comes first.
    sa.Column("organization_id", sa.String(128), index=True),
    # `pipeline.roles`: NULL is its user's role.
    sa.Column("role", sa.String(32)),
    # LiteLLM's word for what a key may be used for; NULL is everything that its role may.
    sa.Column("key_type", sa.String(16)),
    # The id of the key that made it.
    sa.Column("created_by", sa.String(128)),
    sa.Column("updated_at", UtcDateTime()),
    _budget(),
    *_allowance(),
)

teams = sa.Table(
    "teams",
    METADATA,
    sa.Column("id", sa.String(128), primary_key=True),
    sa.Column("alias", sa.String(256), unique=True),
    sa.Column("models", _json(), nullable=False),
    sa.Column("metadata", _json(), nullable=False),
    sa.Column("created_at", UtcDateTime(), nullable=False),
    sa.Column("organization_id", sa.String(128), index=True),
    _budget(),
    *_allowance(),
)

users = sa.Table(
    "users",
    METADATA,
    sa.Column("id", sa.String(128), primary_key=True),
    sa.Column("alias", sa.String(256)),
    sa.Column("metadata", _json(), nullable=False),
    sa.Column("created_at", UtcDateTime(), nullable=False),
    sa.Column("models", _json(), nullable=False, server_default="[]"),
    sa.Column("role", sa.String(32)),
    sa.Column("email", sa.String(320)),
    _budget(),
    *_allowance(),
)

organizations = sa.Table(
    "organizations",
    METADATA,
    sa.Column("id", sa.String(128), primary_key=True),
    sa.Column("alias", sa.String(256), unique=True),
    sa.Column("models", _json(), nullable=False),
    sa.Column("metadata", _json(), nullable=False),
    sa.Column("created_at", UtcDateTime(), nullable=False),
    _budget(),
    *_allowance(),
)

budgets = sa.Table(
    "budgets",
    METADATA,
    sa.Column("id", sa.String(128), primary_key=True),
    sa.Column("created_at", UtcDateTime(), nullable=False),
    sa.Column("updated_at", UtcDateTime(), nullable=False),
    *_limits(),
)

members = sa.Table(
    "members",
    METADATA,
    # `team` or `organization`, and the id of one.
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("owner_id", sa.String(128), primary_key=True),
    sa.Column("user_id", sa.String(128), primary_key=True, index=True),
    sa.Column("role", sa.String(32), nullable=False),
    sa.Column("created_at", UtcDateTime(), nullable=False),
    # What the member's keys of that team may use together.
    *_limits(),
)

models = sa.Table(
    "models",
    METADATA,
    sa.Column("id", sa.String(128), primary_key=True),
    sa.Column("model_name", sa.String(128), nullable=False),
    # `litellm_params` as JSON, encrypted under `ROUTEIQ_STORE_KEY` (`state.vault`).
    sa.Column("params", sa.LargeBinary(), nullable=False),
    sa.Column("model_info", _json(), nullable=False, server_default="{}"),
    sa.Column("created_at", UtcDateTime(), nullable=False),
    # The id of the key that made it.
    sa.Column("created_by", sa.String(128)),
    sa.Column("updated_at", UtcDateTime(), nullable=False),
)

spend = sa.Table(
    "spend",
    METADATA,
    # A `Scope`'s name; added to only together with the ledger rows that it sums up.
    sa.Column("scope", sa.String(192), primary_key=True),
    # Start of the budget's period, Unix seconds; 0 without one.
    sa.Column("period", sa.BigInteger(), primary_key=True, autoincrement=False),
    sa.Column("amount", Money(), nullable=False),
)

calls = sa.Table(
    "calls",
    METADATA,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("started_at", UtcDateTime(), nullable=False, index=True),
    # No foreign key: a call outlives its key, and the master key has no row.
    sa.Column("key_id", sa.String(32), nullable=False, index=True),
    sa.Column("team_id", sa.String(128), index=True),
    sa.Column("user_id", sa.String(128), index=True),
    sa.Column("organization_id", sa.String(128), index=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("asked", sa.String(128), nullable=False),
    sa.Column("group", sa.String(128)),
    sa.Column("deployment", sa.String(160)),
    sa.Column("provider", sa.String(64)),
    sa.Column("status", sa.Integer(), nullable=False),
    sa.Column("outcome", sa.String(32), nullable=False),
    sa.Column("stream", sa.Boolean(), nullable=False),
    sa.Column("prompt_tokens", sa.Integer(), nullable=False),
    sa.Column("completion_tokens", sa.Integer(), nullable=False),
    # True when the upstream gave no usage and the numbers are ours.
    sa.Column("estimated", sa.Boolean(), nullable=False),
    # NULL: the deployment has no price; never a silent zero.
    sa.Column("cost", Money()),
    sa.Column("attempts", sa.Integer(), nullable=False, server_default="1"),
    sa.Column("duration_ms", sa.Integer(), nullable=False),
    sa.Column("first_token_ms", sa.Integer()),
    sa.Column("trace_id", sa.String(32)),
    sa.Column("decision", _json()),
)

embeddings = sa.Table(
    "embeddings",
    METADATA,
    # No foreign key: the call's own row comes by the journal, later or never.
    sa.Column("call_id", sa.String(32), primary_key=True),
    sa.Column("created_at", UtcDateTime(), nullable=False, index=True),
    # Digest of what made the vector, and the name of the list of surface features.
    sa.Column("embedder", sa.String(80), nullable=False),
    sa.Column("surface", sa.String(32), nullable=False),
    sa.Column("dimension", sa.Integer(), nullable=False),
    # float16, little-endian: `dimension` numbers of the vector, then the surface features.
    sa.Column("data", sa.LargeBinary(), nullable=False),
)
