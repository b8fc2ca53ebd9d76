"""Management through the whole gateway; `management/` tests its endpoints alone."""

import logging
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest


async def _generate(running: Any, **body: Any) -> Any:
    return await running.client.post("/key/generate", json=body, headers=running.auth)


async def test_a_key_is_shown_once_and_stored_as_a_peppered_digest(running: Any) -> None:  # C6, I8
    answer = (
        await _generate(
            running, key_alias="team-a", duration="30d", models=["small"], metadata={"owner": "me"}
        )
    ).json()
    assert answer["key"].startswith("sk-")
    assert answer["key_name"] == f"sk-...{answer['key'][-4:]}"
    assert answer["metadata"] == {"owner": "me"}
    left = datetime.fromisoformat(answer["expires"]) - datetime.now(UTC)
    assert timedelta(days=29) < left <= timedelta(days=30)
    files = b"".join(path.read_bytes() for path in running.data_dir.rglob("*") if path.is_file())
    assert answer["key"].encode() not in files
    assert (running.data_dir / "pepper").stat().st_mode & 0o777 == 0o600
    assert (running.data_dir / "routeiq.sqlite3").stat().st_mode & 0o777 == 0o600


async def test_errors_have_the_requests_id_and_openais_shape(running: Any) -> None:
    answer = await _generate(running, model=["small"])
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code", "request_id"}
    assert (answer.status_code, error["param"]) == (400, "model")
    assert answer.headers["x-request-id"] == error["request_id"]


async def test_an_expired_key_is_refused(running: Any) -> None:
    key = await running.generate_key(duration="1h")
    with sqlite3.connect(running.data_dir / "routeiq.sqlite3") as connection:
        connection.execute("UPDATE keys SET expires_at = '2020-01-01 00:00:00.000000'")
    connection.close()
    answer = await running.client.get("/v1/models", headers={"authorization": f"Bearer {key}"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "expired_api_key")


async def test_a_blocked_key_is_refused(running: Any) -> None:
    key = await running.generate_key()
    await running.client.post("/key/block", json={"key": key}, headers=running.auth)
    answer = await running.client.get("/v1/models", headers={"authorization": f"Bearer {key}"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "key_blocked")


async def test_no_secret_reaches_the_log(
    running: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:  # I8
    with caplog.at_level(logging.DEBUG):
        key = await running.generate_key()
        await running.client.post("/key/update", json={"key": key, "rpm_limit": -1}, headers=running.auth)
        await running.client.post(
            "/v1/chat/completions",
            json={"model": "small", "messages": [{"role": "user", "content": "private words"}]},
            headers={"authorization": f"Bearer {key}"},
        )
    text = "\n".join(str(vars(record)) for record in caplog.records) + capfd.readouterr().err
    assert '"outcome":"answered"' in text
    for secret in (key, running.auth["authorization"][7:], "sk-upstream-secret", "private words"):
        assert secret not in text


@pytest.mark.parametrize("headers", [{}, {"content-type": "application/x-www-form-urlencoded"}])
async def test_a_body_is_json_whatever_curl_calls_it(running: Any, headers: dict[str, str]) -> None:  # C6
    answer = await running.client.post(
        "/key/generate", content=b'{"key_alias": "lab"}', headers={**running.auth, **headers}
    )
    assert answer.status_code == 200
    assert answer.json()["key_alias"] == "lab"
