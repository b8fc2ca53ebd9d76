"""`/global/spend/*` and the sums of `/spend/logs`, over the management application (C6, H11)."""

import csv
import io
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.appliance.reports.rows import FIRST_DAY, Called, post

from routeiq_appliance.api.management.report_schemas import (
    GlobalSpend,
    KeySpend,
    ReportAnswer,
    SpendDay,
    TeamDay,
    TeamsSpend,
    TopKey,
    TopModel,
)
from routeiq_appliance.pipeline.types import Principal
from routeiq_appliance.state.tables import spend

_BOTH = pytest.mark.parametrize(
    "managed", ["sqlite", pytest.param("postgresql", marks=pytest.mark.e2e)], indirect=True
)
_DAY = 86_400


def _post(managed: Any) -> None:
    post(managed.engine, [
        Called("k1", "t1", "u1", model="small", second=1, cost=1_500_000),
        Called("k1", "t1", None, model="own", second=2, cost=None, tokens=(7, 1)),
        Called("k2", None, "u1", model="small", second=_DAY, cost=10**12, estimated=True),
        Called("master", None, None, model="small", second=_DAY, cost=5, status=502),
    ])  # fmt: skip


@_BOTH
async def test_a_report_groups_as_asked_and_says_that_the_accounts_agree(managed: Any) -> None:
    _post(managed)
    answer = await managed.get("/global/spend/report", group_by="model, day", format="json")
    assert answer.status_code == 200, answer.text
    ReportAnswer.model_validate(answer.json())
    found = answer.json()
    assert found["group_by"] == ["day", "model"]
    assert [(row["day"], row["model"], row["requests"], row["unpriced_requests"], row["spend"])
            for row in found["rows"]] == [
        ("2026-11-20", "own", 1, 1, None), ("2026-11-20", "small", 1, 0, 0.0000015),
        ("2026-11-21", "small", 2, 0, 1.000000000005),
    ]  # fmt: skip
    assert (found["rows"][2]["estimated_requests"], found["rows"][2]["estimated_spend"]) == (1, 1)
    assert found["rows"][2]["failed_requests"] == 1
    assert found["total"]["unpriced_tokens"] == 8
    assert found["reconciled"] is True
    assert found["reconciliation"] == {
        "scope": "every key", "ledger": 1.000001500005, "uncharged": 5e-12, "spend_table": 1.0000015, "carried_over": 0,
        "difference": 0, "reconciled": True,
    }  # fmt: skip
    assert '"spend":1.000001500005' in answer.text
    assert answer.headers["x-routeiq-reconciled"] == "true"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert managed.flushed == [1.0]


@_BOTH
async def test_csv_has_exact_decimals_and_nothing_where_there_is_no_price(managed: Any) -> None:
    _post(managed)
    for asked, headers in ({"format": "csv"}, {}), ({}, {"accept": "text/csv"}):
        query = {"group_by": "key,model", **asked}
        answer = await managed.client.get("/global/spend/report", params=query, headers=headers)
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.headers["content-disposition"] == 'attachment; filename="spend-by-key-model.csv"'
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert [(row["api_key"], row["model"], row["spend"], row["estimated_spend"]) for row in rows] == [
            ("k1", "own", "", "0"), ("k1", "small", "0.0000015", "0"), ("k2", "small", "1", "1"),
            ("master", "small", "0.000000000005", "0"),
        ]  # fmt: skip
        assert sum(Decimal(row["spend"] or "0") for row in rows) == Decimal("1.000001500005")


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("x","y")'])
async def test_no_cell_of_a_csv_is_a_formula(managed: Any, name: str) -> None:
    post(managed.engine, [Called(team=name), Called(team="a,\nb"), Called(team="a=b")])
    answer = await managed.get("/global/spend/report", group_by="team", format="csv")
    names = {row["team_id"] for row in csv.DictReader(io.StringIO(answer.text))}
    assert names == {f"'{name}", "a,\nb", "a=b"}


@_BOTH
async def test_litellms_groupings_have_litellms_shapes(managed: Any) -> None:
    _post(managed)
    await managed.made("/team/new", team_id="t1", team_alias="Team one")
    days = (await managed.get("/global/spend/report", start_date="2026-11-20", end_date="2026-11-21")).json()
    for day in days:
        TeamDay.model_validate(day)
    assert [(day["group_by_day"], [team["team_name"] for team in day["teams"]]) for day in days] == [
        ("2026-11-20", ["Team one"]), ("2026-11-21", ["Unassigned"]),
    ]  # fmt: skip
    (team,) = days[0]["teams"]
    assert (team["total_spend"], team["unpriced_requests"]) == (0.0000015, 1)
    assert [(part["model"], part["api_key"], part["spend"], part["total_tokens"]) for part in team["metadata"]] == [
        ("own", "k1", None, 8), ("small", "k1", 0.0000015, 5),
    ]  # fmt: skip
    keys = (await managed.get("/global/spend/report", group_by="api_key")).json()
    for key in keys:
        KeySpend.model_validate(key)
    assert [(key["api_key"], key["total_cost"], key["total_input_tokens"]) for key in keys] == [
        ("k1", 0.0000015, 10), ("k2", 1, 3), ("master", 5e-12, 3),
    ]  # fmt: skip
    mine = (await managed.get("/global/spend/report", internal_user_id="u1")).json()
    assert [key["api_key"] for key in mine] == ["k1", "k2"]


async def test_what_a_report_cannot_be_is_refused(managed: Any) -> None:
    for query, message in [
        ({"group_by": "weather"}, "`group_by`: there is no grouping `weather`: day, organization, team"),
        ({"group_by": "customer"}, "customers of callers are not kept"),
        ({"group_by": "user", "format": "litellm"}, "LiteLLM has no such grouping"),
        ({"format": "xml"}, "`format`: input should be 'json', 'csv' or 'litellm'"),
        ({"start_date": "yesterday"}, "must look like"),
        ({"team": "x"}, "unknown field `team`; did you mean `team_id`?"),
        ({"model": "\0"}, "printable"),
    ]:
        answer = await managed.get("/global/spend/report", **query)
        assert (answer.status_code, message in answer.text) == (400, True), answer.text


async def test_a_difference_is_told(managed: Any) -> None:
    _post(managed)
    with managed.engine.begin() as connection:
        connection.execute(spend.update().where(spend.c.scope == "key:k1").values(amount=1_499_999))
    answer = await managed.get("/global/spend/report", group_by="", format="json")
    assert [row["requests"] for row in answer.json()["rows"]] == [4]
    assert (answer.json()["reconciled"], answer.json()["reconciliation"]["difference"]) == (False, -1e-12)
    assert answer.headers["x-routeiq-difference"] == "-0.000000000001"
    assert (await managed.get("/global/spend/report", team_id="t1")).headers["x-routeiq-reconciled"] == "true"
    assert (await managed.get("/global/spend")).json()["reconciled"] is False


@_BOTH
async def test_the_last_thirty_days_by_key_model_and_team(managed: Any) -> None:
    _post(managed)
    post(managed.engine, [Called("old", second=-40 * _DAY, cost=10**15)], first=100)
    managed.now = FIRST_DAY + timedelta(days=2)
    whole = (await managed.get("/global/spend")).json()
    GlobalSpend.model_validate(whole)
    assert (whole["spend"], whole["unpriced_requests"], whole["reconciled"]) == (1.000001500005, 1, True)
    keys = (await managed.get("/global/spend/keys", limit=2)).json()
    assert [(TopKey.model_validate(key), key["api_key"])[1] for key in keys] == ["k2", "k1"]
    models = (await managed.get("/global/spend/models")).json()
    assert [(TopModel.model_validate(item), item["model"], item["total_spend"])[1:] for item in models] == [
        ("small", 1.000001500005), ("own", None),
    ]  # fmt: skip
    teams = (await managed.get("/global/spend/teams")).json()
    TeamsSpend.model_validate(teams)
    assert teams["teams"] == ["Unassigned", "t1"]
    assert teams["daily_spend"] == [{"date": "2026-11-20", "t1": 0.0000015},
                                    {"date": "2026-11-21", "Unassigned": 1.000000000005}]  # fmt: skip
    everything = (await managed.get("/global/spend/keys", start_date="2026-01-01")).json()
    assert everything[0]["api_key"] == "old"
    assert (await managed.get("/global/spend", end_date="0001-01-01")).json()["spend"] == 0
    assert (await managed.get("/global/spend", end_date="9999-12-31", start_date="2026-01-01")).json()[
        "spend"
    ] > 1000


@_BOTH
async def test_logs_are_summed_by_day_in_litellms_shape(managed: Any) -> None:
    _post(managed)
    days = (
        await managed.get("/spend/logs", summarize="true", start_date="2026-11-20", end_date="2026-11-21")
    ).json()
    for day in days:
        SpendDay.model_validate(day)
    assert days[1] == {
        "k2": 1, "master": 5e-12, "startTime": "2026-11-21", "spend": 1.000000000005, "requests": 2,
        "unpriced_requests": 0, "estimated_requests": 1, "users": {"": 5e-12, "u1": 1},
        "models": {"small": 1.000000000005},
    }  # fmt: skip
    assert (days[0]["unpriced_requests"], days[0]["models"]) == (1, {"own": None, "small": 0.0000015})


async def test_a_key_sees_its_own_calls_and_no_report(managed: Any) -> None:  # I1
    made = await managed.made("/key/generate")
    mine = managed.called(1, key_id=made["token_id"])
    managed.called(2, key_id="other")
    managed.principal = Principal(made["token_id"])
    for query in ({}, {"api_key": made["key"]}, {"api_key": made["token_id"]}):
        assert [row["request_id"] for row in (await managed.get("/spend/logs", **query)).json()] == [mine]
    summed = (await managed.get("/spend/logs", summarize="true")).json()
    assert [day["requests"] for day in summed] == [1]
    assert (await managed.get("/spend/logs", api_key="other")).status_code == 403
    for path in ("/global/spend/report", "/global/spend", "/global/spend/keys"):
        assert (await managed.get(path)).status_code == 403
    managed.principal = Principal("viewer", role="viewer")
    assert (await managed.get("/global/spend/report")).status_code == 200


async def test_a_long_report_is_sent_from_a_file_that_is_gone_afterwards(managed: Any, tmp_path: Any) -> None:
    post(managed.engine, [Called(user=f"user-{number:06}", second=number, cost=1) for number in range(6_000)])
    before = set(tmp_path.iterdir())
    answer = await managed.get("/global/spend/report", group_by="user,key,team,model,day", format="json")
    found = answer.json()
    assert len(answer.content) > 1 << 20
    assert (len(found["rows"]), found["total"]["requests"], found["reconciled"]) == (6_000, 6_000, True)
    assert set(tmp_path.iterdir()) == before
