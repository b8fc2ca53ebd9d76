"""The door: every route against every kind of caller (I1), and the shape of every error."""

import base64
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from routeiq_appliance.api.management import build_management
from routeiq_appliance.api.server import Access
from routeiq_appliance.pipeline.roles import OWN_PATHS


def _error(answer: httpx.Response) -> dict[str, Any]:
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code", "request_id"}
    assert answer.headers["x-request-id"] == error["request_id"]
    return error


async def test_every_route_but_liveness_and_readiness_needs_a_key(running: Any) -> None:  # I1
    table = [
        (method, route.path, route.access) for route in running.gateway.app.routes for method in route.methods
    ]
    stores = ("keys", "teams", "users", "organizations", "budgets", "members")
    unused = (*stores, "shared", "executor", "load_spend", "spend_logs", "flush", "engine", "folder")
    management = build_management(
        **dict.fromkeys(unused),  # type: ignore[arg-type]
        groups=frozenset(),
        request_id=str,
        principal=lambda: None,
    )
    table += [
        (method.upper(), path, Access.KEY if method == "get" and path in OWN_PATHS else Access.ADMIN)
        for path, methods in management.openapi()["paths"].items()
        for method in methods
    ]
    table += [
        ("GET", "/nothing-here", Access.ADMIN),
        ("GET", "/docs", Access.ADMIN),
        ("GET", "/metrics", Access.ADMIN),
    ]
    assert ("POST", "/key/generate", Access.ADMIN) in table
    opened = {path for _, path, access in table if access is Access.OPEN}
    assert opened == {"/_health/live", "/health/liveliness", "/health/liveness", "/health/readiness"}
    key = await running.generate_key()
    for method, path, access in table:
        anonymous = await running.client.request(method, path)
        wrong = await running.client.request(method, path, headers={"authorization": "Bearer sk-wrong"})
        if access is Access.OPEN:
            assert anonymous.status_code == 200, path
            continue
        assert anonymous.status_code == wrong.status_code == 401, path
        assert anonymous.headers["www-authenticate"].endswith('realm="routeiq"')
        if path.startswith("/v1/messages"):  # in the caller's dialect
            assert anonymous.json()["error"]["type"] == "authentication_error"
        elif method != "HEAD":
            assert _error(anonymous)["code"] == "invalid_api_key"
        held = await running.client.request(method, path, headers={"authorization": f"Bearer {key}"})
        assert (held.status_code == 403) == (access is Access.ADMIN), path


@pytest.mark.parametrize(
    "value", ["Bearer", "Bearer ", "Basic x", "sk-x", f"Bearer {'x' * 600}", "Bearer \xff\xfe"]
)
async def test_odd_credentials_are_refused(running: Any, value: str) -> None:
    answer = await running.client.get("/v1/models", headers={b"authorization": value.encode("latin-1")})
    assert answer.status_code == 401


async def test_wrong_method_and_unknown_path(running: Any) -> None:
    answer = await running.client.get("/v1/chat/completions", headers=running.auth)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert _error(answer)["message"] == "this path takes POST"
    answer = await running.client.get("/v1/nothing", headers=running.auth)
    assert (answer.status_code, _error(answer)["code"]) == (404, "not_found")


async def test_readiness_tells_the_seal_and_nothing_else(running: Any) -> None:
    answer = await running.client.get("/health/readiness")
    assert answer.json() == {
        "status": "ready", "egress": {"mode": "open", "refused": 0}, "degraded": [],
    }  # fmt: skip


async def test_a_body_over_the_limit_is_413(run_gateway: Callable[..., AsyncGenerator[Any, None]]) -> None:
    async for running in run_gateway(ROUTEIQ_MAX_BODY_BYTES=1024):
        body = {"model": "small", "messages": [{"role": "user", "content": "x" * 2000}]}
        answer = await running.client.post("/v1/chat/completions", json=body, headers=running.auth)
        assert (answer.status_code, _error(answer)["code"]) == (413, "request_too_large")

        async def chunks() -> AsyncGenerator[bytes, None]:
            for _ in range(20):
                yield b" " * 100

        answer = await running.client.post("/v1/chat/completions", content=chunks(), headers=running.auth)
        assert answer.status_code == 413
        assert running.upstream.calls == []


async def test_a_management_body_over_the_limit_is_413(running: Any) -> None:
    answer = await running.client.post("/key/generate", content=b" " * (2 << 20), headers=running.auth)
    assert answer.status_code == 413


async def test_an_unforeseen_error_is_500_without_a_trace(running: Any) -> None:
    running.upstream.fails = ZeroDivisionError("secret detail")
    answer = await running.client.post(
        "/v1/chat/completions",
        json={"model": "small", "messages": [{"role": "user", "content": "x"}]},
        headers=running.auth,
    )
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    assert "Traceback" not in answer.text


async def test_the_console_is_served_to_a_browser_with_a_key(
    run_gateway: Callable[..., AsyncGenerator[Any, None]], tmp_path: Path
) -> None:  # A6
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "index.html").write_text("<h1>RouteIQ</h1>")
    (tmp_path / "secret.txt").write_text("outside")
    (tmp_path / "static" / "link.txt").symlink_to(tmp_path / "secret.txt")
    async for running in run_gateway():
        password = base64.b64encode(f"me:{running.auth['authorization'][7:]}".encode()).decode()
        browser = {"authorization": f"Basic {password}"}
        answer = await running.client.get("/ui/", headers=browser)
        assert answer.text == "<h1>RouteIQ</h1>"
        policy = answer.headers["content-security-policy"].split("; ")
        assert {"default-src 'none'", "script-src 'self'", "connect-src 'self'", "form-action 'none'"} <= {
            *policy
        }
        assert (await running.client.get("/ui/")).headers["www-authenticate"] == 'Basic realm="routeiq"'
        for path in ("/ui/link.txt", "/ui/../secret.txt", "/ui/%2e%2e/secret.txt", "/ui//etc/passwd"):
            assert (await running.client.get(path, headers=browser)).status_code in {401, 404}
        # A browser's password opens the console only.
        assert (await running.client.get("/v1/models", headers=browser)).status_code == 401
