"""A site moves over for real: LiteLLM's schema in PostgreSQL, pg_dump, the import, and a call with the old secret."""

import base64
import gzip
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
import yaml
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tests.appliance.moving.litellm_schema import create_tables
from tests.appliance.postgresql import PostgreSQL

from routeiq_appliance.state.reconcile import CARRIED, compare_all
from routeiq_appliance.state.reports import snapshot
from routeiq_appliance.state.tables import budgets, keys, members, organizations, spend, teams, users

pytestmark = pytest.mark.e2e

SECRET = "sk-made-by-litellm-1234"
GUIDE = Path(__file__).parents[3] / "docs" / "moving-from-litellm.md"
PEPPER = "p" * 40
SALT = "sk-salt-of-the-tests"
AWKWARD = "tab\there, line\nbreak, 'quote', \"double\", back\\slash, $$ and {brace,} \\."


@pytest.fixture(scope="module")
def site(postgresql: PostgreSQL) -> str:
    """The database of a LiteLLM proxy; returns its URL."""
    url = postgresql.new_database()
    with psycopg.connect(url) as connection:
        connection.execute(create_tables())
        fill(connection)
    return url


def sealed(value: str, key: str = SALT) -> str:
    """As LiteLLM writes it under `encryption_algorithm: aes-256-gcm`."""
    nonce = os.urandom(12)
    text = AESGCM(hashlib.sha256(key.encode()).digest()).encrypt(nonce, value.encode(), None)
    return "v2:gcm:" + base64.urlsafe_b64encode(nonce + text).decode()


def fill(connection: psycopg.Connection[Any]) -> None:
    def insert(table: str, **values: Any) -> None:
        names = ", ".join(f'"{name}"' for name in values)
        marks = ", ".join(["%s"] * len(values))
        made = [json.dumps(value) if _is_json(value) else value for value in values.values()]
        connection.execute(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', made)

    def _is_json(value: Any) -> bool:
        return isinstance(value, dict) or (
            isinstance(value, list) and any(isinstance(item, dict) for item in value)
        )

    by = {"created_by": "admin", "updated_by": "admin"}
    insert("LiteLLM_BudgetTable", budget_id="b1", max_budget=2.5, rpm_limit=7, budget_duration="30d",
           budget_reset_at="2026-12-01 00:00:00", **by)  # fmt: skip
    insert("LiteLLM_BudgetTable", budget_id="b2", max_budget=5, **by)
    insert("LiteLLM_OrganizationTable", organization_id="o1", organization_alias="acme", budget_id="b1", models=[],
           spend=0.5, **by)  # fmt: skip
    insert("LiteLLM_TeamTable", team_id="t1", team_alias="research", models=["small"], spend=1.25, max_budget=100,
           metadata={"note": AWKWARD}, tpm_limit=1000, organization_id="o1",
           members_with_roles=[{"role": "admin", "user_id": "u1"}, {"role": "user", "user_id": "u2"}])  # fmt: skip
    insert("LiteLLM_TeamMembership", team_id="t1", user_id="u1", spend=0.25, budget_id="b2")
    insert(
        "LiteLLM_TeamTable", team_id="t2", team_alias="watched", models=[], metadata={"guardrails": ["pii"]}
    )
    insert(
        "LiteLLM_UserTable",
        user_id="u1",
        user_alias="ann",
        models=[],
        spend=0.1,
        user_role="internal_user",
        user_email="ann@example.org",
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
    shared = {"api_key": sealed("sk-planted-shared")}
    insert("LiteLLM_CredentialsTable", credential_name="shared", credential_values=shared, **by)
    for number, (key, more) in enumerate(
        ((SALT, {}), ("another", {}), (SALT, {"litellm_credential_name": "shared"}))
    ):
        params = {"model": "openai/tiny", "api_base": f"http://10.0.0.{number}/v1", **more}
        params |= {} if more else {"api_key": "sk-planted-own"}
        insert("LiteLLM_ProxyModelTable", model_id=f"m{number}", model_name=f"stored {number}".replace(" ", "-"),
               litellm_params={name: sealed(value, key) for name, value in params.items()} | {"rpm": 7},
               model_info={"id": f"m{number}", "mode": "chat", "db_model": True}, **by)  # fmt: skip
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


def run_import(*arguments: Any, cwd: Path | None = None, **environ: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "routeiq_appliance.cli", "admin", "import-litellm", *map(str, arguments)]
    environ = {"PATH": os.environ["PATH"], **environ}
    return subprocess.run(command, env=environ, cwd=cwd, capture_output=True, text=True, check=False)


def write_dump(url: str, path: Path) -> None:
    path.write_bytes(subprocess.run(["pg_dump", url], check=True, capture_output=True).stdout)


def migrate(environ: dict[str, Any]) -> None:
    command = [sys.executable, "-m", "routeiq_appliance.cli", "admin", "migrate"]
    subprocess.run(command, env={"PATH": os.environ["PATH"], **environ}, check=True, capture_output=True)


def rows_of(engine: sa.Engine, table: sa.Table) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(sa.select(table)).mappings()]


def test_a_dump_of_any_form_is_carried_over_once(dump: Path, tmp_path: Path) -> None:  # L4
    environ: dict[str, Any] = {"ROUTEIQ_DATA_DIR": str(tmp_path), "ROUTEIQ_PEPPER": PEPPER}
    done = run_import("--dump", dump, "--json", **environ)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["rows"] == {
        "budgets": {"found": 2, "carried": 2, "already_here": 0, "not_carried": 0},
        "organizations": {"found": 1, "carried": 1, "already_here": 0, "not_carried": 0},
        "members": {"found": 2, "carried": 2, "already_here": 0, "not_carried": 0},
        "models": {"found": 3, "carried": 0, "already_here": 0, "not_carried": 3},
        "teams": {"found": 2, "carried": 1, "already_here": 0, "not_carried": 1},
        "users": {"found": 1, "carried": 1, "already_here": 0, "not_carried": 0},
        "keys": {"found": 6, "carried": 3, "already_here": 0, "not_carried": 3},
    }
    assert {(item["kind"], item["reason"]) for item in report["not_carried"]} == {
        ("teams", "not enforced here: guardrails"),
        ("keys", "its team was not carried"),
        ("keys", "not enforced here: a list of allowed routes"),
        ("keys", "a session of LiteLLM's admin page"),
        ("models", "give --models-out to write them as `model_list`"),
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
    budget, _ = rows_of(engine, budgets)
    assert (budget["id"], budget["max_budget"], budget["rpm_limit"]) == ("b1", 25 * 10**11, 7)
    assert found["sk-...blocked"]["blocked"]
    spent = {
        (row["scope"].partition(":")[0], row["period"]): row["amount"]
        for row in rows_of(engine, spend)
        if not row["scope"].startswith(CARRIED)
    }
    with snapshot(engine) as connection:
        # No call here has cost that: it must not look like a fault of the ledger.
        accounts = list(compare_all(connection, uncharged="master"))
    assert {item.scope.partition(":")[0] for item in accounts} == {"key", "team", "user", "organization"}
    assert all(item.reconciled for item in accounts)
    assert spent == {
        ("key", int(ann["budget_anchor"].timestamp())): 123456789012,
        ("team", 0): 125 * 10**10,
        ("user", 0): 10**11,
        ("member", 0): 25 * 10**10,
        ("organization", int(ann["budget_anchor"].timestamp())): 5 * 10**11,
    }
    (user,) = rows_of(engine, users)
    assert (user["email"], user["role"]) == ("ann@example.org", "internal_user")
    found_members = {
        (row["owner_id"], row["user_id"]): (row["role"], row["max_budget"])
        for row in rows_of(engine, members)
    }
    assert found_members == {("t1", "u1"): ("admin", 5 * 10**12), ("t1", "u2"): ("user", None)}
    (team,) = rows_of(engine, teams)
    assert (team["alias"], team["metadata"]["note"], team["organization_id"]) == ("research", AWKWARD, "o1")
    all_tables = (budgets, keys, members, organizations, spend, teams, users)
    before = [rows_of(engine, table) for table in all_tables]
    again = json.loads(run_import("--dump", dump, "--json", **environ).stdout)
    assert again["rows"]["keys"] == {"found": 6, "carried": 0, "already_here": 3, "not_carried": 3}
    assert [rows_of(engine, table) for table in all_tables] == before
    assert all(tally["carried"] == 0 for tally in again["rows"].values())
    engine.dispose()


async def test_an_imported_key_opens_the_gateway_with_its_old_secret(
    postgresql: PostgreSQL, site: str, tmp_path: Path, run_gateway: Callable[..., AsyncGenerator[Any, None]]
) -> None:  # L4
    dump = tmp_path / "litellm.sql"
    write_dump(site, dump)
    ours = postgresql.new_database()
    environ: dict[str, Any] = {"DATABASE_URL": ours, "ROUTEIQ_PEPPER": PEPPER}
    assert "schema is empty" in run_import("--dump", dump, **environ).stderr
    migrate(environ)
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
    write_dump(site, dump)
    url.write_text(f"{site}?schema=public&connection_limit=10\n")
    environ: dict[str, Any] = {"ROUTEIQ_PEPPER": PEPPER}
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


def test_stored_models_become_a_configuration_that_serves(site: str, tmp_path: Path) -> None:  # L4
    dump, out = tmp_path / "litellm.sql", tmp_path / "models"
    write_dump(site, dump)
    environ: dict[str, Any] = {
        "ROUTEIQ_PEPPER": PEPPER,
        "ROUTEIQ_DATA_DIR": str(tmp_path / "data"),
        "LITELLM_SALT_KEY": SALT,
    }
    tried = json.loads(
        run_import("--dump", dump, "--models-out", out, "--dry-run", "--json", **environ).stdout
    )
    assert not out.exists()
    assert not (tmp_path / "data").exists()
    done = run_import("--dump", dump, "--models-out", out, "--json", **environ)
    report = json.loads(done.stdout)
    assert report["rows"] == tried["rows"]
    assert report["rows"]["models"] == {"found": 3, "carried": 2, "already_here": 0, "not_carried": 1}
    assert {(item["kind"], item["reason"]) for item in report["not_carried"] if item["kind"] == "models"} == {
        ("models", "its parameters do not open with LITELLM_SALT_KEY: a skeleton was written")
    }
    text = (out / "model_list.yaml").read_text()
    assert "planted" not in text + done.stdout + done.stderr
    first, skeleton, third = yaml.safe_load(text)["model_list"]
    assert first == {
        "model_name": "stored-0",
        "litellm_params": {
            "model": "openai/tiny", "api_base": "http://10.0.0.0/v1", "rpm": 7,
            "api_key": "os.environ/STORED_0_API_KEY",
        },
        "model_info": {"id": "m0", "mode": "chat"},
    }  # fmt: skip
    assert skeleton["litellm_params"]["model"] == "PROVIDER/MODEL"
    assert third["litellm_params"]["api_key"] == "os.environ/STORED_2_API_KEY"
    held = {path.name: (path.read_text(), oct(path.stat().st_mode)) for path in (out / "secrets").iterdir()}
    assert held == {
        "STORED_0_API_KEY": ("sk-planted-own", "0o100600"),
        "STORED_2_API_KEY": ("sk-planted-shared", "0o100600"),
    }
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"model_list": [first, third]}))
    files = {f"{name}_FILE": str(out / "secrets" / name) for name in held}
    check = [sys.executable, "-m", "routeiq_appliance.cli", "config", "check", "--strict", str(config)]
    checked = subprocess.run(
        check, env={"PATH": os.environ["PATH"], **files}, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    again = run_import("--dump", dump, "--models-out", out, **environ)
    assert again.returncode == 1
    assert "exists" in again.stderr


def test_the_report_is_as_the_guide_shows_it(site: str, tmp_path: Path) -> None:
    dump = tmp_path / "litellm.sql"
    write_dump(site, dump)
    environ: dict[str, Any] = {
        "ROUTEIQ_PEPPER": PEPPER,
        "ROUTEIQ_DATA_DIR": str(tmp_path / "data"),
        "LITELLM_SALT_KEY": SALT,
    }
    done = run_import("--dump", "litellm.sql", "--models-out", "litellm-models", cwd=tmp_path, **environ)
    *lines, last = done.stdout.splitlines()
    assert last == f"litellm.sql: brought to sqlite {tmp_path / 'data' / 'routeiq.sqlite3'}"
    shown = "\n".join(lines)
    assert shown in GUIDE.read_text(encoding="utf-8"), shown
