from decimal import Decimal
from typing import Any

import pytest

from routeiq_appliance.api.management.answers import to_json
from routeiq_appliance.api.management.spend import SpendRow


@pytest.mark.parametrize(
    "managed", ["sqlite", pytest.param("postgresql", marks=pytest.mark.e2e)], indirect=True
)
async def test_one_row_per_call_in_litellms_names(managed: Any) -> None:
    identity = managed.called(1, team_id="t", user_id="u", trace_id="f" * 32)
    answer = await managed.get("/spend/logs")
    assert answer.json() == [{
        "request_id": identity, "call_type": "acompletion", "api_key": "k", "model": "auto", "model_group": "small",
        "model_id": "small-1", "custom_llm_provider": "openai", "spend": 0.0000015, "prompt_tokens": 3,
        "completion_tokens": 2, "total_tokens": 5, "startTime": "2026-11-21T08:00:01.250000Z",
        "endTime": "2026-11-21T08:00:02.750000Z", "completionStartTime": "2026-11-21T08:00:01.500000Z",
        "request_duration_ms": 1500, "user": "u", "team_id": "t", "status": "success",
        "metadata": {"decision": {"strategy": "knn"}}, "http_status": 200, "outcome": "answered", "stream": False,
        "estimated": False, "attempts": 1, "trace_id": "f" * 32,
    }]  # fmt: skip
    assert '"spend":0.0000015,' in answer.text
    assert managed.flushed == [1.0]
    SpendRow.model_validate(answer.json()[0])


async def test_an_unpriced_call_is_null_and_a_failed_one_is_a_failure(managed: Any) -> None:
    managed.called(1, cost=None, status=502, outcome="upstream_unavailable", first_token_ms=None, group=None)
    row = (await managed.get("/spend/logs")).json()[0]
    assert (row["spend"], row["status"], row["completionStartTime"]) == (None, "failure", None)
    SpendRow.model_validate(row)


async def test_rows_are_those_that_match_all_filters(managed: Any) -> None:
    made = await managed.made("/key/generate")
    mine = managed.called(1, key_id=made["token_id"], team_id="t", user_id="u")
    other = managed.called(2, key_id="gone", team_id="t", user_id="v")
    managed.called(60 * 60 * 24, team_id="x")

    async def found(**query: Any) -> list[str]:
        return [row["request_id"] for row in (await managed.get("/spend/logs", **query)).json()]

    assert await found(api_key=made["key"]) == [mine]
    assert await found(api_key=made["token_id"]) == [mine]
    # A deleted key's calls are found by its token id.
    assert await found(api_key="gone") == [other]
    assert await found(api_key="sk-none") == []
    assert await found(team_id="t") == [other, mine]
    assert await found(team_id="t", user_id="u") == [mine]
    assert await found(request_id=other) == [other]
    assert await found(start_date="2026-11-21", end_date="2026-11-21") == [other, mine]
    assert await found(start_date="2026-11-21T08:00:02Z", end_date="2026-11-21") == [other]
    assert await found(end_date="2026-11-21T09:00:02+01:00") == [mine]
    assert await found(start_date="2026-11-23") == []


async def test_a_long_answer_says_where_it_goes_on(managed: Any) -> None:
    rows = [managed.called(number) for number in range(5)][::-1]
    first = await managed.get("/spend/logs", limit=3)
    assert [row["request_id"] for row in first.json()] == rows[:3]
    rest = await managed.get("/spend/logs", limit=3, offset=first.headers["x-routeiq-next-offset"])
    assert [row["request_id"] for row in rest.json()] == rows[3:]
    assert "x-routeiq-next-offset" not in rest.headers


@pytest.mark.parametrize(
    ("query", "param", "message"),
    [
        ({"apikey": "x"}, "apikey", "unknown field `apikey`; did you mean `api_key`?"),
        ({"limit": 0}, "limit", "greater than or equal to 1"),
        ({"limit": 10_001}, "limit", "less than or equal to 10000"),
        ({"offset": -1}, "offset", "greater than or equal to 0"),
        ({"start_date": "yesterday"}, "start_date", "`start_date` must look like 2026-11-21"),
        ({"end_date": "0000-12-31"}, "end_date", "`end_date` must look like 2026-11-21"),
        ({"end_date": "2026-11-31"}, "end_date", "`end_date` must look like 2026-11-21"),
        ({"summarize": "true", "offset": 1}, "summarize", "have no offset"),
        ({"team_id": "a\0"}, "team_id", "printable characters only"),
    ],
)
async def test_wrong_filters_are_400_and_named(managed: Any, query: Any, param: str, message: str) -> None:
    managed.called(1)
    answer = await managed.get("/spend/logs", **query)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
    assert message in answer.json()["error"]["message"]


async def test_the_ledger_away_is_503(managed: Any) -> None:
    with managed.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE calls RENAME TO gone")
    answer = await managed.get("/spend/logs")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_money_is_an_exact_number() -> None:
    assert to_json(Decimal("0E-12")) == "0"
    assert to_json(Decimal("1E+3")) == "1000"
    assert to_json(Decimal("9007199254740993.000000000001")) == "9007199254740993.000000000001"
    assert to_json({"a": [Decimal("1.50"), True, None, "é\n", 2]}) == '{"a":[1.5,true,null,"é\\n",2]}'


async def test_the_openapi_document_has_every_path(managed: Any) -> None:  # C16
    document = (await managed.get("/openapi.json")).json()
    assert set(document["paths"]) >= {
        "/key/generate", "/key/info", "/key/update", "/key/delete", "/key/block", "/key/unblock", "/team/new",
        "/team/update", "/team/info", "/user/new", "/user/update", "/user/info", "/spend/logs",
    }  # fmt: skip
    assert document["components"]["schemas"]["KeyInfo"]["properties"]["spend"]["type"] == "number"
