"""`routeiq admin spend`: what is printed where, and the exit code that a cron job acts on."""

import csv
import io
import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from tests.appliance.reports.rows import Called, post

from routeiq_appliance.cli.main import main
from routeiq_appliance.state.database import database_url, open_engine
from routeiq_appliance.state.migrate import migrate
from routeiq_appliance.state.tables import spend


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> sa.Engine:
    monkeypatch.setenv("ROUTEIQ_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    made = open_engine(database_url(None, tmp_path))
    migrate(made)
    post(made, [Called("k1", "=t", cost=1_500_000), Called("k1", "=t", cost=None), Called("master", cost=5),
                Called("k2", "u", second=86_400, cost=10**12)])  # fmt: skip
    return made


@pytest.mark.usefixtures("engine")
def test_a_report_in_three_forms_and_on_stderr_whether_it_agrees() -> None:
    table = CliRunner().invoke(main, ["admin", "spend", "report", "--group-by", "team"])
    assert table.exit_code == 0, table.output
    lines = table.stdout.splitlines()
    assert lines[0].split()[:4] == ["TEAM_ID", "TEAM_ALIAS", "REQUESTS", "FAILED_REQUESTS"]
    assert lines[-1].split() == ["all", "4", "0", "1", "0", "12", "8", "20", "5", "1.000001500005", "0"]
    assert (
        "every key: the ledger has $1.000001500005 (0.000000000005 charged to nobody) and agrees"
        in table.stderr
    )
    text = CliRunner().invoke(
        main, ["admin", "spend", "report", "--csv", "--group-by", "team", "--to", "2026-11-20"]
    )
    rows = list(csv.DictReader(io.StringIO(text.stdout)))
    assert [(row["team_id"], row["spend"]) for row in rows] == [("", "0.000000000005"), ("'=t", "0.0000015")]
    found = CliRunner().invoke(
        main, ["admin", "spend", "report", "--json", "--key", "k2", "--from", "2026-11-21"]
    )
    assert json.loads(found.stdout)["reconciliation"]["scope"] == "key:k2"


def test_reconcile_exits_1_and_names_what_differs(engine: sa.Engine) -> None:
    good = CliRunner().invoke(main, ["admin", "spend", "reconcile"])
    assert (good.exit_code, good.stdout) == (0, "4 compared, 0 differ\n")
    with engine.begin() as connection:
        connection.execute(spend.update().where(spend.c.scope == "key:k2").values(amount=0))
    bad = CliRunner().invoke(main, ["admin", "spend", "reconcile"])
    assert bad.exit_code == 1
    assert bad.stdout == "key:k2: the ledger has $1, charged was $0: $-1\n4 compared, 1 differ\n"
    told = CliRunner().invoke(main, ["admin", "spend", "reconcile", "--json"])
    assert told.exit_code == 1
    assert json.loads(told.stdout)["differences"] == [
        {"scope": "key:k2", "ledger": "1", "spend_table": "0", "carried_over": "0", "difference": "-1"}
    ]


@pytest.mark.usefixtures("engine")
def test_a_wrong_grouping_is_named() -> None:
    wrong = CliRunner().invoke(main, ["admin", "spend", "report", "--group-by", "weather"])
    assert (wrong.exit_code, "there is no grouping `weather`" in wrong.stderr) == (1, True)


def test_no_database_is_made_by_looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTEIQ_DATA_DIR", str(tmp_path))
    result = CliRunner().invoke(main, ["admin", "spend", "reconcile"])
    assert (result.exit_code, "no such database" in result.stderr) == (1, True)
    assert list(tmp_path.iterdir()) == []
