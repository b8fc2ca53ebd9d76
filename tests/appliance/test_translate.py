"""Messages and responses over a server that only chats: LiteLLM's translation around our own call (C1).

What comes out is checked against the models of the official clients, strictly: a field that is missing or of another
type fails here, though the clients themselves would not look.
"""

import json
import socket
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import anthropic.types
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent

from routeiq_appliance.api.fields import EVERYTHING, check_fields
from routeiq_appliance.errors import CallError, UpstreamError
from routeiq_appliance.limits import DEFAULT_LIMITS
from routeiq_appliance.pipeline.types import Call, Deployment
from routeiq_appliance.upstreams.litellm import LitellmUpstream
from routeiq_appliance.upstreams.translate import Translated, Translator

Kind = Literal["messages", "responses"]
_USER = [{"role": "user", "content": "hi"}]
_LEAST: dict[Kind, dict[str, Any]] = {
    "messages": {"messages": _USER, "max_tokens": 5},
    "responses": {"input": "hi"},
}
_LONG = "look_up_" + "x" * 72
_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
           "additionalProperties": False}  # fmt: skip
_TOOLS = [
    {"name": "weather", "description": "d", "input_schema": _SCHEMA},
    {"name": _LONG, "input_schema": _SCHEMA},
]
_FUNCTIONS = [{"type": "function", "name": "weather", "parameters": _SCHEMA, "strict": True}]
_IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}


def _by_type(union: Any) -> dict[str, Any]:
    """The models of a union by the type that each names: an error of the union would tell of all of them."""
    models = get_args(get_args(union)[0])
    return {get_args(model.model_fields["type"].annotation)[0]: model for model in models}


_EVENTS = {**_by_type(anthropic.types.RawMessageStreamEvent), **_by_type(ResponseStreamEvent)}


@pytest.fixture(scope="module")
def translator() -> Translator:
    LitellmUpstream(DEFAULT_LIMITS)
    return Translator()


def _deployment(**more: Any) -> Deployment:
    made = Deployment(
        id="d-1", group="d", mode=None, params={}, destination=None, upstream="direct", provider="openai", model="up",
        connect_timeout=5, timeout=5, first_token_timeout=5, stream_timeout=5, retries=0,
    )  # fmt: skip
    return replace(made, **more)


def ask(translator: Translator, kind: Kind, *, stream: bool = False, **body: Any) -> tuple[Call, Translated]:
    """The chat that a body becomes, the way a body goes."""
    whole = {"model": "d", **json.loads(json.dumps(_LEAST[kind])), **body}
    before = json.dumps(whole)
    _, params, extra = check_fields(kind, whole, extra_names=frozenset({EVERYTHING}), limits=DEFAULT_LIMITS)
    call = Call("id1", kind, "d", params, extra, stream, False, "", 100, datetime.now(UTC))
    translated = translator.request(_deployment(), call)
    assert (
        json.dumps(whole) == before
    )  # the caller's is left as it was: another deployment may be tried with it
    return call, translated


def chat(translator: Translator, kind: Kind, **body: Any) -> dict[str, Any]:
    return ask(translator, kind, **body)[1].chat.params


def whole(*, finish: str = "stop", **message: Any) -> dict[str, Any]:
    return {
        "id": "c", "object": "chat.completion", "created": 7, "model": "up",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 30, "completion_tokens": 20, "total_tokens": 50},
    }  # fmt: skip


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 7,
        "model": "up",
        "choices": choices,
        **more,
    }


def call_of(number: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": number, "type": "function", "function": {"name": name, "arguments": arguments}}


USAGE = chunk(usage={"prompt_tokens": 30, "completion_tokens": 20, "total_tokens": 50})


class Chat:
    """A chat's stream; tells whether it was closed. An error among the events is raised."""

    def __init__(self, *events: Any) -> None:
        self._events = events
        self.closed = False
        self.given = 0

    async def stream(self) -> AsyncGenerator[dict[str, Any], None]:
        try:
            for event in self._events:
                if isinstance(event, Exception):
                    raise event
                self.given += 1
                yield json.loads(json.dumps(event))
        finally:
            self.closed = True


async def events(
    translator: Translator, kind: Kind, chat: Chat, **body: Any
) -> tuple[list[dict[str, Any]], BaseException | None]:
    """What a stream becomes, and what ended it early; every event is of its dialect."""
    call, translated = ask(translator, kind, stream=True, **body)
    made: list[dict[str, Any]] = []
    try:
        async for event in translator.events(call, translated, chat.stream()):
            made.append(json.loads(json.dumps(event)))  # noqa: PERF401 - what came before an error counts
    except UpstreamError as error:
        return made, error
    finally:
        assert chat.closed
        for event in made:
            _EVENTS[event["type"]].model_validate(event)
    return made, None


# --- requests: messages ---


def test_a_message_becomes_a_chat(translator: Translator) -> None:
    assert chat(translator, "messages", system="be brief", stop_sequences=["a", "b"], temperature=0.5, top_p=0.9,
                top_k=4, metadata={"user_id": "u"}, cache={"no-cache": True}) == {
        "messages": [{"role": "system", "content": "be brief"}, *_USER],
        "max_tokens": 5, "stop": ["a", "b"], "temperature": 0.5, "top_p": 0.9, "top_k": 4,
    }  # fmt: skip


def test_a_system_of_blocks_becomes_one(translator: Translator) -> None:
    system = [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "b"},
    ]
    assert chat(translator, "messages", system=system)["messages"][0]["content"] == [
        {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]  # fmt: skip


@pytest.mark.parametrize(
    ("choice", "chosen"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "any"}, "required"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "weather"}, {"type": "function", "function": {"name": "weather"}}),
    ],
)
def test_tools_become_functions(translator: Translator, choice: Any, chosen: Any) -> None:
    call, translated = ask(translator, "messages", tools=_TOOLS, tool_choice=choice)
    params = translated.chat.params
    assert params["tool_choice"] == chosen
    first, second = (tool["function"] for tool in params["tools"])
    assert first == {"name": "weather", "description": "d", "parameters": _SCHEMA}
    # OpenAI allows 64 characters; the answer has the caller's own name again.
    assert len(second["name"]) <= 64
    body = whole(content=None, tool_calls=[call_of("c1", second["name"], "{}")], finish="tool_calls")
    assert translator.answer(call, translated, body)["content"][0]["name"] == _LONG


def test_what_was_said_goes_back_with_tools_and_images(translator: Translator) -> None:
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "look"}, _IMAGE]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "ok"},
            {"type": "tool_use", "id": "t1", "name": "weather", "input": {"url": "https://x.example"}},
            {"type": "tool_use", "id": "t2", "name": "weather", "input": {}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "sunny"}, _IMAGE]},
            {"type": "tool_result", "tool_use_id": "t2", "content": "no", "is_error": True},
            {"type": "text", "text": "and?"}]},
    ]  # fmt: skip
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    made = chat(translator, "messages", messages=messages, tools=_TOOLS)["messages"]
    assert made[0] == {"role": "user", "content": [{"type": "text", "text": "look"}, image]}
    assert made[1] == {
        "role": "assistant", "content": "ok", "reasoning_content": "hm",
        "tool_calls": [call_of("t1", "weather", '{"url": "https://x.example"}'), call_of("t2", "weather", "{}")],
    }  # fmt: skip
    assert made[2] == {
        "role": "tool",
        "tool_call_id": "t1",
        "content": [{"type": "text", "text": "sunny"}, image],
    }
    assert made[3] == {"role": "tool", "tool_call_id": "t2", "content": "no"}
    assert made[4] == {"role": "user", "content": [{"type": "text", "text": "and?"}]}


def test_thoughts_that_a_provider_signed_go_back_to_it(translator: Translator) -> None:
    content = [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "ok"}]
    params = {"messages": [*_USER, {"role": "assistant", "content": content}], "max_tokens": 5}
    call = Call("id1", "messages", "d", params, {}, False, False, "", 100, datetime.now(UTC))
    target = _deployment(upstream="litellm", provider="bedrock")
    assert translator.request(target, call).chat.params["messages"][1]["thinking_blocks"] == [content[0]]


def test_documents_as_text_are_text(translator: Translator) -> None:
    content = [
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "one"}},
        {"type": "document", "source": {"type": "content", "content": "two"}},
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "three"}]}},
        {"type": "search_result", "source": "https://x.example", "title": "t",
         "content": [{"type": "text", "text": "four"}]},
    ]  # fmt: skip
    (made,) = chat(translator, "messages", messages=[{"role": "user", "content": content}])["messages"]
    assert [part["text"] for part in made["content"]] == ["one", "two", "three", "four"]


@pytest.mark.parametrize(
    ("given", "effort"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 30000}}, "high"),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}}, "medium"),
        ({}, None),
    ],
)
def test_thinking_is_an_effort(translator: Translator, given: dict[str, Any], effort: str | None) -> None:
    params = chat(translator, "messages", **given)
    assert params.get("reasoning_effort") == effort
    assert "thinking" not in params


@pytest.mark.parametrize("where", ["output_format", "output_config"])
def test_a_schema_for_the_answer_of_a_message(translator: Translator, where: str) -> None:
    wanted = {"type": "json_schema", "schema": _SCHEMA}
    params = chat(
        translator, "messages", **{where: wanted if where == "output_format" else {"format": wanted}}
    )
    assert params["response_format"]["type"] == "json_schema"
    assert params["response_format"]["json_schema"]["schema"] == _SCHEMA


@pytest.mark.parametrize(
    "block",
    [
        {"type": "nonsense"}, {"type": "container_upload"}, {"type": "server_tool_use", "id": "a", "name": "b"},
        {"type": "image"}, {"type": "image", "source": 3}, {"type": "image", "source": {"type": "base64"}},
        {"type": "document"}, {"type": "document", "source": {"type": "content", "content": [3]}},
        {"type": "text"}, {"type": "text", "text": 3}, {"type": "tool_use", "input": {}}, {"type": "tool_result"},
        {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "nonsense"}]},
        {"type": "tool_result", "tool_use_id": "t", "content": 3},
        {"type": "search_result", "content": "x"},
    ],
)  # fmt: skip
def test_what_a_chat_has_no_place_for_is_told_not_dropped(
    translator: Translator, block: dict[str, Any]
) -> None:
    content = [{"type": "text", "text": "hi"}, block]
    with pytest.raises(UpstreamError, match=r"cannot be translated.*content\[1\]") as caught:
        ask(translator, "messages", messages=[{"role": "user", "content": content}])
    assert (caught.value.fault, caught.value.status) == ("caller", 400)


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": []}]},
        {"messages": [{"role": "user", "content": ""}]},
        {"tools": [{"type": "bash_20250124", "name": "bash"}]},
        {"tools": _TOOLS, "tool_choice": {"type": "nonsense"}},
    ],
)
def test_a_message_that_cannot_be_a_chat_is_the_callers_400(
    translator: Translator, body: dict[str, Any]
) -> None:
    with pytest.raises(UpstreamError, match="cannot be translated") as caught:
        ask(translator, "messages", **body)
    assert (caught.value.fault, caught.value.status) == ("caller", 400)


# --- requests: responses ---


def test_a_response_becomes_a_chat(translator: Translator) -> None:
    assert chat(translator, "responses", instructions="be brief", max_output_tokens=9, temperature=0.5, top_p=0.9,
                user="u", reasoning={"effort": "low"}, store=True, metadata={"a": "b"}, truncation="disabled",
                stream_options={"include_obfuscation": False}, prompt_cache_key="k", include=[]) == {
        "messages": [{"role": "system", "content": "be brief"}, *_USER],
        "max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "user": "u", "reasoning_effort": "low",
    }  # fmt: skip


def test_items_become_messages(translator: Translator) -> None:
    items = [
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [
            {"type": "input_text", "text": "look"},
            {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ok", "annotations": []}]},
    ]  # fmt: skip
    made = chat(translator, "responses", input=items, tools=_FUNCTIONS)["messages"]
    assert [message["role"] for message in made] == ["developer", "user", "assistant", "tool", "assistant"]
    assert made[1]["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
    ]
    assert made[2]["tool_calls"][0]["function"] == {"name": "weather", "arguments": "{}"}
    assert made[3] == {"role": "tool", "tool_call_id": "c1", "content": "sunny"}
    assert made[4]["content"] == [{"type": "text", "text": "ok"}]


def test_functions_and_a_schema_of_a_response(translator: Translator) -> None:
    wanted = {"type": "json_schema", "name": "place", "schema": _SCHEMA, "strict": True}
    params = chat(translator, "responses", tools=_FUNCTIONS, tool_choice={"type": "function", "name": "weather"},
                  parallel_tool_calls=False, text={"format": wanted})  # fmt: skip
    (tool,) = params["tools"]
    assert tool["function"]["parameters"] == _SCHEMA
    assert params["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert params["parallel_tool_calls"] is False
    assert params["response_format"] == {
        "type": "json_schema", "json_schema": {"name": "place", "schema": _SCHEMA, "strict": True}}  # fmt: skip


@pytest.mark.parametrize(
    "items",
    [
        [{"type": "function_call_output"}], [{"type": "nonsense"}], [{"type": "web_search_call", "id": "w"}],
        [{"type": "function_call_output", "output": "x"}],
    ],
)  # fmt: skip
def test_items_that_say_nothing_are_the_callers_400(translator: Translator, items: list[Any]) -> None:
    with pytest.raises(UpstreamError, match="cannot be translated") as caught:
        ask(translator, "responses", input=items)
    assert (caught.value.fault, caught.value.status) == ("caller", 400)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
_TYPES = st.sampled_from(["text", "image", "tool_use", "tool_result", "thinking", "document", "input_text", "x",
                          "function_call", "function_call_output", "message", "reasoning", "output_text"])  # fmt: skip
_BLOCK = st.fixed_dictionaries({"type": _TYPES}, optional=dict.fromkeys(
    ("text", "source", "id", "name", "input", "tool_use_id", "content", "thinking", "arguments", "call_id", "output",
     "role", "summary"), _JSON))  # fmt: skip
_ROLE = st.sampled_from(["user", "assistant", "system"])
_MESSAGE = st.fixed_dictionaries(
    {"role": _ROLE, "content": st.text(max_size=4) | st.lists(_BLOCK, max_size=3)}
)
_MORE: dict[Kind, list[str]] = {
    "messages": ["system", "thinking", "tool_choice", "tools", "output_config", "output_format", "stop_sequences",
                 "context_management", "container", "betas"],
    "responses": ["instructions", "reasoning", "text", "tools", "tool_choice", "include", "truncation", "prompt",
                  "max_tool_calls", "top_logprobs", "moderation"],
}  # fmt: skip


@pytest.mark.parametrize("kind", ["messages", "responses"])
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_request_is_a_chat_or_the_callers_400(
    translator: Translator, kind: Kind, data: st.DataObject
) -> None:
    items = data.draw(
        st.lists(_MESSAGE | _BLOCK if kind == "responses" else _MESSAGE, min_size=1, max_size=3)
    )
    named = st.fixed_dictionaries(
        {"name": st.text(max_size=3), "type": _TYPES}, optional={"input_schema": _JSON}
    )
    more = data.draw(
        st.dictionaries(st.sampled_from(_MORE[kind]), _JSON | st.lists(named, max_size=2), max_size=3)
    )
    body = {**more, "messages" if kind == "messages" else "input": items}
    try:
        params = chat(translator, kind, **body)
    except CallError as error:
        status = error.status
    else:
        status = 400
        assert params["messages"]
        json.dumps(params)
    assert status == 400


# --- answers ---


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("tool_calls", "tool_use"),
        ("content_filter", "refusal"),
    ],
)
def test_a_chats_answer_becomes_a_message(translator: Translator, finish: str, reason: str) -> None:
    call, translated = ask(translator, "messages", tools=_TOOLS)
    calls = [call_of("c1", "weather", '{"city": "Zürich"}')]
    body = whole(content="let me", reasoning_content="hm", tool_calls=calls, finish=finish)
    answer = json.loads(json.dumps(translator.answer(call, translated, body)))
    message = anthropic.types.Message.model_validate(answer)
    assert message.id == "msg_id1"
    thought, text, use = message.content
    assert isinstance(thought, anthropic.types.ThinkingBlock)
    assert thought.thinking == "hm"
    assert isinstance(text, anthropic.types.TextBlock)
    assert text.text == "let me"
    assert isinstance(use, anthropic.types.ToolUseBlock)
    assert (use.id, use.name, use.input) == ("c1", "weather", {"city": "Zürich"})
    assert message.stop_reason == reason
    assert (message.usage.input_tokens, message.usage.output_tokens) == (30, 20)


@pytest.mark.parametrize("finish", ["stop", "length", "tool_calls"])
def test_a_chats_answer_becomes_a_response(translator: Translator, finish: str) -> None:
    call, translated = ask(translator, "responses", tools=_FUNCTIONS, instructions="be brief")
    calls = [call_of("c1", "weather", '{"city": "Zürich"}')]
    body = whole(content="let me", reasoning_content="hm", tool_calls=calls, finish=finish)
    answer = json.loads(json.dumps(translator.answer(call, translated, body)))
    response = Response.model_validate(answer)
    assert (response.id, response.output_text, response.instructions) == ("resp_id1", "let me", "be brief")
    reasoning, _, function = (item.model_dump() for item in response.output)
    assert reasoning["summary"] == [{"type": "summary_text", "text": "hm"}]
    assert (function["name"], function["arguments"], function["call_id"]) == (
        "weather",
        '{"city": "Zürich"}',
        "c1",
    )
    assert response.status == ("incomplete" if finish == "length" else "completed")
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (30, 20)
    assert response.usage.output_tokens_details.reasoning_tokens == 0
    assert answer["store"] is False


def test_a_custom_tool_is_called_as_one(translator: Translator) -> None:
    call, translated = ask(translator, "responses", tools=[{"type": "custom", "name": "patch"}])
    body = whole(content=None, tool_calls=[call_of("c1", "patch", '{"content": "raw"}')], finish="tool_calls")
    (item,) = Response.model_validate(translator.answer(call, translated, body)).output
    assert (item.type, getattr(item, "input", None)) == ("custom_tool_call", "raw")


@pytest.mark.parametrize("kind", ["messages", "responses"])
@pytest.mark.parametrize(
    "body",
    [{}, {"choices": "x"}, {"choices": [3]}, {"choices": [{"message": 3}]},
     whole(content=None, tool_calls=[{"function": 3}]), whole(content=None, tool_calls=[call_of("c", "f", "{")])],
)  # fmt: skip
def test_an_answer_that_is_none_is_the_upstreams_fault(translator: Translator, kind: Kind, body: Any) -> None:
    call, translated = ask(translator, kind)
    try:
        made = translator.answer(call, translated, body)
    except UpstreamError as error:
        status = error.status
    else:
        status = 502
        json.dumps(made)
    assert status == 502


# --- streams ---

TOOL_STREAM = [
    chunk({"role": "assistant", "content": None}), chunk({"reasoning_content": "hm"}), chunk({"content": "let"}),
    chunk({"content": " me"}),
    chunk({"tool_calls": [{"index": 0, **call_of("c1", "weather", "")}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": '"Paris"}'}}]}),
    chunk({"tool_calls": [{"index": 1, **call_of("c2", "weather", '{"city":"Rome"}')}]}),
    chunk({}, "tool_calls"), USAGE,
]  # fmt: skip


async def test_a_stream_with_tools_becomes_a_messages_stream(translator: Translator) -> None:
    made, error = await events(translator, "messages", Chat(*TOOL_STREAM), tools=_TOOLS)
    assert error is None
    assert [event["type"] for event in made[:2]] == ["message_start", "content_block_start"]
    assert made[0]["message"]["id"] == "msg_id1"
    assert [event["type"] for event in made[-2:]] == ["message_delta", "message_stop"]
    assert made[-2]["delta"]["stop_reason"] == "tool_use"
    assert (made[-2]["usage"]["input_tokens"], made[-2]["usage"]["output_tokens"]) == (30, 20)
    blocks: dict[int, list[Any]] = {}
    for event in made:
        if event["type"] == "content_block_start":
            blocks[event["index"]] = [event["content_block"], ""]
        elif event["type"] == "content_block_delta":
            delta = event["delta"]
            blocks[event["index"]][1] += (
                delta.get("text") or delta.get("thinking") or delta.get("partial_json") or ""
            )
    assert [(block["type"], block.get("name"), said) for block, said in blocks.values()] == [
        ("thinking", None, "hm"), ("text", None, "let me"), ("tool_use", "weather", '{"city":"Paris"}'),
        ("tool_use", "weather", '{"city":"Rome"}'),
    ]  # fmt: skip


async def test_a_stream_with_tools_becomes_a_responses_stream(translator: Translator) -> None:
    made, error = await events(translator, "responses", Chat(*TOOL_STREAM), tools=_FUNCTIONS)
    assert error is None
    assert [event["sequence_number"] for event in made] == list(range(len(made)))
    assert [made[0]["type"], made[-1]["type"]] == ["response.created", "response.completed"]
    assert {event["response"]["id"] for event in made if "response" in event} == {"resp_id1"}
    response = Response.model_validate(made[-1]["response"])
    assert response.output_text == "let me"
    assert [item.type for item in response.output] == [
        "reasoning",
        "message",
        "function_call",
        "function_call",
    ]
    said = {
        kind: "".join(e["delta"] for e in made if e["type"] == f"response.{kind}.delta")
        for kind in ("output_text", "function_call_arguments", "reasoning_summary_text")
    }
    assert said == {
        "output_text": "let me", "function_call_arguments": '{"city":"Paris"}{"city":"Rome"}',
        "reasoning_summary_text": "hm",
    }  # fmt: skip
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (30, 20)


async def test_a_custom_tools_stream(translator: Translator) -> None:
    stream = Chat(chunk({"tool_calls": [{"index": 0, **call_of("c1", "patch", '{"content":"raw"}')}]}),
                  chunk({}, "tool_calls"), USAGE)  # fmt: skip
    made, error = await events(translator, "responses", stream, tools=[{"type": "custom", "name": "patch"}])
    assert error is None
    (item,) = Response.model_validate(made[-1]["response"]).output
    assert (item.type, getattr(item, "input", None)) == ("custom_tool_call", "raw")


async def test_a_stream_that_was_cut_by_length_says_so(translator: Translator) -> None:
    cut = [chunk({"content": "hel"}), chunk({}, "length"), USAGE]
    made, _ = await events(translator, "messages", Chat(*cut))
    assert made[-2]["delta"]["stop_reason"] == "max_tokens"
    made, _ = await events(translator, "responses", Chat(*cut))
    assert made[-1]["type"] == "response.incomplete"
    assert made[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


async def test_a_whole_answer_in_one_chunk_is_not_lost(translator: Translator) -> None:
    one = chunk({"role": "assistant", "content": "hello"}, "stop", usage=USAGE["usage"])
    made, _ = await events(translator, "messages", Chat(one))
    assert [e["delta"]["text"] for e in made if e["type"] == "content_block_delta"] == ["hello"]
    assert made[-2]["usage"]["output_tokens"] == 20
    made, _ = await events(translator, "responses", Chat(one))
    assert Response.model_validate(made[-1]["response"]).output_text == "hello"


async def test_no_usage_is_made_up(translator: Translator) -> None:
    untold = [chunk({"content": "hello"}), chunk({}, "stop")]
    made, _ = await events(translator, "responses", Chat(*untold))
    assert made[-1]["response"]["usage"] is None
    made, _ = await events(translator, "messages", Chat(*untold))
    assert made[-2]["usage"]["output_tokens"] == 0


@pytest.mark.parametrize("kind", ["messages", "responses"])
async def test_an_upstream_that_refuses_is_heard_before_anything_is_said(
    translator: Translator, kind: Kind
) -> None:
    refusal = UpstreamError("rate_limited", 429, "later")
    assert await events(translator, kind, Chat(refusal)) == ([], refusal)
    made, error = await events(translator, kind, Chat())
    assert made == []
    assert isinstance(error, UpstreamError)


@pytest.mark.parametrize("kind", ["messages", "responses"])
async def test_a_stream_that_breaks_is_not_ended_as_if_it_were_whole(
    translator: Translator, kind: Kind
) -> None:
    broken = UpstreamError("broken", 502, "broke off")
    for stream in (
        Chat(chunk({"content": "hel"}), broken),
        Chat(chunk({"content": "hel"})),
        Chat(chunk({"content": "hel"}), {"choices": [{"delta": 3}]}),
        Chat(chunk({"content": "hel"}), {"choices": "x"}),
    ):
        made, error = await events(translator, kind, stream)
        assert isinstance(error, UpstreamError)
        assert error.fault == "broken"
        assert made
        assert not {"message_stop", "response.completed", "response.incomplete"} & {e["type"] for e in made}


@pytest.mark.parametrize("kind", ["messages", "responses"])
@pytest.mark.parametrize("after", [1, 3])
async def test_a_caller_who_leaves_ends_the_chat(translator: Translator, kind: Kind, after: int) -> None:
    call, translated = ask(translator, kind, stream=True)
    stream = Chat(*TOOL_STREAM)
    made = translator.events(call, translated, stream.stream())
    for _ in range(after):
        await anext(made)
    await made.aclose()
    assert stream.closed
    assert stream.given < len(TOOL_STREAM)


_FUNCTION = st.fixed_dictionaries({}, optional={"name": _JSON, "arguments": _JSON})
_CALL = st.fixed_dictionaries(
    {}, optional={"index": st.integers(0, 2), "id": _JSON, "type": _JSON, "function": _FUNCTION | _JSON}
)
_DELTA = st.fixed_dictionaries(
    {},
    optional={
        "content": _JSON, "role": _JSON, "reasoning_content": _JSON,
        "tool_calls": st.lists(_CALL, max_size=2) | _JSON,
    },
)  # fmt: skip


@pytest.mark.parametrize("kind", ["messages", "responses"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deltas=st.lists(_DELTA | _JSON, max_size=4))
async def test_any_stream_is_translated_or_broken(
    translator: Translator, kind: Kind, deltas: list[Any]
) -> None:
    call, translated = ask(translator, kind, stream=True)
    stream = Chat(
        *({"choices": [{"index": 0, "delta": delta}]} for delta in deltas), chunk({}, "stop"), USAGE
    )
    try:
        async for event in translator.events(call, translated, stream.stream()):
            json.dumps(event)
    except UpstreamError as error:
        fault = error.fault
    else:
        fault = "broken"
    assert fault == "broken"
    assert stream.closed


async def test_translating_dials_nothing(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("the library opened a socket")

    for name in ("connect", "connect_ex", "sendto", "bind"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for kind in ("messages", "responses"):
        call, translated = ask(translator, kind)
        translator.answer(call, translated, whole(content="hello"))
        _, error = await events(translator, kind, Chat(*TOOL_STREAM))
        assert error is None
