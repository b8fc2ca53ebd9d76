"""Organizations, named budgets, members, roles; models that are made over the API."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NEW_COLUMNS = {
    "keys": ("organization_id", "budget_id", "role", "key_type", "created_by", "updated_at"),
    "teams": ("organization_id", "budget_id"),
    "users": ("budget_id", "role", "email", "models"),
    "calls": ("organization_id",),
}
_INDEXES = (
    ("keys", "organization_id"),
    ("keys", "budget_id"),
    ("teams", "organization_id"),
    ("teams", "budget_id"),
    ("users", "budget_id"),
    ("calls", "organization_id"),
)


def _money() -> sa.types.TypeEngine[Any]:
    return sa.BigInteger().with_variant(sa.Numeric(30, 0), "postgresql")


def _json() -> sa.types.TypeEngine[Any]:
    return sa.JSON().with_variant(JSONB(), "postgresql")


def _instant() -> sa.types.TypeEngine[Any]:
    return sa.DateTime(timezone=True)


def _limits() -> list[sa.Column[Any]]:
    return [
        sa.Column("rpm_limit", sa.BigInteger()),
        sa.Column("tpm_limit", sa.BigInteger()),
        sa.Column("max_parallel_requests", sa.Integer()),
        sa.Column("max_budget", _money()),
        sa.Column("budget_duration", sa.String(16)),
        sa.Column("budget_anchor", _instant()),
    ]


def _blocked() -> sa.Column[Any]:
    return sa.Column("blocked", sa.Boolean(), nullable=False, server_default=sa.false())


def _column(name: str) -> sa.Column[Any]:
    kinds: dict[str, sa.Column[Any]] = {
        "organization_id": sa.Column("organization_id", sa.String(128)),
        "budget_id": sa.Column("budget_id", sa.String(128)),
        "role": sa.Column("role", sa.String(32)),
        "key_type": sa.Column("key_type", sa.String(16)),
        "email": sa.Column("email", sa.String(320)),
        "created_by": sa.Column("created_by", sa.String(128)),
        "updated_at": sa.Column("updated_at", _instant()),
        "models": sa.Column("models", _json(), nullable=False, server_default="[]"),
    }
    return kinds[name]


def upgrade() -> None:
    """Add to keys, teams, users and calls; create the four tables."""
    for table, names in _NEW_COLUMNS.items():
        with op.batch_alter_table(table) as batch:
            for name in names:
                batch.add_column(_column(name))
    for table, name in _INDEXES:
        op.create_index(f"ix_{table}_{name}", table, [name])
    op.create_table(
        "organizations",
        sa.Column("id", sa.String(128), primary_key=True),
        sa.Column("alias", sa.String(256), unique=True),
        sa.Column("models", _json(), nullable=False),
        sa.Column("metadata", _json(), nullable=False),
        sa.Column("created_at", _instant(), nullable=False),
        sa.Column("budget_id", sa.String(128), index=True),
        *_limits(),
        _blocked(),
    )
    op.create_table(
        "budgets",
        sa.Column("id", sa.String(128), primary_key=True),
        sa.Column("created_at", _instant(), nullable=False),
        sa.Column("updated_at", _instant(), nullable=False),
        *_limits(),
    )
    op.create_table(
        "members",
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("owner_id", sa.String(128), primary_key=True),
        sa.Column("user_id", sa.String(128), primary_key=True, index=True),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("created_at", _instant(), nullable=False),
        *_limits(),
    )
    op.create_table(
        "models",
        sa.Column("id", sa.String(128), primary_key=True),
        sa.Column("model_name", sa.String(128), nullable=False),
        sa.Column("params", sa.LargeBinary(), nullable=False),
        sa.Column("model_info", _json(), nullable=False, server_default="{}"),
        sa.Column("created_at", _instant(), nullable=False),
        sa.Column("created_by", sa.String(128)),
        sa.Column("updated_at", _instant(), nullable=False),
    )


def downgrade() -> None:
    """Take it all back; organizations, budgets, members, roles and stored models are lost."""
    for table in ("models", "members", "budgets", "organizations"):
        op.drop_table(table)
    for table, name in reversed(_INDEXES):
        op.drop_index(f"ix_{table}_{name}", table)
    for table, names in _NEW_COLUMNS.items():
        with op.batch_alter_table(table) as batch:
            for name in names:
                batch.drop_column(name)
