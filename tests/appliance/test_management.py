import logging
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from routeiq_appliance.api.management import NOT_ENFORCED, parse_duration
from routeiq_appliance.errors import CallError


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
    files = b"".join(p.read_bytes() for p in running.data_dir.iterdir())
    assert answer["key"].encode() not in files
    assert (running.data_dir / "pepper").stat().st_mode & 0o777 == 0o600
    assert (running.data_dir / "routeiq.sqlite3").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", sorted(NOT_ENFORCED))
async def test_a_field_that_is_not_enforced_is_refused_and_null_is_absent(running: Any, name: str) -> None:
    answer = await _generate(running, **{name: 1})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == f"`{name}` is not enforced by this release: leave it out"
    assert (await _generate(running, **{name: None})).status_code == 200


@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        ({"model": ["small"]}, "model", "unknown field `model`; did you mean `models`?"),
        ({"models": ["smal"]}, "models", "`models`: there is no group `smal`; did you mean `small`?"),
        ({"duration": "soon"}, "duration", "`duration` must look like 30s"),
        ({"duration": "999999999mo"}, "duration", "`duration` must look like 30s"),
        ({"models": "small"}, "models", "input should be a valid list"),
        ({"metadata": []}, "metadata", "input should be a valid dictionary"),
    ],
)
async def test_wrong_fields_are_400_and_named(running: Any, body: Any, param: str, message: str) -> None:
    answer = await _generate(running, **body)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
    assert message in answer.json()["error"]["message"]


async def test_malformed_bodies_are_400(running: Any) -> None:
    for content in (b"", b"{", b"\xff", b"[1]", b'"x"'):
        answer = await running.client.post(
            "/key/generate", content=content, headers={**running.auth, "content-type": "application/json"}
        )
        assert answer.status_code == 400, content


async def test_an_alias_is_given_once(running: Any) -> None:
    assert (await _generate(running, key_alias="a")).status_code == 200
    answer = await _generate(running, key_alias="a")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "alias_taken")


async def test_an_expired_key_is_refused(running: Any) -> None:
    key = await running.generate_key(duration="1h")
    with sqlite3.connect(running.data_dir / "routeiq.sqlite3") as connection:
        connection.execute("UPDATE keys SET expires_at = '2020-01-01 00:00:00.000000'")
    connection.close()
    answer = await running.client.get("/v1/models", headers={"authorization": f"Bearer {key}"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "expired_api_key")


async def test_no_secret_reaches_the_log(running: Any, caplog: pytest.LogCaptureFixture) -> None:  # I8
    with caplog.at_level(logging.DEBUG):
        key = await running.generate_key()
        await running.client.post(
            "/v1/chat/completions",
            json={"model": "small", "messages": [{"role": "user", "content": "private words"}]},
            headers={"authorization": f"Bearer {key}"},
        )
    text = "\n".join(str(vars(record)) for record in caplog.records)
    assert "'outcome': 'answered'" in text
    for secret in (key, running.auth["authorization"][7:], "sk-upstream-secret", "private words"):
        assert secret not in text


def test_durations() -> None:
    assert parse_duration("30s") == timedelta(seconds=30)
    assert parse_duration("1mo") == timedelta(days=30)
    for text in ("", "0d", "-1d", "1y", "1.5h", "\uff11d"):
        with pytest.raises(CallError):
            parse_duration(text)
