from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.appliance.postgresql import PostgreSQL

from routeiq_appliance.errors import CallError, StateError
from routeiq_appliance.limits import DEFAULT_LIMITS
from routeiq_appliance.pipeline.authenticate import Authenticator, Patience
from routeiq_appliance.state.access import TakenError
from routeiq_appliance.state.database import database_url, open_engine
from routeiq_appliance.state.keys import KeyStore
from routeiq_appliance.state.migrate import migrate
from routeiq_appliance.state.records import Allowance, Holder, TeamRecord, UserRecord
from routeiq_appliance.state.teams import TeamStore
from routeiq_appliance.state.users import UserStore

NOW = datetime(2026, 11, 21, 8, 0, 0, 5, tzinfo=UTC)
ALLOWANCE = Allowance(
    rpm_limit=10**12,
    tpm_limit=5,
    max_parallel_requests=1,
    max_budget=9_000_000 * 10**12,
    budget_duration="30d",
    budget_anchor=NOW,
    blocked=True,
)
TEAM = TeamRecord("t", "Team", ("small",), {"a": [1, None]}, NOW, ALLOWANCE)
USER = UserRecord("u", None, {}, NOW, replace(ALLOWANCE, max_budget=0, blocked=False))


def test_one_read_finds_a_key_with_its_team_and_user(engine: sa.Engine) -> None:
    store = KeyStore(engine, b"p" * 32)
    statements: list[str] = []
    key, record = store.create(
        now=NOW,
        team_id="t",
        user_id="u",
        model_limits={"small": {"rpm": 1, "budget": 10**12}},
        fail_closed=True,
        allowance=ALLOWANCE,
    )
    assert store.find(key) == Holder(record)
    TeamStore(engine).create(TEAM)
    UserStore(engine).create(USER)
    sa.event.listen(engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    assert store.find(key) == Holder(record, TEAM, USER)
    assert len(statements) == 1
    assert record.allowance == ALLOWANCE
    assert store.get(key) == store.get(record.id) == Holder(record, TEAM, USER)
    # The id is no secret, so it opens nothing.
    assert store.find(record.id) is None


def test_an_update_is_seen_by_the_next_read(engine: sa.Engine) -> None:
    store = KeyStore(engine, b"p" * 32)
    key, record = store.create(now=NOW, allowance=ALLOWANCE)
    later = NOW + timedelta(days=1)
    changed = store.update(key, {"rpm_limit": None, "budget_duration": "1d"}, now=later)
    assert changed is not None
    assert changed == store.find(key)
    assert changed.key.allowance == replace(
        ALLOWANCE, rpm_limit=None, budget_duration="1d", budget_anchor=later.replace(microsecond=0)
    )
    assert store.update(record.id, {}, now=later) == changed
    assert store.update("sk-none", {"rpm_limit": 1}, now=later) is None


def test_a_taken_alias_or_id_leaves_all_as_it_was(engine: sa.Engine) -> None:
    keys, teams, users = KeyStore(engine, b"p" * 32), TeamStore(engine), UserStore(engine)
    keys.create(now=NOW, alias="a")
    key, _ = keys.create(now=NOW, alias="b")
    before = keys.find(key)
    with pytest.raises(TakenError, match="key_alias: 'a' is taken"):
        keys.update(key, {"alias": "a", "rpm_limit": 1}, now=NOW)
    assert keys.find(key) == before
    teams.create(TEAM)
    users.create(USER)
    with pytest.raises(TakenError, match="team_id: 't' is taken"):
        teams.create(replace(TEAM, alias="other"))
    with pytest.raises(TakenError, match="team_alias: 'Team' is taken"):
        teams.create(replace(TEAM, id="other"))
    with pytest.raises(TakenError, match="user_id: 'u' is taken"):
        users.create(USER)
    assert (teams.get("t"), users.get("u"), teams.get("other")) == (TEAM, USER, None)


def test_the_newest_keys_of_a_team_or_user(engine: sa.Engine) -> None:
    store = KeyStore(engine, b"p" * 32)
    made = [
        store.create(now=NOW + timedelta(seconds=n), team_id="t", user_id="u" if n else None)[1]
        for n in range(3)
    ]
    store.create(now=NOW, team_id="other")
    assert store.held_by(team_id="t", limit=2) == [made[2], made[1]]
    assert store.held_by(user_id="u", limit=9) == [made[2], made[1]]


def test_a_database_that_does_not_answer_is_one_error_without_its_address(tmp_path: Path) -> None:
    engine = open_engine(database_url("postgresql://u:planted@127.0.0.1:1/d", tmp_path))
    for work in (
        lambda: KeyStore(engine, b"p").find("sk-x"),
        lambda: TeamStore(engine).get("t"),
        lambda: UserStore(engine).get("u"),
    ):
        with pytest.raises(StateError, match="^the key store does not answer$"):
            work()


@pytest.mark.e2e
async def test_seen_keys_outlive_postgresql_and_new_ones_come_with_it(
    postgresql: PostgreSQL, tmp_path: Path
) -> None:  # C15
    engine = open_engine(database_url(postgresql.new_database(), tmp_path))
    migrate(engine)
    store = KeyStore(engine, b"p" * 32)
    seen, record = store.create(now=NOW)
    unseen, other = store.create(now=NOW)
    with ThreadPoolExecutor(max_workers=2) as executor:
        authenticator = Authenticator(
            store,
            "sk-master-key",
            executor,
            replace(DEFAULT_LIMITS, key_cache_seconds=0.0),
            patience=Patience(retry=0.0, refresh=30.0, lookup=30.0),
        )
        assert (await authenticator.authenticate(seen)).key_id == record.id
        postgresql.stop()
        for _ in range(3):
            assert (await authenticator.authenticate(seen)).key_id == record.id
            with pytest.raises(CallError, match="the key store does not answer") as caught:
                await authenticator.authenticate(unseen)
            assert caught.value.status == 503
        postgresql.start()
        assert (await authenticator.authenticate(unseen)).key_id == other.id
        store.update(record.id, {"blocked": True}, now=NOW)
        with pytest.raises(CallError, match="the API key is blocked"):
            await authenticator.authenticate(seen)
    engine.dispose()
