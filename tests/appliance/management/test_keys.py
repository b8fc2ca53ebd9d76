import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routeiq_appliance.api.management import NOT_ENFORCED
from routeiq_appliance.money import PICO
from routeiq_appliance.pipeline.types import Principal

BOTH = pytest.mark.parametrize(
    "managed", ["sqlite", pytest.param("postgresql", marks=pytest.mark.e2e)], indirect=True
)

LIMITED = {
    "key_alias": "batch",
    "models": ["small", "large", "small"],
    "max_budget": 12.5,
    "budget_duration": "30d",
    "rpm_limit": 60,
    "tpm_limit": 100_000,
    "max_parallel_requests": 8,
    "duration": "90d",
    "metadata": {"owner": "me", "routeiq": {"strategy": "knn", "fail_closed": True}},
    "team_id": "research",
    "user_id": "ada",
    "model_rpm_limit": {"small": 10},
    "model_tpm_limit": {"small": 1000},
    "model_max_budget": {"large": 0.25, "small": {"budget_limit": 1}},
}


@BOTH
async def test_a_key_keeps_every_limit_that_it_was_given(managed: Any) -> None:  # C6, C7
    made = await managed.made("/key/generate", **LIMITED)
    holder = managed.keys.find(made["key"])
    assert holder is not None
    key, allowance = holder.key, holder.key.allowance
    assert (key.alias, key.models, key.team_id, key.user_id) == (
        "batch",
        ("small", "large"),
        "research",
        "ada",
    )
    assert (allowance.rpm_limit, allowance.tpm_limit, allowance.max_parallel_requests) == (60, 100_000, 8)
    assert allowance.max_budget == 12_500_000_000_000
    assert allowance.budget_anchor == managed.now.replace(microsecond=0)
    assert key.expires_at == managed.now + timedelta(days=90)
    assert key.fail_closed
    assert key.model_limits == {
        "small": {"rpm": 10, "tpm": 1000, "budget": PICO},
        "large": {"budget": PICO // 4},
    }
    assert made["key"].startswith("sk-")
    assert made["key_name"] == f"sk-...{made['key'][-4:]}"
    for name in (
        "max_budget",
        "budget_duration",
        "rpm_limit",
        "tpm_limit",
        "max_parallel_requests",
        "metadata",
    ):
        assert made[name] == LIMITED[name]
    assert made["model_max_budget"] == {"large": 0.25, "small": 1}
    assert made["budget_reset_at"] == "2026-12-21T08:00:00Z"
    assert made["expires"] == "2027-02-19T08:00:00.250000Z"


@BOTH
async def test_info_shows_spend_of_the_current_period_by_key_and_by_id(managed: Any) -> None:
    made = await managed.made("/key/generate", max_budget=1, budget_duration="1d")
    began = int(managed.now.timestamp())
    managed.spent(f"key:{made['token_id']}", began, 1_234_567)
    managed.spent(f"key:{made['token_id']}", 0, 999)
    for name in (made["key"], made["token_id"]):
        answer = await managed.get("/key/info", key=name)
        # Exact, and never in the form 1e-06 that some readers of money do not know.
        assert answer.text.startswith(f'{{"key":"{name}","spend":0.000001234567,')
        assert answer.json()["info"]["spend"] == answer.json()["spend"] == 0.000001234567
        assert answer.headers["cache-control"] == "no-store"
    assert managed.flushed == [1.0, 1.0]
    managed.now += timedelta(days=1)
    later = (await managed.get("/key/info", key=made["key"])).json()
    assert later["spend"] == 0
    assert later["info"]["budget_reset_at"] == "2026-11-23T08:00:00Z"
    assert "digest" not in later["info"]


async def test_a_key_sees_itself_and_no_other(managed: Any) -> None:
    mine = await managed.made("/key/generate", rpm_limit=3)
    other = await managed.made("/key/generate")
    managed.principal = Principal(mine["token_id"])
    shown = (await managed.get("/key/info")).json()
    assert (shown["key"], shown["info"]["rpm_limit"]) == (mine["token_id"], 3)
    assert (await managed.get("/key/info", key=mine["key"])).status_code == 200
    for name in (other["key"], other["token_id"], "sk-none"):
        answer = await managed.get("/key/info", key=name)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "admin_only")
    managed.principal = Principal("master", is_admin=True)
    answer = await managed.get("/key/info")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "key")


async def test_every_other_path_is_closed_to_a_key(managed: Any) -> None:  # I1
    managed.principal = Principal("someone")
    assert (await managed.get("/spend/logs")).json() == []
    paths = managed.app.openapi()["paths"]
    assert len(paths) >= 12
    for path, methods in paths.items():
        for method in methods:
            if (method, path) == ("get", "/spend/logs"):
                continue  # of itself
            answer = await managed.client.request(method, path, json={"key": "x", "keys": ["x"]})
            assert answer.status_code == 403, path


async def test_an_update_changes_what_it_names_and_null_takes_a_limit_away(managed: Any) -> None:
    made = await managed.made("/key/generate", **LIMITED)
    changed = await managed.made(
        "/key/update",
        key=made["key"],
        rpm_limit=None,
        max_budget=3,
        model_rpm_limit={"large": 5},
        duration="-1",
    )
    assert changed["key"] == made["key"]
    assert (changed["rpm_limit"], changed["tpm_limit"], changed["max_budget"]) == (None, 100_000, 3)
    assert changed["model_rpm_limit"] == {"large": 5}
    assert changed["model_tpm_limit"] == {"small": 1000}
    assert changed["expires"] is None
    assert changed["metadata"] == LIMITED["metadata"]
    assert managed.shared.notices == [made["token_id"]]
    cleared = await managed.made(
        "/key/update", key=made["token_id"], metadata=None, models=None, duration=None
    )
    assert (cleared["metadata"], cleared["models"]) == ({}, [])
    holder = managed.keys.get(made["token_id"])
    assert holder is not None
    assert not holder.key.fail_closed


async def test_the_same_duration_again_does_not_start_a_period(managed: Any) -> None:
    made = await managed.made("/key/generate", max_budget=1, budget_duration="30d")
    managed.now += timedelta(days=3)
    again = await managed.made("/key/update", key=made["key"], budget_duration="30d", max_budget=2)
    assert again["budget_reset_at"] == made["budget_reset_at"]
    other = await managed.made("/key/update", key=made["key"], budget_duration="1d")
    assert other["budget_reset_at"] == "2026-11-25T08:00:00Z"
    assert (await managed.made("/key/update", key=made["key"], budget_duration=None))[
        "budget_reset_at"
    ] is None


async def test_a_blocked_key_is_on_the_list_at_once(managed: Any) -> None:
    made = await managed.made("/key/generate")
    assert (await managed.made("/key/block", key=made["key"]))["blocked"] is True
    assert managed.shared.blocked == {made["token_id"]}
    assert (await managed.made("/key/unblock", key=made["token_id"]))["blocked"] is False
    assert managed.shared.blocked == set()
    assert (await managed.made("/key/update", key=made["key"], blocked=True))["blocked"] is True
    assert managed.shared.blocked == {made["token_id"]}
    assert managed.shared.notices == [made["token_id"]] * 3


async def test_all_keys_are_deleted_or_none(managed: Any) -> None:
    first = await managed.made("/key/generate", key_alias="first")
    second = await managed.made("/key/generate")
    refused = await managed.post("/key/delete", keys=[first["key"], "sk-none"])
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "key_not_found")
    assert managed.keys.find(first["key"]) is not None
    gone = await managed.made("/key/delete", keys=[second["token_id"]], key_aliases=["first"])
    assert gone == {"deleted_keys": [second["token_id"], "first"]}
    assert managed.keys.find(first["key"]) is None
    assert managed.shared.notices == [second["token_id"], first["token_id"]]
    # An alias is no key: a name is looked up only as what it was given as.
    third = await managed.made("/key/generate", key_alias="third")
    assert (await managed.post("/key/delete", keys=["third"])).status_code == 404
    assert (await managed.post("/key/delete", key_aliases=[third["token_id"]])).status_code == 404
    assert (await managed.post("/key/delete")).status_code == 400


@pytest.mark.parametrize(
    ("path", "method"),
    [("/key/info", "GET"), ("/key/update", "POST"), ("/key/block", "POST"), ("/key/unblock", "POST")],
)
async def test_a_key_that_does_not_exist_is_404(managed: Any, path: str, method: str) -> None:
    sent = {"params": {"key": "sk-none"}} if method == "GET" else {"json": {"key": "sk-none"}}
    answer = await managed.client.request(method, path, **sent)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "key_not_found")
    assert answer.json()["error"]["param"] == "key"
    assert managed.shared.notices == []


async def test_an_alias_is_given_once(managed: Any) -> None:
    await managed.made("/key/generate", key_alias="a")
    other = await managed.made("/key/generate", key_alias="b")
    for answer in (
        await managed.post("/key/generate", key_alias="a"),
        await managed.post("/key/update", key=other["key"], key_alias="a"),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "alias_taken")
        assert answer.json()["error"]["param"] == "key_alias"


@pytest.mark.parametrize("name", sorted(NOT_ENFORCED))
async def test_a_field_that_is_not_enforced_is_refused_and_empty_is_absent(managed: Any, name: str) -> None:
    answer = await managed.post("/key/generate", **{name: 1})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == f"`{name}` is not enforced by this release: leave it out"
    assert answer.json()["error"]["code"] == "not_enforced"
    nothing: tuple[Any, ...] = (None, False, [], {}, "")
    for empty in nothing:
        assert (await managed.post("/key/generate", **{name: empty})).status_code == 200


@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        ({"model": ["small"]}, "model", "unknown field `model`; did you mean `models`?"),
        ({"max_budgets": 1}, "max_budgets", "unknown field `max_budgets`; did you mean `max_budget`?"),
        ({"models": ["smal"]}, "models", "`models`: there is no group `smal`; did you mean `small`?"),
        ({"models": "small"}, "models", "input should be a valid list"),
        ({"model_rpm_limit": {"smal": 1}}, "model_rpm_limit", "there is no group `smal`; did you mean `small`?"),
        ({"model_rpm_limit": {"small": -1}}, "model_rpm_limit.small", "greater than or equal to 0"),
        ({"model_rpm_limit": {"small": "1"}}, "model_rpm_limit.small", "valid integer"),
        ({"model_max_budget": {"small": {"budget_limit": 1, "time_period": "1d"}}}, "model_max_budget",
         "`time_period` of a model's budget is not enforced"),
        ({"model_max_budget": {"small": {}}}, "model_max_budget", "must be dollars, or an object"),
        ({"model_max_budget": {"small": True}}, "model_max_budget.small", "must be a number of dollars"),
        ({"duration": "soon"}, "duration", "`duration` must look like 30s"),
        ({"duration": "-1"}, "duration", "`duration` must look like 30s"),
        ({"duration": "999999999mo"}, "duration", "`duration` must look like 30s"),
        ({"budget_duration": "0d"}, "budget_duration", "`budget_duration` must look like 30s"),
        ({"metadata": []}, "metadata", "input should be a valid dictionary"),
        ({"metadata": {"routeiq": {"strategi": "knn"}}}, "metadata", "did you mean `strategy`?"),
        ({"metadata": {"routeiq": "knn"}}, "metadata", "`metadata.routeiq` must be an object"),
        ({"metadata": {"routeiq": {"strategy": ""}}}, "metadata", "must be a strategy's name"),
        ({"metadata": {"routeiq": {"fail_closed": 1}}}, "metadata", "must be true or false"),
        ({"metadata": {"routeiq": {"strategy": "knm"}}}, "metadata.routeiq.strategy", "did you mean `knn`?"),
        ({"metadata": {"a": "\0"}}, "metadata", "must not hold the character U+0000"),
        ({"metadata": {"a": "x" * 70_000}}, "metadata", "must be shorter than 64 KiB"),
        ({"rpm_limit": -1}, "rpm_limit", "greater than or equal to 0"),
        ({"rpm_limit": 10**13}, "rpm_limit", "less than or equal to 1000000000000"),
        ({"rpm_limit": 1.5}, "rpm_limit", "valid integer"),
        ({"rpm_limit": True}, "rpm_limit", "valid integer"),
        ({"tpm_limit": "10"}, "tpm_limit", "valid integer"),
        ({"max_parallel_requests": 2**31}, "max_parallel_requests", "less than or equal to 1000000"),
        ({"max_budget": -0.01}, "max_budget", "greater than or equal to 0"),
        ({"max_budget": 10**7}, "max_budget", "less than or equal to 9000000"),
        ({"max_budget": 10**400}, "max_budget", "less than or equal to 9000000"),
        ({"max_budget": "1"}, "max_budget", "must be a number of dollars"),
        ({"max_budget": True}, "max_budget", "must be a number of dollars"),
        ({"team_id": ""}, "team_id", "at least 1 character"),
        ({"team_id": "x" * 129}, "team_id", "at most 128 characters"),
        ({"user_id": "a\0b"}, "user_id", "must hold printable characters only"),
        ({"blocked": "yes"}, "blocked", "valid boolean"),
    ],
)  # fmt: skip
async def test_wrong_fields_are_400_and_named(managed: Any, body: Any, param: str, message: str) -> None:
    answer = await managed.post("/key/generate", **body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["param"] == param
    assert message in error["message"]
    assert set(error) == {"message", "type", "param", "code", "request_id"}


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"\xff", b"[1]", b'"x"', b"null", b'{"max_budget": NaN}', b'{"max_budget": 1e999}',
        b'{"metadata": {"a": Infinity}}', b'{"metadata": {"a": "\\ud800"}}', b'{"\\ud800": 1}',
        b'{"key_alias": "\\ud800"}', b'{"models": ["\\ud800"]}', b'{"rpm_limit": ' + b"9" * 5000 + b"}",
        b'{"metadata": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001,
    ],
    ids=range(15),
)  # fmt: skip
async def test_malformed_bodies_are_400(managed: Any, content: bytes) -> None:
    answer = await managed.client.post(
        "/key/generate", content=content, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_the_database_away_is_503_and_says_when_to_come_back(managed: Any) -> None:
    with managed.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE keys RENAME TO gone")
    for answer in (
        await managed.post("/key/generate"),
        await managed.get("/key/info", key="sk-x"),
        await managed.post("/key/block", key="sk-x"),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "key_store_unavailable")
        assert answer.headers["retry-after"] == "1"
    assert managed.shared.notices == []


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@BOTH
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(body=st.dictionaries(st.sampled_from(sorted({*LIMITED, "blocked", "spend", "x"})), _JSON, max_size=4))
async def test_any_body_is_a_key_or_a_400_that_names_a_field(managed: Any, body: dict[str, Any]) -> None:
    answer = await managed.client.post(
        "/key/generate", content=json.dumps(body), headers={"content-type": "application/json"}
    )
    assert answer.status_code in {200, 400}, answer.text
    if answer.status_code == 400:
        error = answer.json()["error"]
        assert (
            error["param"] is None or error["param"].split(".")[0] in body or error["code"] == "alias_taken"
        )
        return
    shown = (await managed.get("/key/info", key=answer.json()["key"])).json()["info"]
    kept = answer.json()
    for name in shown:
        assert kept[name] == shown[name]
    assert datetime.fromisoformat(shown["created_at"]).astimezone(UTC) == managed.now
