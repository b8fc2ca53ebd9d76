"""Keys in pages, and keys with another secret."""

from datetime import timedelta
from typing import Any

import pytest

pytestmark = pytest.mark.parametrize(
    "managed", ["sqlite", pytest.param("postgresql", marks=pytest.mark.e2e)], indirect=True
)


async def test_keys_are_listed_in_pages_the_newest_first(managed: Any) -> None:  # C6
    made = []
    for number in range(5):
        made.append((await managed.made("/key/generate", key_alias=f"k{number}"))["token_id"])
        managed.now += timedelta(seconds=1)
    first = (await managed.get("/key/list", size=2)).json()
    assert first == {"keys": [made[4], made[3]], "total_count": 5, "current_page": 1, "total_pages": 3}
    last = (await managed.get("/key/list", size=2, page=3)).json()
    assert (last["keys"], last["current_page"]) == ([made[0]], 3)
    assert (await managed.get("/key/list", page=9)).json()["keys"] == []
    assert (await managed.get("/key/list", sort_order="asc", size=1)).json()["keys"] == [made[0]]


async def test_a_list_of_keys_holds_what_is_asked_for(managed: Any) -> None:
    await managed.made("/organization/new", organization_id="o", organization_alias="Org")
    await managed.made("/team/new", team_id="t", organization_id="o")
    by = {
        "team": await managed.made("/key/generate", team_id="t", user_id="u"),
        "user": await managed.made("/key/generate", user_id="u", key_alias="mine"),
        "own": await managed.made("/key/generate", organization_id="o"),
    }
    ids = {made["token_id"]: who for who, made in by.items()}

    async def found(**query: Any) -> set[str]:
        answer = (await managed.get("/key/list", **query)).json()
        assert answer["total_count"] == len(answer["keys"])
        return {ids[identity] for identity in answer["keys"]}

    assert await found() == {"team", "user", "own"}
    assert await found(user_id="u") == {"team", "user"}
    assert await found(team_id="t") == {"team"}
    assert await found(organization_id="o") == {"team", "own"}
    assert await found(key_alias="mine") == {"user"}
    assert await found(key_hash=by["own"]["key"]) == await found(key_hash=by["own"]["token_id"]) == {"own"}
    assert await found(user_id="u", key_alias="other") == set()
    assert await found(include_team_keys="false", expand="") == {"team", "user", "own"}
    whole = (await managed.get("/key/list", return_full_object="true", key_alias="mine")).json()["keys"]
    assert [(key["token_id"], key["spend"], key["key_alias"]) for key in whole] == [
        (by["user"]["token_id"], 0, "mine")
    ]
    assert "key" not in whole[0]


@pytest.mark.parametrize(
    ("query", "param", "message"),
    [
        ({"size": 101}, "size", "less than or equal to 100"),
        ({"page": 0}, "page", "greater than or equal to 1"),
        ({"status": "expired"}, "status", "is not enforced"),
        ({"include_team_keys": "true"}, "include_team_keys", "is not enforced"),
        ({"team": "t"}, "team", "unknown field `team`; did you mean `team_id`?"),
        ({"sort_order": "up"}, "sort_order", "input should be 'asc' or 'desc'"),
    ],
)
async def test_wrong_filters_are_named(managed: Any, query: Any, param: str, message: str) -> None:
    answer = await managed.get("/key/list", **query)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, param)
    assert message in error["message"]


@pytest.mark.parametrize("in_path", [False, True])
async def test_a_regenerated_key_is_the_same_key_with_another_secret(
    managed: Any, in_path: bool
) -> None:  # C6
    made = await managed.made("/key/generate", rpm_limit=3, max_budget=5, key_alias="a", models=["small"])
    managed.spent(f"key:{made['token_id']}", 0, 7)
    managed.now += timedelta(hours=1)
    path = f"/key/{made['token_id']}/regenerate" if in_path else "/key/regenerate"
    again = await managed.made(path, **({} if in_path else {"key": made["key"]}), tpm_limit=9)
    assert again["key"] != made["key"]
    for name in ("token_id", "rpm_limit", "max_budget", "key_alias", "models", "created_at"):
        assert again[name] == made[name]
    assert (again["spend"], again["tpm_limit"], again["key_name"]) == (7e-12, 9, f"sk-...{again['key'][-4:]}")
    assert again["updated_at"] == "2026-11-21T09:00:00.250000Z"
    assert managed.keys.find(made["key"]) is None
    holder = managed.keys.find(again["key"])
    assert holder is not None
    assert holder.key.id == made["token_id"]
    assert managed.shared.notices == [made["token_id"]]
    assert (await managed.post("/key/regenerate", key=made["key"])).status_code == 404


async def test_a_key_is_regenerated_without_a_body(managed: Any) -> None:
    made = await managed.made("/key/generate")
    answer = await managed.client.post(f"/key/{made['key']}/regenerate")
    assert answer.status_code == 200
    assert managed.keys.find(answer.json()["key"]) is not None


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("/key/regenerate", {}, 400, "key"),
        ("/key/regenerate", {"key": "sk-none"}, 404, "key"),
        ("/key/sk-none/regenerate", {}, 404, "key"),
        ("/key/sk-none/regenerate", {"key": "sk-other"}, 400, "key"),
        ("/key/regenerate", {"key": "x", "grace_period": "24h"}, 400, "grace_period"),
        ("/key/regenerate", {"key": "x", "new_key": "sk-mine"}, 400, "new_key"),
        ("/key/regenerate", {"key": "x", "new_master_key": "sk-mine"}, 400, "new_master_key"),
        ("/key/generate", {"role": "root"}, 400, "role"),
        ("/key/generate", {"key_type": "all"}, 400, "key_type"),
    ],
)
async def test_what_is_wrong_is_named(managed: Any, path: str, body: Any, status: int, param: str) -> None:
    answer = await managed.post(path, **body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.text


async def test_a_key_says_who_made_it_and_what_it_is_for(managed: Any) -> None:
    made = await managed.made("/key/generate", role="viewer", key_type="read_only")
    assert (made["role"], made["key_type"], made["created_by"]) == ("viewer", "read_only", "master")
    changed = await managed.made("/key/update", key=made["key"], role=None, key_type="llm_api")
    assert (changed["role"], changed["key_type"]) == (None, "llm_api")
