"""Organizations: limits, teams, keys and members of their own; deleting one leaves nothing behind that opens."""

from typing import Any

import pytest

pytestmark = pytest.mark.parametrize(
    "managed", ["sqlite", pytest.param("postgresql", marks=pytest.mark.e2e)], indirect=True
)

LIMITS = {
    "rpm_limit": 100,
    "tpm_limit": 5000,
    "max_parallel_requests": 4,
    "max_budget": 20,
    "budget_duration": "7d",
}


async def _request(managed: Any, method: str, path: str, **body: Any) -> Any:
    return await managed.client.request(method, path, json=body)


async def test_an_organization_has_limits_teams_and_members(managed: Any) -> None:  # C6
    made = await managed.made("/organization/new", organization_id="o", organization_alias="Org", models=["small"],
                              metadata={"x": 1}, **LIMITS)  # fmt: skip
    for name, value in LIMITS.items():
        assert made[name] == made.get("litellm_budget_table", {}).get(name) == value
    await managed.made("/team/new", team_id="t", organization_id="o")
    key = await managed.made("/key/generate", team_id="t")
    own = await managed.made("/key/generate", organization_id="o")
    added = await managed.made(
        "/organization/member_add",
        organization_id="o",
        member=[{"user_id": "ada", "role": "org_admin"}, {"user_email": "b@x.org", "role": "internal_user"}],
    )
    assert [user["user_email"] for user in added["updated_users"]] == [None, "b@x.org"]
    shown = (await managed.get("/organization/info", organization_id="o")).json()
    assert {(item["user_role"]) for item in shown["members"]} == {"org_admin", "internal_user"}
    assert [team["team_id"] for team in shown["teams"]] == ["t"]
    for made_key in (key, own):
        holder = managed.keys.find(made_key["key"])
        assert holder is not None
        assert holder.organization is not None
        assert holder.organization.allowance.rpm_limit == 100
    listed = (await managed.get("/organization/list", org_alias="oR")).json()
    assert [item["organization_id"] for item in listed] == ["o"]
    assert (await managed.get("/organization/list", org_id="p")).json() == []
    assert [
        each["organization_id"] for each in await managed.made("/organization/info", organizations=["o"])
    ] == ["o"]


async def test_an_organization_is_changed_and_all_workers_told(managed: Any) -> None:
    await managed.made("/organization/new", organization_id="o", organization_alias="Org", **LIMITS)
    changed = await _request(
        managed, "PATCH", "/organization/update", organization_id="o", rpm_limit=None, blocked=True
    )
    shown = changed.json()
    assert (shown["rpm_limit"], shown["tpm_limit"], shown["blocked"]) == (None, 5000, True)
    assert shown["organization_alias"] == "Org"
    assert managed.shared.notices == ["organization:o", "organization:o"]


async def test_deleting_one_takes_its_teams_keys_and_memberships_along(managed: Any) -> None:
    for name in ("o", "p"):
        await managed.made("/organization/new", organization_id=name, organization_alias=name)
        await managed.made("/team/new", team_id=f"t-{name}", organization_id=name)
        await managed.made(
            "/organization/member_add",
            organization_id=name,
            member={"user_id": "ada", "role": "internal_user"},
        )
    keys = [
        await managed.made("/key/generate", **owner)
        for owner in ({"team_id": "t-o"}, {"organization_id": "o"})
    ]
    kept = [await managed.made("/key/generate", **owner) for owner in ({"team_id": "t-p"}, {})]
    refused = await _request(managed, "DELETE", "/organization/delete", organization_ids=["o", "none"])
    assert refused.status_code == 404
    assert all(managed.keys.find(key["key"]) is not None for key in keys)
    gone = await _request(managed, "DELETE", "/organization/delete", organization_ids=["o"])
    assert [item["organization_id"] for item in gone.json()] == ["o"]
    assert all(managed.keys.find(key["key"]) is None for key in keys)
    assert all(managed.keys.find(key["key"]) is not None for key in kept)
    assert [team["team_id"] for team in (await managed.get("/team/list")).json()] == ["t-p"]
    assert managed.shared.notices[-1] == "organization:o"
    assert (await managed.get("/organization/info", organization_id="o")).status_code == 404


async def test_a_key_is_not_of_two_organizations(managed: Any) -> None:
    for name in ("o", "p"):
        await managed.made("/organization/new", organization_id=name, organization_alias=name)
    await managed.made("/team/new", team_id="t", organization_id="o")
    answer = await managed.post("/key/generate", team_id="t", organization_id="p")
    assert (answer.status_code, answer.json()["error"]["param"]) == (409, "organization_id")
    assert (await managed.get("/key/list")).json()["total_count"] == 0
    made = await managed.made("/key/generate", organization_id="p")
    assert (await managed.post("/key/update", key=made["key"], team_id="t")).status_code == 409
    assert (await managed.get("/key/info", key=made["key"])).json()["info"]["team_id"] is None


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "param"),
    [
        ("POST", "/organization/new", {}, 400, "organization_alias"),
        ("POST", "/organization/new", {"organization_alias": "Org"}, 409, "organization_alias"),
        ("POST", "/organization/new", {"organization_alias": "x", "organization_id": "o"}, 409, "organization_id"),
        ("POST", "/organization/new", {"organization_alias": "x", "models": ["smal"]}, 400, "models"),
        ("POST", "/organization/new", {"organization_alias": "x", "model_rpm_limit": {"small": 1}}, 400,
         "model_rpm_limit"),
        ("PATCH", "/organization/update", {"organization_id": "none"}, 404, "organization_id"),
        ("DELETE", "/organization/delete", {"organization_ids": []}, 400, "organization_ids"),
        ("POST", "/organization/info", {"organizations": ["o", "none"]}, 404, "organizations"),
        ("POST", "/organization/member_add", {"organization_id": "none", "member": {"user_id": "a",
         "role": "org_admin"}}, 404, "organization_id"),
        ("PATCH", "/organization/member_update", {"organization_id": "o", "user_id": "a", "role": "org_admin"}, 404,
         "user_id"),
        ("DELETE", "/organization/member_delete", {"organization_id": "o", "user_id": "a"}, 404, "user_id"),
        ("POST", "/team/new", {"organization_id": "none"}, 400, "organization_id"),
        ("POST", "/key/generate", {"organization_id": "none"}, 400, "organization_id"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_named(
    managed: Any, method: str, path: str, body: Any, status: int, param: str
) -> None:
    await managed.made("/organization/new", organization_id="o", organization_alias="Org")
    answer = await _request(managed, method, path, **body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.text


async def test_a_members_role_changes_and_who_leaves_is_gone(managed: Any) -> None:
    await managed.made("/organization/new", organization_id="o", organization_alias="Org")
    member = {"user_id": "ada", "role": "internal_user"}
    await managed.made("/organization/member_add", organization_id="o", member=member)
    again = await managed.post("/organization/member_add", organization_id="o", member=member)
    assert again.status_code == 409
    changed = await _request(managed, "PATCH", "/organization/member_update", organization_id="o", user_id="ada",
                             role="org_admin")  # fmt: skip
    assert changed.json()["user_role"] == "org_admin"
    left = await _request(
        managed, "DELETE", "/organization/member_delete", organization_id="o", user_id="ada"
    )
    assert left.json()["members"] == []
    assert (await managed.get("/user/info", user_id="ada")).status_code == 200
