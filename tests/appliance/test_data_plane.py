"""The data plane in front of an upstream in memory: what gets through, what is refused, what is told and kept."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routeiq_appliance.errors import CallError

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
_NAMES = [
    "model", "messages", "prompt", "input", "stream", "stream_options", "temperature", "max_tokens", "n", "stop",
    "tools",
    "tool_choice", "response_format", "logit_bias", "seed", "user", "metadata", "api_base",
]  # fmt: skip
_PATHS = st.sampled_from(["/v1/chat/completions", "/v1/completions", "/v1/embeddings"])
_MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "system", "assistant", "tool", "x"])},
        optional={"content": _JSON, "tool_calls": _JSON, "name": _JSON, "function_call": _JSON},
    ),
    max_size=4,
)
_BODIES = st.fixed_dictionaries(
    {"model": st.sampled_from(["small", "auto", "vectors"])},
    optional={
        "messages": _MESSAGES | _JSON,
        "prompt": st.text() | _JSON,
        "input": st.text() | _JSON,
        "stream": st.booleans(),
    },
)
_ONE_GATEWAY = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150
)


async def _post(running: Any, path: str, content: bytes) -> Any:
    return await running.client.post(path, content=content, headers=running.auth)


async def _chat(running: Any, **body: Any) -> Any:
    full = {"model": "small", "messages": [{"role": "user", "content": "hello"}], **body}
    return await running.client.post("/v1/chat/completions", json=full, headers=running.auth)


@_ONE_GATEWAY
@given(path=_PATHS, content=st.binary(max_size=200))
async def test_bytes_that_are_no_request_are_4xx(running: Any, path: str, content: bytes) -> None:
    answer = await _post(running, path, content)
    assert 400 <= answer.status_code < 500
    assert answer.json()["error"]["type"] == "invalid_request_error"


@_ONE_GATEWAY
@given(path=_PATHS, body=st.dictionaries(st.sampled_from(_NAMES), _JSON, max_size=6) | _BODIES | _JSON)
async def test_json_of_any_shape_is_answered_or_4xx(running: Any, path: str, body: Any) -> None:
    answer = await _post(running, path, json.dumps(body).encode())
    assert answer.status_code == 200 or 400 <= answer.status_code < 500, answer.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the request body is not JSON"),
        (b"{", "the request body is not JSON"),
        (b'{"model": "small\xff"}', "the request body is not JSON"),
        (b'{"model": NaN}', "the request body is not JSON"),
        (b"[" * 100_000, "recursion limit exceeded"),
        (b'{"model": "small", "seed": 1e999}', "a number that is too large"),
        (b"[]", "the request body must be a JSON object"),
        (b"{}", "`model` must be a string"),
    ],
)
async def test_malformed_bodies_are_400(running: Any, content: bytes, message: str) -> None:
    answer = await _post(running, "/v1/chat/completions", content)
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "name",
    [
        "api_base", "base_url", "api_key", "custom_llm_provider", "mock_response", "extra_headers", "extra_body",
        "headers", "aws_bedrock_runtime_endpoint", "vertex_credentials", "fallbacks", "callbacks", "model_list",
        "proxy", "ssl_verify",
    ],
)  # fmt: skip
async def test_a_caller_cannot_choose_address_credential_or_callback(running: Any, name: str) -> None:
    answer = await _chat(running, **{name: "http://169.254.169.254/"})
    assert answer.status_code == 400
    assert answer.json()["error"] | {"request_id": ""} == {
        "message": f"unknown field `{name}`", "type": "invalid_request_error", "param": name,
        "code": "unknown_parameter", "request_id": "",
    }  # fmt: skip
    assert running.upstream.calls == []


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/x.png", "https://x/y.png", "file:///etc/passwd", "gs://b/o", ""]
)
async def test_an_image_by_address_is_refused(running: Any, url: str) -> None:  # I4
    part = {"type": "image_url", "image_url": {"url": url}}
    answer = await _chat(running, messages=[{"role": "user", "content": [part]}])
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "messages[0].content[0].image_url.url"


async def test_an_image_in_the_request_is_relayed(running: Any) -> None:
    parts = [
        {"type": "text", "text": "what is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
    ]
    answer = await _chat(running, model="auto", messages=[{"role": "user", "content": parts}])
    assert answer.status_code == 200
    assert running.upstream.calls[0].params["messages"][0]["content"] == parts
    assert running.upstream.calls[0].prompt == "what is it?"


async def test_configured_extra_fields_go_into_the_upstreams_body(running: Any) -> None:
    assert (await _chat(running, top_k=5)).status_code == 200
    assert running.upstream.calls[0].extra == {"top_k": 5}


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_tokens", -1), ("max_tokens", True), ("temperature", "hot"), ("temperature", 3), ("n", 0), ("stream", "yes"),
     ("stop", 1), ("tools", "x"), ("tools", [{"type": "function"}]), ("logit_bias", {"x": 1}), ("messages", []),
     ("messages", "x"), ("stream_options", {"include_usage": True}), ("response_format", "json")],
)  # fmt: skip
async def test_wrong_values_are_400_and_named(running: Any, field: str, value: Any) -> None:
    answer = await _chat(running, **{field: value})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == field


async def test_ten_thousand_messages_are_refused(running: Any) -> None:
    answer = await _chat(running, messages=[{"role": "user", "content": "x"}] * 10_000)
    assert answer.status_code == 400
    assert "more than 5000 messages" in answer.json()["error"]["message"]


async def test_an_unknown_model_is_404_with_advice(running: Any) -> None:
    answer = await _chat(running, model="smal")
    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == "there is no model `smal`; did you mean `small`?"
    answer = await _chat(running, model="m\0" * 200)
    assert answer.status_code == 404


async def test_an_answer_tells_the_decision_and_the_ledger_keeps_it(
    running: Any, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    answer = await _chat(running, model="auto")
    assert answer.json()["model"] == "small"
    assert answer.headers["x-routeiq-model"] == "small"
    assert answer.headers["x-routeiq-deployment"] == "small-1"
    assert answer.headers["x-routeiq-strategy"] == "declared-order"
    assert answer.headers["x-routeiq-decision-id"] == answer.headers["x-request-id"]
    eventually(lambda: len(running.rows()) == 1)
    row = running.rows()[0]
    assert row["id"] == answer.headers["x-routeiq-decision-id"]
    assert (row["asked"], row["group"], row["status"], row["outcome"]) == ("auto", "small", 200, "answered")
    assert (row["prompt_tokens"], row["completion_tokens"], row["estimated"]) == (3, 2, False)
    assert row["decision"]["ranking"] == [
        {"group": "small", "score": None},
        {"group": "large", "score": None},
    ]


async def test_round_robin_for_auto(run_gateway: Callable[..., AsyncGenerator[Any, None]]) -> None:  # D1, D2
    async for running in run_gateway(ROUTEIQ_STRATEGY="round-robin"):
        answers = [await _chat(running, model="auto") for _ in range(4)]
        assert [a.headers["x-routeiq-model"] for a in answers] == ["small", "large", "small", "large"]


async def test_a_group_takes_its_deployments_in_turn(
    run_gateway: Callable[..., AsyncGenerator[Any, None]],
) -> None:
    entry = "  - {model_name: g, litellm_params: {model: openai/x, api_base: 'http://127.0.0.1:9'}}\n"
    async for running in run_gateway(f"model_list:\n{entry * 3}routeiq: {{egress: open}}\n"):
        answers = [await _chat(running, model="g") for _ in range(4)]
        assert [a.headers["x-routeiq-deployment"] for a in answers] == ["g-1", "g-2", "g-3", "g-1"]


async def test_a_stream_hides_the_usage_that_only_we_asked_for(
    running: Any, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    answer = await _chat(running, stream=True)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    frames = answer.text.split("\n\n")
    assert [json.loads(f.removeprefix("data: "))["choices"][0]["delta"]["content"] for f in frames[:2]] == [
        "one ",
        "two ",
    ]
    assert frames[2:] == ["data: [DONE]", ""]
    asked = await _chat(running, stream=True, stream_options={"include_usage": True})
    assert '"usage":{"prompt_tokens":3' in asked.text
    eventually(lambda: len(running.rows()) == 2)
    assert {row["completion_tokens"] for row in running.rows()} == {2}


async def test_an_error_before_the_first_event_has_a_status(running: Any) -> None:
    running.upstream.fails = CallError(502, "broke", kind="server_error", code="bad_upstream")
    answer = await _chat(running, stream=True)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "bad_upstream")


async def test_an_error_in_a_stream_is_an_event_and_no_done(
    running: Any, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    running.upstream.fails = CallError(502, "broke", kind="server_error", code="bad_upstream")
    answer = await _chat(running, model="late", stream=True)
    assert answer.status_code == 200
    last = answer.text.strip().split("\n\n")[-1]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "bad_upstream"
    assert "[DONE]" not in answer.text
    eventually(lambda: len(running.rows()) == 1)
    row = running.rows()[0]
    assert (row["status"], row["outcome"]) == (502, "bad_upstream")


async def test_a_caller_who_leaves_ends_the_upstreams_stream(
    running: Any, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    running.upstream.hold.clear()
    sent: list[Any] = []
    first = asyncio.Event()
    body = json.dumps(
        {"model": "small", "stream": True, "messages": [{"role": "user", "content": "x"}]}
    ).encode()
    inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    inbox.put_nowait({"type": "http.request", "body": body})

    async def send(message: Any) -> None:
        sent.append(message)
        if message["type"] == "http.response.body":
            first.set()

    scope = {"type": "http", "path": "/v1/chat/completions", "method": "POST",
             "headers": [(b"authorization", running.auth["authorization"].encode())]}  # fmt: skip
    call = asyncio.create_task(running.gateway.app(scope, inbox.get, send))
    await first.wait()
    inbox.put_nowait({"type": "http.disconnect"})
    await call
    assert running.upstream.closed_streams == 1
    assert len([m for m in sent if m["type"] == "http.response.body"]) == 1
    eventually(lambda: len(running.rows()) == 1)
    row = running.rows()[0]
    assert (row["status"], row["outcome"]) == (499, "caller_left")


async def test_a_slow_upstream_is_504(run_gateway: Callable[..., AsyncGenerator[Any, None]]) -> None:
    params = "{model: openai/x, api_base: 'http://127.0.0.1:9', timeout: 0.05}"
    config = f"model_list: [{{model_name: g, litellm_params: {params}}}]\n"
    async for running in run_gateway(config + "routeiq: {egress: open}\n"):
        running.upstream.hold.clear()
        answer = await _chat(running, model="g")
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "upstream_timeout")


async def test_the_keys_allow_list_holds(running: Any) -> None:
    key = await running.generate_key(models=["large"])
    headers = {"authorization": f"Bearer {key}"}
    body = {"messages": [{"role": "user", "content": "x"}]}

    async def ask(model: str) -> Any:
        return await running.client.post(
            "/v1/chat/completions", json={"model": model, **body}, headers=headers
        )

    denied = await ask("small")
    assert (denied.status_code, denied.json()["error"]["code"]) == (403, "model_not_allowed")
    assert (await ask("large")).status_code == 200
    assert (await ask("auto")).headers["x-routeiq-model"] == "large"
    listed = await running.client.get("/v1/models", headers=headers)
    assert [entry["id"] for entry in listed.json()["data"]] == ["auto", "large"]


async def test_auto_is_not_for_embeddings_and_modes_hold(running: Any) -> None:
    for path, body, code in [
        ("/v1/embeddings", {"model": "auto", "input": "x"}, "model_not_supported"),
        (
            "/v1/chat/completions",
            {"model": "vectors", "messages": [{"role": "user", "content": "x"}]},
            "model_not_supported",
        ),
    ]:
        answer = await running.client.post(path, json=body, headers=running.auth)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
