"""Named budgets: what they say holds for all that refer to them, at once; nothing loses its limits by accident."""

from datetime import timedelta
from typing import Any

import pytest

pytestmark = pytest.mark.parametrize(
    "managed", ["sqlite", pytest.param("postgresql", marks=pytest.mark.e2e)], indirect=True
)

PATHS = {
    "/key/generate": "key:{token_id}",
    "/team/new": "team:{team_id}",
    "/user/new": "user:{user_id}",
    "/organization/new": "organization:{organization_id}",
}
"""What may refer to a budget, and the scope in which its calls are counted."""


def _body(path: str, **fields: Any) -> dict[str, Any]:
    return {"organization_alias": "Org", **fields} if path.startswith("/organization") else fields


async def test_a_budget_is_made_shown_changed_and_listed(managed: Any) -> None:  # C6
    made = await managed.made(
        "/budget/new", budget_id="small", max_budget=3, budget_duration="1d", rpm_limit=7
    )
    assert (made["budget_id"], made["max_budget"], made["rpm_limit"], made["tpm_limit"]) == (
        "small",
        3,
        7,
        None,
    )
    assert made["budget_reset_at"] == "2026-11-22T08:00:00Z"
    changed = await managed.made("/budget/update", budget_id="small", rpm_limit=None, max_parallel_requests=2)
    assert (changed["rpm_limit"], changed["max_parallel_requests"], changed["max_budget"]) == (None, 2, 3)
    unnamed = await managed.made("/budget/new", tpm_limit=1)
    listed = (await managed.get("/budget/list")).json()
    assert {item["budget_id"] for item in listed} == {"small", unnamed["budget_id"]}
    assert [item["max_budget"] for item in await managed.made("/budget/info", budgets=["small"])] == [3]
    settings = (await managed.get("/budget/settings", budget_id="small")).json()
    assert {item["field_name"]: item["field_value"] for item in settings} == {
        "max_parallel_requests": 2, "tpm_limit": None, "rpm_limit": None, "budget_duration": "1d", "max_budget": 3,
    }  # fmt: skip
    assert (await managed.made("/budget/delete", id=unnamed["budget_id"]))["tpm_limit"] == 1
    assert [item["budget_id"] for item in (await managed.get("/budget/list")).json()] == ["small"]


@pytest.mark.parametrize("path", PATHS)
async def test_what_a_row_leaves_open_its_budget_says(managed: Any, path: str) -> None:  # C6, C7
    await managed.made(
        "/budget/new", budget_id="b", max_budget=3, budget_duration="1d", rpm_limit=7, tpm_limit=9
    )
    managed.now += timedelta(hours=1)
    made = await managed.made(path, **_body(path, budget_id="b", rpm_limit=2))
    assert (made["budget_id"], made["rpm_limit"], made["tpm_limit"], made["max_budget"]) == (
        "b",
        2,
        None,
        None,
    )
    assert made["litellm_budget_table"]["max_budget"] == 3
    # The budget's period, which began before the row was made.
    assert made["budget_reset_at"] == "2026-11-22T08:00:00Z"
    began = int(managed.now.timestamp()) - 3600
    managed.spent(PATHS[path].format(**made), began, 5)
    managed.spent(PATHS[path].format(**made), 0, 1)
    field = PATHS[path].partition("{")[2].rstrip("}")
    kind = path.split("/")[1]
    query = {"key": made["key"]} if kind == "key" else {field: made[field]}
    shown = (await managed.get(f"/{kind}/info", **query)).json()
    assert shown["spend"] == 5e-12


@pytest.mark.parametrize("path", PATHS)
async def test_a_budget_that_does_not_exist_is_refused_and_nothing_made(managed: Any, path: str) -> None:
    answer = await managed.post(path, **_body(path, budget_id="none"))
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["message"]) == (
        400, "budget_id", "`budget_id`: there is no budget `none`",
    )  # fmt: skip
    assert (await managed.get("/key/list")).json()["total_count"] == 0
    assert (await managed.get("/team/list")).json() == []
    assert (await managed.get("/organization/list")).json() == []


@pytest.mark.parametrize("path", PATHS)
async def test_a_budget_in_use_is_not_deleted(managed: Any, path: str) -> None:
    await managed.made("/budget/new", budget_id="b", max_budget=3)
    await managed.made(path, **_body(path, budget_id="b"))
    answer = await managed.post("/budget/delete", id="b")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    assert [item["budget_id"] for item in (await managed.get("/budget/list")).json()] == ["b"]


async def test_all_workers_are_told_of_a_budgets_change(managed: Any) -> None:
    await managed.made("/budget/new", budget_id="b", max_budget=3)
    await managed.made("/budget/update", budget_id="b", max_budget=1)
    assert managed.shared.notices == ["budget:b", "budget:b"]


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("/budget/new", {"soft_budget": 1}, 400, "soft_budget"),
        ("/budget/new", {"model_max_budget": {"small": 1}}, 400, "model_max_budget"),
        ("/budget/new", {"max_budget": -1}, 400, "max_budget"),
        ("/budget/new", {"max_bugdet": 1}, 400, "max_bugdet"),
        ("/budget/new", {"budget_id": "here"}, 409, "budget_id"),
        ("/budget/update", {"max_budget": 1}, 400, "budget_id"),
        ("/budget/update", {"budget_id": "none", "max_budget": 1}, 404, "budget_id"),
        ("/budget/info", {"budgets": []}, 400, "budgets"),
        ("/budget/info", {"budgets": ["here", "none"]}, 404, "budgets"),
        ("/budget/delete", {"id": "none"}, 404, "id"),
        ("/budget/delete", {}, 400, "id"),
    ],
)
async def test_what_is_wrong_is_named(managed: Any, path: str, body: Any, status: int, param: str) -> None:
    await managed.made("/budget/new", budget_id="here")
    answer = await managed.post(path, **body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.text
