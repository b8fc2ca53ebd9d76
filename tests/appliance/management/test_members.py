"""Members of teams: their own limits in the team, and what becomes of teams, users and memberships that are deleted."""

from datetime import timedelta
from typing import Any

import pytest

from routeiq_appliance.pipeline.principal import principal_of

pytestmark = pytest.mark.parametrize(
    "managed", ["sqlite", pytest.param("postgresql", marks=pytest.mark.e2e)], indirect=True
)


async def test_a_members_limits_count_in_the_keys_of_that_team(managed: Any) -> None:  # C6, C7
    await managed.made("/team/new", team_id="t", max_budget=100)
    added = await managed.made(
        "/team/member_add",
        team_id="t",
        member={"user_id": "ada", "role": "user"},
        max_budget_in_team=2.5,
        budget_duration="1d",
    )
    assert added["members_with_roles"] == [{"user_id": "ada", "role": "user"}]
    assert [user["user_id"] for user in added["updated_users"]] == ["ada"]
    assert added["updated_team_memberships"][0]["litellm_budget_table"]["max_budget"] == 2.5
    inside = await managed.made("/key/generate", team_id="t", user_id="ada")
    outside = [await managed.made("/key/generate", **who) for who in ({"user_id": "ada"}, {"team_id": "t"})]
    began = int(managed.now.timestamp())

    def scopes(key: Any) -> dict[str, int | None]:
        holder = managed.keys.find(key["key"])
        assert holder is not None
        return {scope.name: scope.budget for scope in principal_of(holder, began).principal.scopes}

    assert scopes(inside)["member:1:t/ada"] == 2_500_000_000_000
    assert all("member:1:t/ada" not in scopes(key) for key in outside)
    managed.spent("member:1:t/ada", began, 5)
    shown = (await managed.get("/team/info", team_id="t")).json()
    assert [(item["user_id"], item["spend"]) for item in shown["team_memberships"]] == [("ada", 5e-12)]
    changed = await managed.made(
        "/team/member_update", team_id="t", user_id="ada", max_budget_in_team=None, rpm_limit=3
    )
    assert (changed["max_budget_in_team"], changed["rpm_limit"], changed["budget_duration"]) == (
        None,
        3,
        "1d",
    )
    assert scopes(inside)["member:1:t/ada"] is None
    await managed.made("/team/member_delete", team_id="t", user_id="ada")
    assert "member:1:t/ada" not in scopes(inside)
    assert set(managed.shared.notices) == {"team:t"}


async def test_members_are_named_by_address_and_made_when_new(managed: Any) -> None:
    await managed.made("/user/new", user_id="ada", user_email="Ada@x.org", auto_create_key=False)
    await managed.made("/team/new", team_id="t")
    members = [{"user_email": "ada@X.org", "role": "admin"}, {"user_email": "new@x.org", "role": "user"}]
    added = await managed.made("/team/member_add", team_id="t", member=members)
    assert [user["user_email"] for user in added["updated_users"]] == ["Ada@x.org", "new@x.org"]
    assert {"user_id": "ada", "role": "admin"} in added["members_with_roles"]
    shown = (await managed.get("/user/info", user_id="ada")).json()
    assert shown["user_info"]["teams"] == ["t"]
    assert [team["team_id"] for team in shown["teams"]] == ["t"]
    left = await managed.made("/team/member_delete", team_id="t", user_email="ada@x.org")
    assert len(left["members_with_roles"]) == 1


async def test_a_member_again_is_a_conflict_and_keeps_its_limits(managed: Any) -> None:
    await managed.made("/team/new", team_id="t", members_with_roles=[{"user_id": "ada", "role": "user"}])
    await managed.made("/team/member_update", team_id="t", user_id="ada", rpm_limit=3)
    member = [{"user_id": "new", "role": "user"}, {"user_id": "ada", "role": "user"}]
    assert (await managed.post("/team/member_add", team_id="t", member=member)).status_code == 409
    shown = (await managed.get("/team/info", team_id="t")).json()
    assert [item["user_id"] for item in shown["team_memberships"]] == ["ada"]
    assert shown["team_memberships"][0]["litellm_budget_table"]["rpm_limit"] == 3


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("/team/member_add", {"team_id": "none", "member": {"user_id": "a", "role": "user"}}, 404, "team_id"),
        ("/team/member_add", {"team_id": "t", "member": []}, 400, None),
        ("/team/member_add", {"team_id": "t", "member": {"user_id": "a", "role": "boss"}}, 400, None),
        ("/team/member_add", {"team_id": "t", "allowed_models": ["small"], "member": {"user_id": "a", "role": "user"}},
         400, "allowed_models"),
        ("/team/member_update", {"team_id": "t", "user_id": "none", "rpm_limit": 1}, 404, "user_id"),
        ("/team/member_update", {"team_id": "t", "rpm_limit": 1}, 400, None),
        ("/team/member_delete", {"team_id": "t", "user_email": "no@x.org"}, 404, "user_id"),
        ("/team/block", {"team_id": "none"}, 404, "team_id"),
        ("/team/delete", {"team_ids": ["t", "none"]}, 404, "team_ids"),
        ("/team/delete", {"team_ids": []}, 400, "team_ids"),
        ("/user/delete", {"user_ids": ["none"]}, 404, "user_ids"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_named(
    managed: Any, path: str, body: Any, status: int, param: str | None
) -> None:
    await managed.made("/team/new", team_id="t")
    answer = await managed.post(path, **body)
    assert answer.status_code == status, answer.text
    assert param is None or answer.json()["error"]["param"] == param


async def test_an_address_of_several_users_names_none_of_them(managed: Any) -> None:
    await managed.made("/team/new", team_id="t")
    await managed.made("/user/new", user_id="a", user_email="x@x.org")
    again = await managed.post("/user/new", user_id="b", user_email="X@x.org")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "email_taken")
    await managed.made("/user/new", user_id="b")
    assert (await managed.post("/user/update", user_id="b", user_email="x@x.org")).status_code == 409
    await managed.made("/user/update", user_id="a", user_email="x@x.org")


async def test_a_blocked_team_says_so_until_it_is_unblocked(managed: Any) -> None:
    await managed.made("/team/new", team_id="t")
    assert (await managed.made("/team/block", team_id="t"))["blocked"] is True
    assert (await managed.made("/team/unblock", team_id="t"))["blocked"] is False
    assert managed.shared.notices == ["team:t"] * 3


@pytest.mark.parametrize(("kind", "id_field"), [("team", "team_id"), ("user", "user_id")])
async def test_who_is_deleted_takes_keys_and_memberships_along(
    managed: Any, kind: str, id_field: str
) -> None:
    await managed.made("/team/new", team_id="x", members_with_roles=[{"user_id": "x", "role": "user"}])
    await managed.made("/team/new", team_id="y", members_with_roles=[{"user_id": "y", "role": "user"}])
    gone = await managed.made("/key/generate", **{id_field: "x"})
    kept = await managed.made("/key/generate", **{id_field: "y"})
    answer = await managed.made(f"/{kind}/delete", **{f"{id_field}s": ["x"]})
    assert answer == ({"deleted_teams": ["x"]} if kind == "team" else 1)
    assert managed.keys.find(gone["key"]) is None
    assert managed.keys.find(kept["key"]) is not None
    assert managed.shared.notices[-1] == f"{kind}:x"
    assert (await managed.get(f"/{kind}/info", **{id_field: "x"})).status_code == 404
    if kind == "user":
        assert (await managed.get("/team/info", team_id="x")).json()["team_info"]["members_with_roles"] == []
    else:
        assert (await managed.get("/user/info", user_id="x")).json()["user_info"]["teams"] == []


async def test_teams_are_listed_by_member_and_organization(managed: Any) -> None:
    await managed.made("/organization/new", organization_id="o", organization_alias="Org")
    await managed.made("/team/new", team_id="a", organization_id="o")
    await managed.made("/team/new", team_id="b", members_with_roles=[{"user_id": "ada", "role": "user"}])

    async def found(**query: Any) -> list[str]:
        return [team["team_id"] for team in (await managed.get("/team/list", **query)).json()]

    assert await found() == ["a", "b"]
    assert await found(organization_id="o") == ["a"]
    assert await found(user_id="ada") == ["b"]
    first = await managed.get("/team/list", limit=1)
    assert ([team["team_id"] for team in first.json()], first.headers["x-routeiq-next-offset"]) == (
        ["a"],
        "1",
    )
    last = await managed.get("/team/list", limit=1, offset=1)
    assert "x-routeiq-next-offset" not in last.headers


async def test_users_are_listed_in_pages(managed: Any) -> None:
    await managed.made("/team/new", team_id="t")
    await managed.made("/user/new", user_id="a", user_role="proxy_admin", user_email="a@x.org", teams=["t"])
    await managed.made("/user/new", user_id="b", user_role="internal_user", models=["small"])
    await managed.made("/user/new", user_id="c", user_email="c_1@y.org")

    async def found(**query: Any) -> list[str]:
        answer = (await managed.get("/user/list", **query)).json()
        assert answer["total"] == len(answer["users"])
        return [user["user_id"] for user in answer["users"]]

    assert await found() == ["a", "b", "c"]
    assert (
        await found(role="proxy_admin") == await found(team="t") == await found(user_email="X.ORG") == ["a"]
    )
    assert await found(user_ids="c, a,none") == ["a", "c"]
    assert await found(user_email="c%1") == []
    page = (await managed.get("/user/list", page=2, page_size=2)).json()
    assert (page["total"], page["total_pages"], [user["user_id"] for user in page["users"]]) == (3, 2, ["c"])
    assert (await managed.get("/user/list", sort_by="spend")).json()["error"]["param"] == "sort_by"


async def test_a_members_period_begins_when_its_duration_is_set(managed: Any) -> None:
    await managed.made("/team/new", team_id="t", members_with_roles=[{"user_id": "ada", "role": "user"}])
    managed.now += timedelta(hours=1)
    await managed.made(
        "/team/member_update", team_id="t", user_id="ada", max_budget_in_team=1, budget_duration="1d"
    )
    shown = (await managed.get("/team/info", team_id="t")).json()["team_memberships"][0]
    assert shown["litellm_budget_table"]["budget_reset_at"] == "2026-11-22T09:00:00Z"
