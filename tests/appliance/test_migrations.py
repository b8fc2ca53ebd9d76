"""A database of an earlier release, with rows, becomes one of this release: nothing is lost, old keys still open."""

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from routeiq_appliance.state import migrate as migrating
from routeiq_appliance.state.keys import KeyStore
from routeiq_appliance.state.migrate import migrate
from routeiq_appliance.state.pepper import key_digest
from routeiq_appliance.state.schema import SCHEMA
from routeiq_appliance.state.tables import METADATA

PEPPER = b"p" * 32
NOW = datetime(2026, 11, 1, 8, tzinfo=UTC)


@pytest.fixture
def engine(empty_database: sa.Engine) -> sa.Engine:
    return empty_database


def at(engine: sa.Engine, revision: str) -> None:
    """Bring an empty database to an earlier release's schema."""
    config = migrating._config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def fill(engine: sa.Engine) -> None:
    """Write what release 0002 wrote."""
    stamp = (
        "'2026-11-01 08:00:00+00'" if engine.dialect.name == "postgresql" else "'2026-11-01 08:00:00.000000'"
    )
    statements = [
        f"""INSERT INTO keys (id, digest, hint, alias, models, metadata, created_at, blocked, team_id, user_id,
            model_limits, fail_closed, rpm_limit, max_budget) VALUES ('k1', '{key_digest(PEPPER, "sk-old")}',
            'sk-...-old', 'old', '["small"]', '{{"a": 1}}', {stamp}, false, 't1', 'u1', '{{}}', true, 7, 5000)""",
        f"""INSERT INTO teams (id, alias, models, metadata, created_at, blocked, tpm_limit)
            VALUES ('t1', 'Team', '[]', '{{}}', {stamp}, false, 9)""",
        f"INSERT INTO users (id, metadata, created_at, blocked) VALUES ('u1', '{{}}', {stamp}, false)",
        "INSERT INTO spend (scope, period, amount) VALUES ('key:k1', 0, 11)",
        f"""INSERT INTO calls (id, started_at, key_id, team_id, user_id, kind, asked, status, outcome, stream,
            prompt_tokens, completion_tokens, estimated, cost, duration_ms) VALUES ('c1', {stamp}, 'k1', 't1', 'u1',
            'chat', 'small', 200, 'answered', false, 1, 2, false, 11, 3)""",
    ]  # fmt: skip
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def test_a_database_of_the_release_before_is_upgraded_with_its_rows(engine: sa.Engine) -> None:  # B8, H11
    at(engine, "0002")
    fill(engine)
    assert migrate(engine) == ("0002", SCHEMA)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
        calls = connection.execute(sa.text("SELECT * FROM calls")).mappings().all()
        spent = connection.execute(sa.text("SELECT scope, amount FROM spend")).all()
    assert [(row["id"], row["cost"], row["organization_id"]) for row in calls] == [("c1", 11, None)]
    assert [tuple(row) for row in spent] == [("key:k1", 11)]
    holder = KeyStore(engine, PEPPER).find("sk-old")
    assert holder is not None
    assert holder.team is not None
    assert holder.user is not None
    key = holder.key
    assert (key.id, key.alias, key.models, key.metadata, key.created_at) == (
        "k1",
        "old",
        ("small",),
        {"a": 1},
        NOW,
    )
    assert (key.allowance.rpm_limit, key.allowance.max_budget, key.fail_closed) == (7, 5000, True)
    assert (key.organization_id, key.budget_id, key.role, key.key_type) == (None, None, None, None)
    assert (holder.team.effective.tpm_limit, holder.user.models, holder.user.role) == (9, (), None)
    assert (holder.organization, holder.member) == (None, None)


def test_going_back_and_forth_gives_the_same_schema(engine: sa.Engine) -> None:
    at(engine, "0002")
    fill(engine)
    migrate(engine)
    config = migrating._config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0002")
    assert migrate(engine) == ("0002", SCHEMA)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    assert KeyStore(engine, PEPPER).find("sk-old") is not None
