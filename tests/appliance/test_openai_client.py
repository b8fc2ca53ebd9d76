"""OpenAI's own client against a gateway on a port, through both upstreams, to a real HTTP server (C1).

Groups whose name begins with `litellm-` are called through the LiteLLM library, the others directly.
"""

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest


@pytest.fixture
def client(gateway_process: Any, master_key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway_process.url}/v1", api_key=master_key, max_retries=0) as made:
        yield made


@pytest.fixture(params=["", "litellm-"], ids=["direct", "litellm"])
def via(request: pytest.FixtureRequest) -> str:
    prefix: str = request.param
    return prefix


def _ask(client: openai.OpenAI, model: str, **more: Any) -> Any:
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hi"}], **more)


def test_auto_answers_with_the_groups_name(client: openai.OpenAI) -> None:  # C1
    assert _ask(client, "auto").model == "plain"


def test_chat(client: openai.OpenAI, http_upstream: Any, via: str) -> None:  # C1
    answer = _ask(client, f"{via}plain", temperature=0.5, extra_body={"top_k": 4})
    assert answer.choices[0].message.content == "hello there"
    assert answer.model == f"{via}plain"
    assert answer.usage.total_tokens == 9
    path, headers, body = http_upstream.app.requests[-1]
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == "Bearer sk-upstream-secret"
    assert body == {
        "model": "plain",
        "messages": [{"role": "user", "content": "hi"}],
        "temperature": 0.5,
        "top_k": 4,
    }


def test_chat_streaming(client: openai.OpenAI, via: str) -> None:
    chunks = list(_ask(client, f"{via}plain", stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "hello there"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert {c.model for c in chunks} == {f"{via}plain"}
    with_usage = list(_ask(client, f"{via}plain", stream=True, stream_options={"include_usage": True}))
    assert with_usage[-1].usage.total_tokens == 9


def test_chat_with_tools(client: openai.OpenAI, http_upstream: Any, via: str) -> None:
    tools = [
        {
            "type": "function",
            "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
        }
    ]
    assert _ask(client, f"{via}plain", tools=tools).choices[0].message.content == "hello there"
    assert http_upstream.app.requests[-1][2]["tools"] == tools


def test_completions(client: openai.OpenAI, via: str) -> None:
    assert client.completions.create(model=f"{via}plain", prompt="hi").choices[0].text == "hello there"
    chunks = list(client.completions.create(model=f"{via}plain", prompt="hi", stream=True))
    assert "".join(c.choices[0].text or "" for c in chunks if c.choices) == "hello there"


def test_embeddings(client: openai.OpenAI, via: str) -> None:
    answer = client.embeddings.create(model=f"{via}plain", input=["hi"], encoding_format="float")
    assert answer.data[0].embedding == [0.5, 0.25]


def test_models(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert names[:2] == ["auto", "plain"]


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("status-400", 400, None),
        ("status-422", 400, None),
        ("status-401", 502, "upstream_misconfigured"),
        ("status-404", 502, "upstream_misconfigured"),
        ("status-429", 429, "upstream_rate_limited"),
        ("status-500", 502, "bad_upstream"),
        ("status-503", 503, "upstream_unavailable"),
        ("garbage", 502, "bad_upstream"),
        ("hang", 504, "upstream_timeout"),
        ("redirect", 502, "bad_upstream"),
    ],
)
def test_an_upstreams_failure_is_told_without_its_secrets(
    client: openai.OpenAI, via: str, model: str, status: int, code: str | None
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        _ask(client, f"{via}{model}")
    assert caught.value.status_code == status, caught.value.message
    assert caught.value.code == code
    assert "sk-upstream-secret" not in caught.value.message
    assert caught.value.response.headers["x-request-id"]
    if status == 429:
        assert caught.value.response.headers["retry-after"] == "7"


def test_a_stream_that_fails_before_its_first_event_has_a_status(client: openai.OpenAI, via: str) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        _ask(client, f"{via}status-500", stream=True)
    assert caught.value.status_code == 502


def test_a_stream_without_events_is_an_upstream_that_broke_off(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        _ask(client, "silent", stream=True)
    assert (caught.value.status_code, caught.value.code) == (502, "bad_upstream")


def test_litellm_ends_a_stream_without_events(client: openai.OpenAI) -> None:
    # It makes up a last event for a stream that had none: nothing hangs, and no words are invented.
    chunks = _ask(client, "litellm-silent", stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == ""


def test_a_stream_that_is_cut_ends_in_an_error_event(gateway_process: Any, master_key: str, via: str) -> None:
    body = {"model": f"{via}cut", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    answer = httpx.post(
        f"{gateway_process.url}/v1/chat/completions",
        json=body,
        headers={"authorization": f"Bearer {master_key}"},
        timeout=30,
    )
    assert answer.status_code == 200
    assert '"code":"bad_upstream"' in answer.text.strip().split("\n\n")[-1]
    assert "[DONE]" not in answer.text


def test_a_caller_who_leaves_ends_the_upstreams_call(
    client: openai.OpenAI, http_upstream: Any, via: str
) -> None:
    http_upstream.app.left.clear()
    stream = _ask(client, f"{via}endless", stream=True)
    next(stream)
    stream.close()
    assert http_upstream.app.left.wait(10)
