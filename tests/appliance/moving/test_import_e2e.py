"""A site moves over for real: LiteLLM's schema in PostgreSQL, pg_dump, the import, and a call with the old secret."""

import gzip
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from tests.appliance.moving.litellm_schema import create_tables
from tests.appliance.postgresql import PostgreSQL, running_postgresql

from routeiq_appliance.state.tables import budgets, keys, spend, teams, users

pytestmark = pytest.mark.e2e

SECRET = "sk-made-by-litellm-1234"
PEPPER = "p" * 40
AWKWARD = "tab\there, line\nbreak, 'quote', \"double\", back\\slash, $$ and {brace,} \\."


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSQL]:
    with running_postgresql("moving") as server:
        yield server


@pytest.fixture(scope="module")
def site(postgresql: PostgreSQL) -> str:
    """The database of a LiteLLM proxy; returns its URL."""
    url = postgresql.new_database()
    with psycopg.connect(url) as connection:
        connection.execute(create_tables())  # type: ignore[call-overload]
        fill(connection)
    return url


def fill(connection: psycopg.Connection[Any]) -> None:
    def insert(table: str, **values: Any) -> None:
        names = ", ".join(f'"{name}"' for name in values)
        marks = ", ".join(["%s"] * len(values))
        made = [json.dumps(value) if isinstance(value, dict) else value for value in values.values()]
        connection.execute(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', made)  # type: ignore[call-overload]

    by = {"created_by": "admin", "updated_by": "admin"}
    insert("LiteLLM_BudgetTable", budget_id="b1", max_budget=2.5, rpm_limit=7, budget_duration="30d",
           budget_reset_at="2026-12-01 00:00:00", **by)  # fmt: skip
    insert("LiteLLM_TeamTable", team_id="t1", team_alias="research", models=["small"], spend=1.25, max_budget=100,
           metadata={"note": AWKWARD}, members_with_roles={"a": 1}, tpm_limit=1000)  # fmt: skip
    insert(
        "LiteLLM_TeamTable", team_id="t2", team_alias="watched", models=[], metadata={"guardrails": ["pii"]}
    )
    insert(
        "LiteLLM_UserTable", user_id="u1", user_alias="ann", models=[], spend=0.1, user_role="internal_user"
    )
    insert("LiteLLM_VerificationToken", token=hashlib.sha256(SECRET.encode()).hexdigest(), key_name="sk-...1234",
           key_alias="ann's key", spend=0.123456789012, models=["small", "large"], team_id="t1", user_id="u1",
           max_budget=10, budget_duration="30d", budget_reset_at="2026-12-01 00:00:00", rpm_limit=60,
           metadata={"note": AWKWARD, "model_rpm_limit": {"small": 5}})  # fmt: skip
    insert("LiteLLM_VerificationToken", token="b" * 64, key_name="sk-...bbbb", models=["*"], budget_id="b1")
    insert("LiteLLM_VerificationToken", token="c" * 64, key_name="sk-...cccc", models=[], team_id="t2")
    insert("LiteLLM_VerificationToken", token="d" * 64, key_alias="blocked", models=[], blocked=True,
           expires="2027-01-01 00:00:00.5")  # fmt: skip
    insert(
        "LiteLLM_VerificationToken",
        token="e" * 64,
        key_name="sk-...eeee",
        models=[],
        allowed_routes=["/key/info"],
    )
    insert("LiteLLM_VerificationToken", token="f" * 64, models=[], team_id="litellm-dashboard")
    for number in range(3):
        insert("LiteLLM_SpendLogs", request_id=f"r{number}", call_type="chat", startTime="2026-11-01", spend=0.1,
               endTime="2026-11-01", messages={"text": AWKWARD})  # fmt: skip


@pytest.fixture(
    scope="module", params=["copy", "gzip", "inserts", "column-inserts", "many rows an insert", "clean"]
)
def dump(request: pytest.FixtureRequest, site: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = {
        "inserts": ["--inserts"],
        "column-inserts": ["--column-inserts"],
        "many rows an insert": ["--rows-per-insert=100"],
        "clean": ["--clean", "--if-exists", "--no-owner"],
    }
    found = subprocess.run(
        ["pg_dump", *options.get(request.param, []), site], check=True, capture_output=True
    ).stdout
    path = tmp_path_factory.mktemp("dump") / "litellm.sql"
    path.write_bytes(gzip.compress(found) if request.param == "gzip" else found)
    return path


def run_import(*arguments: Any, **environ: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "routeiq_appliance.cli", "admin", "import-litellm", *map(str, arguments)]
    return subprocess.run(
        command, env={"PATH": os.environ["PATH"], **environ}, capture_output=True, text=True, check=False
    )


def rows_of(engine: sa.Engine, table: sa.Table) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(sa.select(table)).mappings()]


def test_a_dump_of_any_form_is_carried_over_once(dump: Path, tmp_path: Path) -> None:  # L4
    environ = {"ROUTEIQ_DATA_DIR": str(tmp_path), "ROUTEIQ_PEPPER": PEPPER}
    done = run_import("--dump", dump, "--json", **environ)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["rows"] == {
        "budgets": {"found": 1, "carried": 1, "already_here": 0, "not_carried": 0},
        "organizations": {"found": 0, "carried": 0, "already_here": 0, "not_carried": 0},
        "members": {"found": 0, "carried": 0, "already_here": 0, "not_carried": 0},
        "teams": {"found": 2, "carried": 1, "already_here": 0, "not_carried": 1},
        "users": {"found": 1, "carried": 1, "already_here": 0, "not_carried": 0},
        "keys": {"found": 6, "carried": 3, "already_here": 0, "not_carried": 3},
    }
    assert {(item["kind"], item["reason"]) for item in report["not_carried"]} == {
        ("teams", "not enforced here: guardrails"),
        ("keys", "its team was not carried"),
        ("keys", "not enforced here: a list of allowed routes"),
        ("keys", "a session of LiteLLM's admin page"),
    }
    (logs,) = [item for item in report["other_tables"] if item["table"] == "LiteLLM_SpendLogs"]
    assert logs["rows"] == 3
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'routeiq.sqlite3'}")
    found = {row["hint"] + (row["alias"] or ""): row for row in rows_of(engine, keys)}
    ann = found["sk-...1234ann's key"]
    assert ann["metadata"]["note"] == AWKWARD
    assert (ann["models"], ann["team_id"], ann["user_id"]) == (["small", "large"], "t1", "u1")
    assert (ann["max_budget"], ann["rpm_limit"], ann["budget_duration"]) == (10 * 10**12, 60, "30d")
    assert ann["model_limits"] == {"small": {"rpm": 5}}
    assert ann["budget_anchor"].isoformat() == "2026-11-01T00:00:00+00:00"
    other = found["sk-...bbbb"]
    assert (other["models"], other["max_budget"], other["budget_id"]) == ([], None, "b1")
    (budget,) = rows_of(engine, budgets)
    assert (budget["id"], budget["max_budget"], budget["rpm_limit"]) == ("b1", 25 * 10**11, 7)
    assert found["sk-...blocked"]["blocked"]
    spent = {(row["scope"].partition(":")[0], row["period"]): row["amount"] for row in rows_of(engine, spend)}
    assert spent == {
        ("key", int(ann["budget_anchor"].timestamp())): 123456789012,
        ("team", 0): 125 * 10**10,
        ("user", 0): 10**11,
    }
    (team,) = rows_of(engine, teams)
    assert (team["alias"], team["metadata"]["note"], team["tpm_limit"]) == ("research", AWKWARD, 1000)
    before = [rows_of(engine, table) for table in (keys, teams, users, spend)]
    again = json.loads(run_import("--dump", dump, "--json", **environ).stdout)
    assert again["rows"]["keys"] == {"found": 6, "carried": 0, "already_here": 3, "not_carried": 3}
    assert [rows_of(engine, table) for table in (keys, teams, users, spend)] == before
    engine.dispose()


async def test_an_imported_key_opens_the_gateway_with_its_old_secret(
    postgresql: PostgreSQL, site: str, tmp_path: Path, run_gateway: Callable[..., AsyncGenerator[Any, None]]
) -> None:  # L4
    dump = tmp_path / "litellm.sql"
    dump.write_bytes(subprocess.run(["pg_dump", site], check=True, capture_output=True).stdout)
    ours = postgresql.new_database()
    environ = {"DATABASE_URL": ours, "ROUTEIQ_PEPPER": PEPPER}
    assert "schema is empty" in run_import("--dump", dump, **environ).stderr
    migrated = [sys.executable, "-m", "routeiq_appliance.cli", "admin", "migrate"]
    subprocess.run(migrated, env={"PATH": os.environ["PATH"], **environ}, check=True, capture_output=True)
    tried = json.loads(run_import("--dump", dump, "--dry-run", "--json", **environ).stdout)
    assert tried["rows"]["keys"]["carried"] == 3
    async for gateway in run_gateway(**environ):
        call = {"model": "small", "messages": [{"role": "user", "content": "hi"}]}
        with_key = {"headers": {"authorization": f"Bearer {SECRET}"}}
        answer = await gateway.client.post("/v1/chat/completions", json=call, **with_key)
        assert answer.status_code == 401, "a dry run must write nothing"
    done = run_import("--dump", dump, **environ)
    assert done.returncode == 0, done.stderr
    async for gateway in run_gateway(**environ):
        answer = await gateway.client.post("/v1/chat/completions", json=call, **with_key)
        assert answer.status_code == 200, answer.text
        # Its team may use `small` alone.
        refused = await gateway.client.post(
            "/v1/chat/completions", json={**call, "model": "large"}, **with_key
        )
        assert refused.status_code == 403
        info = (await gateway.client.get("/key/info", params={"key": SECRET}, headers=gateway.auth)).json()[
            "info"
        ]
        assert (info["spend"], info["max_budget"]) == (0.123456789012, 10)
        assert info["budget_reset_at"] == "2026-12-01T00:00:00Z"


def test_a_running_database_gives_the_same_as_its_dump(site: str, tmp_path: Path) -> None:  # L4
    dump, url = tmp_path / "litellm.sql", tmp_path / "url"
    dump.write_bytes(subprocess.run(["pg_dump", site], check=True, capture_output=True).stdout)
    url.write_text(f"{site}?schema=public&connection_limit=10\n")
    environ = {"ROUTEIQ_PEPPER": PEPPER}
    reports = [
        json.loads(run_import(*source, "--json", **environ, ROUTEIQ_DATA_DIR=str(tmp_path / name)).stdout)
        for name, source in (("one", ("--dump", dump)), ("two", ("--from-url-file", url)))
    ]
    for report in reports:
        del report["database"], report["source"]
    assert reports[0] == reports[1]
    assert reports[0]["rows"]["keys"]["carried"] == 3
    url.write_text(site.replace("postgres@", "postgres:planted-password@").replace("test_", "nothing_"))
    refused = run_import("--from-url-file", url, **environ)
    assert refused.returncode == 1
    assert "does not exist" in refused.stderr
    assert "planted" not in refused.stderr
