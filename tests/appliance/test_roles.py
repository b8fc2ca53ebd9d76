"""Every route of the server against every kind of caller (I1); what is in neither list is for admins only."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeiq_appliance.api.server import Access
from routeiq_appliance.pipeline.roles import KEY_TYPES, USER_ROLES, may_call, may_manage, rights_of
from routeiq_appliance.pipeline.types import Principal

OPEN = {"/_health/live", "/health/liveliness", "/health/liveness", "/health/readiness"}
OF_ITSELF = {("GET", "/key/info"), ("GET", "/spend/logs")}
"""Management that a key without a role may ask, of itself."""
READ_BY_POST = {("POST", "/budget/info"), ("POST", "/organization/info")}
"""Management that a viewer may POST."""
ELSEWHERE = [("GET", "/nothing-here"), ("POST", "/nothing-here"), ("GET", "/docs"), ("GET", "/metrics")]


async def _statuses(running: Any, method: str, path: str, keys: dict[str, str | None]) -> dict[str, int]:
    found = {}
    for who, key in keys.items():
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        found[who] = (await running.client.request(method, path, headers=headers)).status_code
    return found


async def _keys(running: Any, *wanted: str, **fields: Any) -> dict[str, str | None]:
    made = {who: await running.generate_key(**fields[who]) for who in wanted}
    return {"nobody": None, "wrong": "sk-wrong", **made}


async def _management(running: Any) -> list[tuple[str, str]]:
    document = (await running.client.get("/openapi.json", headers=running.auth)).json()
    return [
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if operation.get("x-routeiq-management")
    ]


async def test_nobody_gets_in_without_a_key_and_each_role_gets_what_it_may(running: Any) -> None:
    # I1: every route of the data plane and of management, and paths that do not exist.
    keys = await _keys(running, "plain", "viewer", "admin", plain={}, viewer={"role": "viewer"},
                       admin={"role": "admin"})  # fmt: skip
    keys["master"] = running.auth["authorization"].removeprefix("Bearer ")
    allowed = {"plain", "viewer", "admin", "master"}
    plane = [(route, method) for route in running.gateway.app.routes for method in route.methods]
    management = await _management(running)
    assert {route.path for route, _ in plane if route.access is Access.OPEN} == OPEN
    assert {*OF_ITSELF, *READ_BY_POST, ("POST", "/key/{key}/regenerate")} <= set(management)
    for route, method in plane:
        found = await _statuses(running, method, route.path, keys)
        if route.access is Access.OPEN:
            assert set(found.values()) == {200}, route.path
            continue
        assert found["nobody"] == found["wrong"] == 401, route.path
        inside = {"admin", "master"} if route.access is Access.ADMIN else allowed
        assert {who for who in allowed if found[who] not in {401, 403}} == inside, (route.path, found)
    for method, path in [*management, *ELSEWHERE]:
        found = await _statuses(running, method, path, keys)
        assert found["nobody"] == found["wrong"] == 401, path
        inside = {"admin", "master"}
        if method == "GET" or (method, path) in READ_BY_POST:
            inside.add("viewer")
        if (method, path) in OF_ITSELF:
            inside.add("plain")
        assert {who for who in allowed if found[who] not in {401, 403}} == inside, (method, path, found)


async def test_the_type_of_a_key_only_takes_away(running: Any) -> None:  # I1
    types = {name: {"role": "admin", "key_type": name} for name in KEY_TYPES}
    keys = await _keys(running, *types, **types)
    reads = ("GET", "/key/list")
    writes = ("POST", "/team/new")
    calls = ("POST", "/v1/chat/completions")
    sees = ("GET", "/v1/models")
    inside = {
        reads: {"default", "management", "read_only"},
        writes: {"default", "management"},
        calls: {"default", "llm_api"},
        sees: set(KEY_TYPES),
        ("GET", "/key/info"): {"default", "management", "read_only"},
    }
    for (method, path), who in inside.items():
        found = await _statuses(running, method, path, keys)
        assert {name for name in KEY_TYPES if found[name] != 403} == who, (path, found)


async def test_a_key_has_its_users_role_until_that_changes(running: Any) -> None:  # I1
    async def post(path: str, **body: Any) -> Any:
        answer = await running.client.post(path, json=body, headers=running.auth)
        assert answer.status_code == 200, answer.text
        return answer.json()

    made = await post("/user/new", user_id="root", user_role="proxy_admin")
    lesser = await running.generate_key(user_id="root", role="viewer")
    keys = {"own": made["key"], "lesser": lesser}
    assert await _statuses(running, "POST", "/key/regenerate", keys) == {"own": 400, "lesser": 403}
    assert await _statuses(running, "GET", "/key/list", keys) == {"own": 200, "lesser": 200}
    await post("/user/update", user_id="root", user_role="proxy_admin_viewer")
    assert await _statuses(running, "POST", "/key/regenerate", keys) == {"own": 403, "lesser": 403}
    await post("/user/update", user_id="root", user_role=None)
    assert await _statuses(running, "GET", "/key/list", keys) == {"own": 403, "lesser": 200}


async def test_a_key_without_a_role_sees_itself_and_no_other(running: Any) -> None:  # I1
    key, other = await running.generate_key(), await running.generate_key()
    auth = {"authorization": f"Bearer {key}"}
    own = (await running.client.get("/key/info", headers=auth)).json()
    assert own["info"]["key_name"] == f"sk-...{key[-4:]}"
    paths = [
        f"/key/info?key={other}",
        "/key/info?key=none",
        f"/spend/logs?api_key={other}",
        "/user/info?user_id=u",
    ]
    for path in paths:
        answer = await running.client.get(path, headers=auth)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "admin_only"), path


@pytest.mark.parametrize("word", ["root", "Admin", "proxy_admin ", "", "org_admin", "internal_user_viewer"])
def test_a_word_that_is_no_role_gives_none(word: str) -> None:  # I1
    assert rights_of(word, None, "proxy_admin").role is None
    assert rights_of(None, None, word).role is None


WORDS = st.none() | st.sampled_from(["admin", "viewer", *USER_ROLES, *KEY_TYPES]) | st.text(max_size=8)
PATHS = st.sampled_from(["/key/info", "/budget/info", "/key/generate", "/spend/logs"]) | st.text(max_size=8)
METHODS = st.sampled_from(["GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS", "get"])


@given(WORDS, WORDS, WORDS, METHODS, PATHS)
def test_a_key_type_never_gives_and_only_admins_change(
    role: str | None, key_type: str | None, user_role: str | None, method: str, path: str
) -> None:  # I1
    def principal(kind: str | None) -> Principal:
        rights = rights_of(role, kind, user_role)
        return Principal("k", rights.manages and rights.role == "admin", role=rights.role, calls=rights.calls,
                         manages=rights.manages)  # fmt: skip

    whole, typed = principal(None), principal(key_type)
    assert may_manage(whole, method, path) or not may_manage(typed, method, path)
    assert may_call(whole, method) or not may_call(typed, method)
    if may_manage(typed, method, path) and (method, path) not in READ_BY_POST and method != "GET":
        assert typed.is_admin
        assert role == "admin" or (role is None and user_role == "proxy_admin")
