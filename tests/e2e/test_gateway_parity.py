"""`direct` and `litellm` answer alike; each difference that docs/upstreams.md lists is asserted here.

The same requests go to one real LLM through both. What it cannot do (it calls no tools) and what only an upstream sees
(the request) is asked of the upstream for tests.
"""

import contextlib
import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.fleet import Answer, Fleet, Upstream, running_fleet, running_upstream

from routeiq_appliance.cli.demo.prepare import Prepared
from routeiq_appliance.cli.demo.stack import LLM_NAME, free_port, run_llm

pytestmark = pytest.mark.e2e

DOCUMENT = Path(__file__).parents[2] / "docs" / "upstreams.md"
Pair = tuple[Answer, Answer]
Ask = Callable[..., Pair]
TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
}

CHATS: dict[str, dict[str, Any]] = {
    "plain": {},
    "length": {"max_tokens": 3},
    "stop": {"stop": ["toile", "Paris"]},
    "max_completion_tokens": {"max_completion_tokens": 5},
    "logprobs": {"logprobs": True, "top_logprobs": 2, "max_tokens": 4},
    "json_object": {"response_format": {"type": "json_object"}, "max_tokens": 30},
    "json_schema": {
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": "capital",
                "schema": {
                    "type": "object",
                    "properties": {"capital": {"type": "string", "maxLength": 8}},
                    "required": ["capital"],
                },
            },
        },
        "max_tokens": 40,
    },
    "extra": {"top_k": 1},
    "tool_result": {
        "messages": [
            {"role": "user", "content": "What is the weather in Paris?"},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        ],
        "tools": [TOOL],
    },
}  # fmt: skip
TEXTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "stop": {"stop": "."},
    "two_prompts": {"prompt": ["The capital of France is", "One two three"], "max_tokens": 4},
}


def groups(api_base: str, models: Mapping[str, str], **more: str) -> dict[str, Any]:
    """A configuration in which each model is two groups, `direct-NAME` and `litellm-NAME`."""
    return {
        "model_list": [
            {
                "model_name": f"{upstream}-{name}",
                "litellm_params": {"model": f"openai/{model}", "api_base": api_base, **more},
                "model_info": {"upstream": upstream},
            }
            for name, model in models.items()
            for upstream in ("direct", "litellm")
        ],
        "router_settings": {"num_retries": 0},
        "routeiq": {"egress": "sealed", "canaries": []},
    }


@pytest.fixture(scope="module")
def ask(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Post one body through both, to the real LLM."""
    folder = tmp_path_factory.mktemp("parity")
    key, port = secrets.token_hex(16), free_port()
    with contextlib.ExitStack() as stack:
        stack.enter_context(
            run_llm(prepared.llm_python, prepared.gguf, inside=None, port=port, api_key=key, scratch=folder)
        )
        config = groups(f"http://127.0.0.1:{port}/v1", {"llm": LLM_NAME}, api_key="os.environ/LLM_API_KEY")
        fleet = stack.enter_context(
            running_fleet(config, folder / "gateway", workers=1, environ={"LLM_API_KEY": key})
        )

        def post(path: str, **body: Any) -> Pair:
            # Once before: with a warm cache the model computes the same, and so says the same, each time.
            return posted(fleet, "llm", path, body, before=1)

        yield post
        assert fleet.terminate() == 0


@pytest.fixture(scope="module")
def upstream() -> Iterator[tuple[Upstream, str]]:
    with running_upstream() as served:
        yield served


@pytest.fixture(scope="module")
def fleet(upstream: tuple[Upstream, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    config = groups(upstream[1], {"plain": "plain", "tools": "tools"}, api_key="sk-up")
    with running_fleet(config, tmp_path_factory.mktemp("fake"), workers=1, environ={}) as fleet:
        yield fleet
        assert fleet.terminate() == 0


def posted(fleet: Fleet, name: str, path: str, body: dict[str, Any], *, before: int = 0) -> Pair:
    with contextlib.closing(fleet.line()) as line:
        for _ in range(before):
            line.post(path, {**body, "model": f"direct-{name}"})
        return (
            line.post(path, {**body, "model": f"direct-{name}"}),
            line.post(path, {**body, "model": f"litellm-{name}"}),
        )


def chat(ask: Ask, **more: Any) -> Pair:
    message = [{"role": "user", "content": "What is the capital of France?"}]
    return ask(
        "/v1/chat/completions", **{"messages": message, "temperature": 0, "seed": 1, "max_tokens": 24, **more}
    )


def text(ask: Ask, **more: Any) -> Pair:
    body = {"prompt": "The capital of France is", "temperature": 0, "seed": 1, "max_tokens": 8, **more}
    return ask("/v1/completions", **body)


def events(answer: Answer) -> list[dict[str, Any]]:
    """The events of a stream that ended as it should."""
    assert answer.status == 200, answer.body
    *frames, end = [line[6:] for line in answer.body.decode().splitlines() if line.startswith("data: ")]
    assert end == "[DONE]"
    return [json.loads(frame) for frame in frames]


def usage_of(body: dict[str, Any]) -> dict[str, int]:
    return {name: body["usage"][name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")}


def told(body: dict[str, Any]) -> dict[str, Any]:
    """What an answer says: by choice the text, tool calls and why it ended; and the usage."""
    return {
        "choices": [
            (
                choice["index"],
                choice["message"]["content"] if "message" in choice else choice["text"],
                [
                    (call["id"], call["type"], call["function"])
                    for call in (choice.get("message") or {}).get("tool_calls") or []
                ],
                choice["finish_reason"],
            )
            for choice in body["choices"]
        ],
        "usage": usage_of(body),
    }


def assembled(answer: Answer) -> dict[str, Any]:
    """What a stream says, in the form of `told`."""
    found: dict[int, list[Any]] = {}
    usage = None
    for event in events(answer):
        for choice in event["choices"]:
            said = found.setdefault(choice["index"], ["", {}, None])
            delta = choice.get("delta", {})
            said[0] += delta.get("content") or choice.get("text") or ""
            for call in delta.get("tool_calls") or []:
                whole = said[1].setdefault(call["index"], {"id": "", "type": "", "name": "", "arguments": ""})
                whole["id"] = call.get("id") or whole["id"]
                whole["type"] = call.get("type") or whole["type"]
                whole["name"] += call["function"].get("name") or ""
                whole["arguments"] += call["function"].get("arguments") or ""
            said[2] = choice["finish_reason"] or said[2]
        if event.get("usage"):
            # llama.cpp tells the usage of a text with its finish reason.
            assert event["choices"] == [] or event["object"] == "text_completion"
            usage = usage_of(event)
    choices = [
        (
            index,
            said or None if calls else said,
            [(c["id"], c["type"], {"name": c["name"], "arguments": c["arguments"]}) for c in calls.values()],
            reason,
        )
        for index, (said, calls, reason) in sorted(found.items())
    ]
    return {"choices": choices, "usage": usage}


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Every value that is no container, by its path."""
    if isinstance(value, dict) and value:
        return {k: v for name, item in value.items() for k, v in leaves(item, f"{path}.{name}").items()}
    if isinstance(value, list) and value:
        return {
            k: v for number, item in enumerate(value) for k, v in leaves(item, f"{path}[{number}]").items()
        }
    return {path: value}


@pytest.mark.parametrize("case", CHATS)
def test_chats_agree(ask: Ask, case: str) -> None:
    direct, litellm = chat(ask, **CHATS[case])
    assert (direct.status, litellm.status) == (200, 200)
    assert told(direct.json) == told(litellm.json)
    assert direct.json["model"] == "direct-llm"
    assert litellm.json["model"] == "litellm-llm"
    streamed = chat(ask, stream=True, stream_options={"include_usage": True}, **CHATS[case])
    assert [assembled(answer) for answer in streamed] == [told(direct.json)] * 2
    # Nobody asked for usage: nobody is told.
    assert all(
        "usage" not in event for answer in chat(ask, stream=True, **CHATS[case]) for event in events(answer)
    )


@pytest.mark.parametrize("case", TEXTS)
def test_text_completions_agree(ask: Ask, case: str) -> None:
    direct, litellm = text(ask, **TEXTS[case])
    assert (direct.status, litellm.status) == (200, 200)
    assert told(direct.json) == told(litellm.json)
    if case == "two_prompts":
        return  # streamed they differ, see below
    streamed = text(ask, stream=True, stream_options={"include_usage": True}, **TEXTS[case])
    whole = told(direct.json)
    assert [assembled(answer) for answer in streamed] == [whole] * 2
    for answer in streamed:
        assert all(
            {"text", "finish_reason", "index"} <= c.keys() for e in events(answer) for c in e["choices"]
        )


def test_stop_ends_the_answer_before_the_word(ask: Ask) -> None:
    for answer in text(ask, stop="."):
        (choice,) = answer.json["choices"]
        assert choice["finish_reason"] == "stop"
        assert "." not in choice["text"]


def test_log_probabilities_agree(ask: Ask) -> None:
    answers = chat(ask, logprobs=True, top_logprobs=2, max_tokens=4)
    direct, litellm = ([e["token"] for e in a.json["choices"][0]["logprobs"]["content"]] for a in answers)
    assert direct == litellm
    assert direct
    for answer in chat(ask, logprobs=True, top_logprobs=2, max_tokens=4, stream=True):
        streamed = [
            entry["token"]
            for event in events(answer)
            for choice in event["choices"]
            for entry in (choice.get("logprobs") or {}).get("content") or []
        ]
        assert streamed == direct


@pytest.mark.parametrize("stream", [False, True])
def test_a_context_that_is_too_long_is_refused_in_the_same_words(ask: Ask, stream: bool) -> None:
    messages = [{"role": "user", "content": "word " * 6000}]
    direct, litellm = chat(ask, messages=messages, stream=stream)
    assert (direct.status, litellm.status) == (400, 400)
    errors = [answer.json["error"] for answer in (direct, litellm)]
    assert errors[0]["code"] == "context_length_exceeded"
    assert [{**error, "request_id": None} for error in errors] == [{**errors[0], "request_id": None}] * 2


@pytest.mark.parametrize("stream", [False, True])
def test_a_schema_that_the_upstream_refuses_is_refused_in_the_same_words(ask: Ask, stream: bool) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "c", "schema": {"type": "nonsense"}}}
    direct, litellm = chat(ask, response_format=schema, stream=stream)
    assert (direct.status, litellm.status) == (400, 400)
    errors = [answer.json["error"] for answer in (direct, litellm)]
    assert [{**error, "request_id": None} for error in errors] == [{**errors[0], "request_id": None}] * 2


def test_an_upstream_without_embeddings_is_a_fault_of_the_gateways_side(ask: Ask) -> None:
    direct, litellm = ask("/v1/embeddings", input="hello")
    assert (direct.status, litellm.status) == (502, 502)
    assert direct.json["error"]["code"] == litellm.json["error"]["code"]


@pytest.mark.parametrize("stream", [False, True])
def test_tool_calls_agree(fleet: Fleet, stream: bool) -> None:
    body = {
        "messages": [{"role": "user", "content": "weather?"}], "tools": [TOOL], "stream": stream,
        **({"stream_options": {"include_usage": True}} if stream else {}),
    }  # fmt: skip
    answers = posted(fleet, "tools", "/v1/chat/completions", body)
    direct, litellm = [assembled(answer) if stream else told(answer.json) for answer in answers]
    assert direct == litellm
    (choice,) = direct["choices"]
    assert choice == (
        0,
        None,
        [
            ("call_1", "function", {"name": "weather", "arguments": '{"city": "Paris"}'}),
            ("call_2", "function", {"name": "weather", "arguments": '{"city": "Zürich"}'}),
        ],
        "tool_calls",
    )
    assert direct["usage"] == {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}


FULL: dict[str, Any] = {
    "temperature": 0.5, "seed": 1, "top_k": 3, "stop": ["a"], "logit_bias": {"5": 1}, "max_completion_tokens": 5,
    "parallel_tool_calls": False, "tools": [TOOL], "tool_choice": "required", "n": 2, "logprobs": True,
    "response_format": {"type": "json_object"}, "top_logprobs": 1, "frequency_penalty": 0.1, "top_p": 0.5,
    "presence_penalty": 0.1, "reasoning_effort": "low", "metadata": {"tags": ["a"]}, "store": False,
}  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
def test_the_upstream_is_asked_the_same(fleet: Fleet, upstream: tuple[Upstream, str], stream: bool) -> None:
    body = {"messages": [{"role": "user", "content": "hello"}], **FULL, "stream": stream}
    assert [answer.status for answer in posted(fleet, "plain", "/v1/chat/completions", body)] == [200, 200]
    (path, _, direct), (other_path, _, litellm) = upstream[0].requests[-2:]
    assert path == other_path == "/v1/chat/completions"
    assert direct == litellm
    assert direct["top_k"] == 3
    assert not {"metadata", "store"} & direct.keys()  # the gateway's, not the upstream's


# What differs: one test for each row of the table in docs/upstreams.md, which names it.


def test_only_direct_sends_user(fleet: Fleet, upstream: tuple[Upstream, str]) -> None:
    body = {"messages": [{"role": "user", "content": "hello"}], "user": "someone"}
    posted(fleet, "plain", "/v1/chat/completions", body)
    (_, _, direct), (_, _, litellm) = upstream[0].requests[-2:]
    assert direct.pop("user") == "someone"
    assert direct == litellm


def test_litellm_tells_the_upstream_of_its_client(fleet: Fleet, upstream: tuple[Upstream, str]) -> None:
    posted(fleet, "plain", "/v1/chat/completions", {"messages": [{"role": "user", "content": "hello"}]})
    (_, direct, _), (_, litellm, _) = upstream[0].requests[-2:]
    assert "user-agent" not in direct
    assert not [name for name in direct if name.startswith("x-stainless-")]
    assert litellm["user-agent"].startswith("AsyncOpenAI/")
    assert [name for name in litellm if name.startswith("x-stainless-")]


@pytest.mark.parametrize("path", ["chat", "text"])
def test_litellm_adds_fields_without_content(ask: Ask, path: str) -> None:
    answers = chat(ask) if path == "chat" else text(ask)
    direct, litellm = (leaves(answer.json) for answer in answers)
    added = litellm.keys() - direct.keys()
    assert added
    assert {str(litellm[name]) for name in added} <= {"None", "{}", "[]"}
    # Nothing is taken away.
    assert not direct.keys() - litellm.keys()


def test_litellm_leaves_out_an_empty_content_of_the_first_event(ask: Ask) -> None:
    direct, litellm = (events(answer)[0]["choices"][0]["delta"] for answer in chat(ask, stream=True))
    assert direct == {"role": "assistant", "content": None}
    assert litellm == {"role": "assistant"}


def test_litellm_makes_up_usage_details_of_a_stream(ask: Ask) -> None:
    streamed = chat(ask, stream=True, stream_options={"include_usage": True})
    direct, litellm = (events(answer)[-1]["usage"] for answer in streamed)
    assert "completion_tokens_details" not in direct
    assert litellm["completion_tokens_details"]["reasoning_tokens"] == 0


def test_litellm_drops_an_upstreams_own_fields_of_a_stream(ask: Ask) -> None:
    direct, litellm = ("".join(json.dumps(e) for e in events(a)) for a in text(ask, stream=True))
    assert '"timings"' in direct
    assert '"timings"' not in litellm


def test_litellm_drops_log_probabilities_of_streamed_text(ask: Ask) -> None:
    direct, litellm = (events(answer) for answer in text(ask, stream=True, logprobs=2))
    assert any(choice["logprobs"] for event in direct for choice in event["choices"])
    assert not any(choice["logprobs"] for event in litellm for choice in event["choices"])


def test_litellm_ends_only_one_of_several_streamed_choices(ask: Ask) -> None:
    direct, litellm = (assembled(answer)["choices"] for answer in chat(ask, stream=True, n=2, max_tokens=4))
    assert [choice[3] for choice in direct] == ["length", "length"]
    assert sum(choice[3] is not None for choice in litellm) == 1
    # The text is all there.
    assert [choice[1] for choice in direct] == [choice[1] for choice in litellm]


def test_litellm_mixes_several_streamed_prompts_into_one(ask: Ask) -> None:
    prompts = ["The capital of France is", "One two three"]
    direct, litellm = (assembled(answer)["choices"] for answer in text(ask, stream=True, prompt=prompts))
    assert [choice[0] for choice in direct] == [0, 1]
    assert [choice[0] for choice in litellm] == [0]


def test_every_difference_in_the_document_is_asserted_here() -> None:
    named = set(re.findall(r"`(test_\w+)`", DOCUMENT.read_text(encoding="utf-8")))
    here = Path(__file__).read_text(encoding="utf-8").partition("# What differs")[2]
    assert named == set(re.findall(r"^def (test_\w+)", here, re.MULTILINE)) - {
        "test_every_difference_in_the_document_is_asserted_here"
    }
