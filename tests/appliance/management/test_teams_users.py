"""Teams and users have the same limits, and differ in what else they have."""

from datetime import timedelta
from typing import Any

import pytest

LIMITS = {
    "rpm_limit": 100,
    "tpm_limit": 5000,
    "max_parallel_requests": 4,
    "max_budget": 20,
    "budget_duration": "weekly",
    "metadata": {"routeiq": {"strategy": "ridge"}, "cost centre": 7},
}


async def test_a_team_has_limits_and_is_shown_with_its_keys_and_spend(managed: Any) -> None:  # C6
    made = await managed.made("/team/new", team_id="r:d", team_alias="Research", models=["small"], **LIMITS)
    for name, value in LIMITS.items():
        assert made[name] == value
    assert (made["team_id"], made["team_alias"], made["models"]) == ("r:d", "Research", ["small"])
    assert made["budget_reset_at"] == "2026-11-28T08:00:00Z"
    key = await managed.made("/key/generate", team_id="r:d")
    await managed.made("/key/generate", team_id="other")
    began = int(managed.now.timestamp())
    managed.spent("team:r:d", began, 5)
    managed.spent(f"key:{key['token_id']}", 0, 7)
    managed.now += timedelta(days=6)
    shown = (await managed.get("/team/info", team_id="r:d")).json()
    assert shown["spend"] == shown["team_info"]["spend"] == 5e-12
    assert [(item["token_id"], item["spend"]) for item in shown["keys"]] == [(key["token_id"], 7e-12)]
    assert "key" not in shown["keys"][0]
    holder = managed.keys.find(key["key"])
    assert holder is not None
    assert holder.team is not None
    assert holder.team.allowance.rpm_limit == 100
    assert holder.user is None


async def test_a_team_is_changed_and_all_workers_told(managed: Any) -> None:
    await managed.made("/team/new", team_id="t", **LIMITS)
    changed = await managed.made("/team/update", team_id="t", rpm_limit=None, blocked=True, models=["large"])
    assert (changed["rpm_limit"], changed["tpm_limit"], changed["blocked"]) == (None, 5000, True)
    assert changed["data"]["models"] == ["large"]
    assert managed.shared.notices == ["team:t", "team:t"]


async def test_a_user_has_limits_and_a_key_of_its_own(managed: Any) -> None:
    made = await managed.made("/user/new", user_id="ada", user_alias="Ada", **LIMITS)
    holder = managed.keys.find(made["key"])
    assert holder is not None
    assert holder.user is not None
    assert (holder.key.user_id, holder.user.allowance.tpm_limit) == ("ada", 5000)
    managed.spent("user:ada", int(managed.now.timestamp()), 3)
    shown = (await managed.get("/user/info", user_id="ada")).json()
    assert (shown["spend"], shown["user_info"]["user_alias"]) == (3e-12, "Ada")
    assert [item["token_id"] for item in shown["keys"]] == [made["token_id"]]
    changed = await managed.made("/user/update", user_id="ada", max_budget=None, user_alias=None)
    assert (changed["max_budget"], changed["user_alias"], changed["data"]["tpm_limit"]) == (None, None, 5000)
    assert managed.shared.notices == ["user:ada", "user:ada"]
    alone = await managed.made("/user/new", auto_create_key=False)
    assert alone["key"] is None
    assert len(alone["user_id"]) == 36


@pytest.mark.parametrize("kind", ["team", "user"])
async def test_what_does_not_exist_is_404(managed: Any, kind: str) -> None:
    for answer in (
        await managed.get(f"/{kind}/info", **{f"{kind}_id": "none"}),
        await managed.post(f"/{kind}/update", **{f"{kind}_id": "none", "rpm_limit": 1}),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, f"{kind}_not_found")


@pytest.mark.parametrize("kind", ["team", "user"])
async def test_an_id_is_given_once(managed: Any, kind: str) -> None:
    await managed.made(f"/{kind}/new", **{f"{kind}_id": "a", f"{kind}_alias": "A"})
    answer = await managed.post(f"/{kind}/new", **{f"{kind}_id": "a", f"{kind}_alias": "B"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "id_taken")
    assert answer.json()["error"]["param"] == f"{kind}_id"


async def test_a_teams_alias_is_given_once(managed: Any) -> None:
    await managed.made("/team/new", team_id="a", team_alias="A")
    await managed.made("/team/new", team_id="b")
    for answer in (
        await managed.post("/team/new", team_alias="A"),
        await managed.post("/team/update", team_id="b", team_alias="A"),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "alias_taken")
        assert answer.json()["error"]["param"] == "team_alias"


@pytest.mark.parametrize(
    ("path", "body", "param", "message"),
    [
        ("/team/new", {"team_member_budget": 3}, "team_member_budget", "is not enforced by this release"),
        ("/team/new", {"members_with_roles": [{"role": "admin"}]}, "members_with_roles.0", "is missing"),
        ("/team/new", {"model_rpm_limit": {"small": 1}}, "model_rpm_limit", "is not enforced"),
        ("/team/new", {"duration": "1d"}, "duration", "unknown field `duration`"),
        ("/team/new", {"models": ["smal"]}, "models", "did you mean `small`?"),
        ("/team/update", {"rpm_limit": 1}, "team_id", "`team_id` is missing"),
        ("/team/update", {"team_id": "t", "rpm_limits": 1}, "rpm_limits", "did you mean `rpm_limit`?"),
        ("/user/new", {"models": ["smal"]}, "models", "did you mean `small`?"),
        ("/user/new", {"user_role": "root"}, "user_role", "input should be 'proxy_admin'"),
        ("/user/new", {"user_email": "nobody"}, "user_email", "string should match"),
        ("/user/new", {"teams": ["none"]}, "teams", "there is no `none`"),
        (
            "/user/new",
            {"metadata": {"routeiq": {"strategy": "x"}}},
            "metadata.routeiq.strategy",
            "no strategy `x`",
        ),
        ("/user/update", {"user_id": "u", "tpm_limit": -1}, "tpm_limit", "greater than or equal to 0"),
    ],
)
async def test_wrong_fields_are_400_and_named(
    managed: Any, path: str, body: Any, param: str, message: str
) -> None:
    answer = await managed.post(path, **body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param
    assert message in answer.json()["error"]["message"]
