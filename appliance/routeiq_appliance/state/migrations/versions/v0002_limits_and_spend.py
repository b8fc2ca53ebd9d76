"""Teams, users, limits, spend; what a call cost."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _money() -> sa.types.TypeEngine[Any]:
    return sa.BigInteger().with_variant(sa.Numeric(30, 0), "postgresql")


def _json() -> sa.types.TypeEngine[Any]:
    return sa.JSON().with_variant(JSONB(), "postgresql")


def _limits() -> list[sa.Column[Any]]:
    return [
        sa.Column("rpm_limit", sa.BigInteger()),
        sa.Column("tpm_limit", sa.BigInteger()),
        sa.Column("max_parallel_requests", sa.Integer()),
        sa.Column("max_budget", _money()),
        sa.Column("budget_duration", sa.String(16)),
        sa.Column("budget_anchor", sa.DateTime(timezone=True)),
    ]


def upgrade() -> None:
    """Add to keys and calls, create teams, users and spend."""
    instant = sa.DateTime(timezone=True)
    with op.batch_alter_table("keys") as batch:
        batch.add_column(sa.Column("team_id", sa.String(128)))
        batch.add_column(sa.Column("user_id", sa.String(128)))
        batch.add_column(sa.Column("model_limits", _json(), nullable=False, server_default="{}"))
        batch.add_column(sa.Column("fail_closed", sa.Boolean(), nullable=False, server_default=sa.false()))
        for column in _limits():
            batch.add_column(column)
    op.create_index("ix_keys_team_id", "keys", ["team_id"])
    op.create_index("ix_keys_user_id", "keys", ["user_id"])
    op.create_table(
        "teams",
        sa.Column("id", sa.String(128), primary_key=True),
        sa.Column("alias", sa.String(256), unique=True),
        sa.Column("models", _json(), nullable=False),
        sa.Column("metadata", _json(), nullable=False),
        sa.Column("created_at", instant, nullable=False),
        *_limits(),
        sa.Column("blocked", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.String(128), primary_key=True),
        sa.Column("alias", sa.String(256)),
        sa.Column("metadata", _json(), nullable=False),
        sa.Column("created_at", instant, nullable=False),
        *_limits(),
        sa.Column("blocked", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.create_table(
        "spend",
        sa.Column("scope", sa.String(192), primary_key=True),
        sa.Column("period", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("amount", _money(), nullable=False),
    )
    with op.batch_alter_table("calls") as batch:
        batch.add_column(sa.Column("team_id", sa.String(128)))
        batch.add_column(sa.Column("user_id", sa.String(128)))
        batch.add_column(sa.Column("provider", sa.String(64)))
        batch.add_column(sa.Column("cost", _money()))
        batch.add_column(sa.Column("attempts", sa.Integer(), nullable=False, server_default="1"))
        batch.add_column(sa.Column("first_token_ms", sa.Integer()))
        batch.add_column(sa.Column("trace_id", sa.String(32)))
    op.create_index("ix_calls_team_id", "calls", ["team_id"])
    op.create_index("ix_calls_user_id", "calls", ["user_id"])


def downgrade() -> None:
    """Take it all back; limits and costs are lost."""
    op.drop_index("ix_calls_user_id", "calls")
    op.drop_index("ix_calls_team_id", "calls")
    with op.batch_alter_table("calls") as batch:
        for name in ("trace_id", "first_token_ms", "attempts", "cost", "provider", "user_id", "team_id"):
            batch.drop_column(name)
    op.drop_table("spend")
    op.drop_table("users")
    op.drop_table("teams")
    op.drop_index("ix_keys_user_id", "keys")
    op.drop_index("ix_keys_team_id", "keys")
    with op.batch_alter_table("keys") as batch:
        for column in [c.name for c in _limits()] + ["fail_closed", "model_limits", "user_id", "team_id"]:
            batch.drop_column(column)
