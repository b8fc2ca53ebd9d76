"""What a caller sees of an answer, whatever an upstream puts into it (I4: nothing of it may bring a worker down)."""

import asyncio
import copy
import json
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeiq_appliance.api.http import json_bytes
from routeiq_appliance.pipeline.dialects import DIALECTS
from routeiq_appliance.pipeline.relay import relay_body, relay_events
from routeiq_appliance.pipeline.types import Call, Tally

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_PART = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("content", "text", "reasoning_content", "tool_calls", "role"), _JSON)
)
_CHOICE = st.fixed_dictionaries(
    {}, optional={"delta": _PART | _JSON, "message": _PART | _JSON, "text": _JSON, "finish_reason": _JSON}
)
_USAGE = st.fixed_dictionaries({}, optional={"prompt_tokens": _JSON, "completion_tokens": _JSON})
_BODIES = st.fixed_dictionaries(
    {}, optional={"choices": st.lists(_CHOICE | _JSON, max_size=3) | _JSON, "usage": _USAGE | _JSON, "model": _JSON}
)  # fmt: skip


def _call(*, include_usage: bool = False) -> Call:
    return Call("c", "chat", "g", {}, {}, True, include_usage, "", 30, datetime(2026, 1, 1, tzinfo=UTC))


def _relay(events: list[Any], *, include_usage: bool = False) -> tuple[list[dict[str, Any]], Tally]:
    tally = Tally()

    async def upstream() -> AsyncGenerator[dict[str, Any], None]:
        for event in events:
            yield event

    async def collect() -> list[dict[str, Any]]:
        return [e async for e in relay_events(upstream(), _call(include_usage=include_usage), "group", tally)]

    return asyncio.run(collect()), tally


def _delta(content: str, **more: Any) -> dict[str, Any]:
    return {"model": "tiny", "choices": [{"index": 0, "delta": {"content": content}}], **more}


@given(body=_BODIES)
def test_a_body_of_any_shape_is_relayed(body: dict[str, Any]) -> None:
    expected = copy.deepcopy(body) | {"model": "group"}
    tally = Tally()
    DIALECTS["chat"].note_usage(body, tally)
    assert relay_body(body, _call(), "group", tally) == expected
    assert 0 <= tally.prompt_tokens <= 1_000_000_000
    assert 0 <= tally.completion_tokens <= 1_000_000_000


@given(events=st.lists(_BODIES, max_size=4), include_usage=st.booleans())
def test_events_of_any_shape_are_relayed(events: list[dict[str, Any]], include_usage: bool) -> None:
    relayed, _ = _relay(copy.deepcopy(events), include_usage=include_usage)
    assert all(event["model"] == "group" for event in relayed)
    if include_usage:
        assert relayed == [event | {"model": "group"} for event in events]
    else:
        assert not any("usage" in event for event in relayed)
        assert len(relayed) >= sum(event.get("usage") is None for event in events)


def test_only_the_chunk_that_we_caused_is_hidden() -> None:  # G2: the caller sees the upstream's answer
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    events = [
        {"choices": [{"delta": {"role": "assistant", "content": ""}}], "usage": None},
        _delta("one", usage=usage),  # vLLM's continuous usage
        {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": usage},  # llama.cpp's last chunk
        {"choices": [], "usage": usage},
    ]
    hidden, _ = _relay(copy.deepcopy(events))
    assert hidden == [
        {k: v for k, v in event.items() if k != "usage"} | {"model": "group"} for event in events[:3]
    ]
    shown, _ = _relay(copy.deepcopy(events), include_usage=True)
    assert shown == [event | {"model": "group"} for event in events]


def test_text_is_measured_in_bytes_wherever_it_stands() -> None:
    arguments = {"function": {"name": "f", "arguments": "12345"}}
    events = [
        _delta("héé"),
        {"choices": [{"text": "ab"}]},
        {"choices": [{"delta": {"reasoning_content": "why"}}, {"delta": {"tool_calls": [arguments, 7, {}]}}]},
    ]
    assert _relay(events)[1].text_bytes == 5 + 2 + 3 + 5


@pytest.mark.parametrize(
    "usage",
    [
        None,
        7,
        [],
        {},
        {"prompt_tokens": -1},
        {"prompt_tokens": True},
        {"prompt_tokens": 1.5},
        {"prompt_tokens": 10**30},
    ],
)
def test_usage_that_is_none_is_not_counted(usage: Any) -> None:
    tally = Tally()
    DIALECTS["chat"].note_usage({"usage": usage}, tally)
    assert (tally.counted, tally.prompt_tokens, tally.completion_tokens) == (False, 0, 0)


@pytest.mark.parametrize("completion", [None, -1, "2", 10**30, True])
def test_a_completion_count_that_is_none_is_zero(completion: Any) -> None:
    tally = Tally()
    DIALECTS["chat"].note_usage({"usage": {"prompt_tokens": 4, "completion_tokens": completion}}, tally)
    assert (tally.counted, tally.prompt_tokens, tally.completion_tokens) == (True, 4, 0)


@given(value=st.recursive(_JSON | st.floats(), lambda inner: st.lists(inner, max_size=3), max_leaves=5))
def test_what_is_written_is_strict_json(value: Any) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(json_bytes(value), parse_constant=refuse)


def test_a_lone_surrogate_is_replaced() -> None:
    assert json.loads(json_bytes({"\ud800": ["a\udc00", 1e999]})) == {"?": ["a?", None]}
