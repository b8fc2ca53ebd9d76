"""What is read from answers and events of every dialect, whatever an upstream puts into them (I4, J6)."""

import copy
from typing import Any, get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from routeiq_appliance.pipeline.dialects import DIALECTS
from routeiq_appliance.pipeline.types import Kind, Tally

_KINDS: tuple[Kind, ...] = get_args(Kind)
_DIFFERENT = sorted({id(DIALECTS[kind]): kind for kind in _KINDS}.values())
"""A kind for each dialect."""
_MOST = 1_000_000_000
_WORDS = st.sampled_from([
    "error", "message", "message_stop", "message_start", "message_delta", "response", "response.completed",
    "response.failed", "text_delta", "content_block_delta", "stop", "length", "text", "",
])  # fmt: skip
_NUMBERS = st.integers(-5, 50) | st.sampled_from([-1, 0, _MOST, _MOST + 1, 2**63, 10**30]) | st.booleans()
_LEAVES = st.none() | _NUMBERS | st.floats(allow_nan=False) | _WORDS | st.text(max_size=5)
_NAMES = st.sampled_from([
    "arguments", "choices", "content", "data", "delta", "error", "finish_reason", "function", "id", "message", "meta",
    "model", "object", "output", "partial_json", "reasoning_content", "response", "results", "summary", "text",
    "thinking", "tokens", "tool_calls", "type", "usage",
    "prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens",
    "cache_creation_input_tokens", "cache_read_input_tokens",
])  # fmt: skip
_JSON = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(_NAMES | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)
_BODIES = st.dictionaries(_NAMES, _JSON, max_size=6)


@pytest.mark.parametrize("kind", _KINDS)
def test_every_kind_has_a_dialect(kind: Kind) -> None:
    assert kind in DIALECTS


@pytest.mark.parametrize("kind", _DIFFERENT)
@settings(max_examples=60)
@given(events=st.lists(_BODIES, max_size=4))
@example(events=[{"type": []}])
@example(events=[{"content": [{"input": {"a": "\ud800"}}]}])
def test_no_body_or_event_raises_or_counts_what_is_no_count(kind: Kind, events: list[dict[str, Any]]) -> None:
    dialect, tally = DIALECTS[kind], Tally()
    for event in events:
        before = copy.deepcopy(event)
        dialect.note_usage(event, tally)
        dialect.note_text(event, tally)
        assert dialect.finishes(event) in (True, False)
        assert dialect.fails(event) in (True, False)
        assert dialect.says_something(event) in (True, False)
        assert event == before
        for count in (tally.prompt_tokens, tally.completion_tokens):
            assert type(count) is int
            assert 0 <= count <= _MOST
        assert tally.text_bytes >= 0


@given(st.sampled_from(_KINDS), _BODIES)
def test_renaming_changes_the_models_name_and_nothing_else(kind: Kind, body: dict[str, Any]) -> None:
    before = copy.deepcopy(body)
    DIALECTS[kind].rename(body, "the-group")
    for held in ("message", "response"):
        if isinstance(body.get(held), dict):
            inner = {**before[held]} if isinstance(before.get(held), dict) else {}
            assert {**body[held], "model": None} == {**inner, "model": None}
    untouched = {name: value for name, value in body.items() if name not in {"message", "model", "response"}}
    assert untouched == {n: v for n, v in before.items() if n not in {"message", "model", "response"}}


@pytest.mark.parametrize(
    ("kind", "events", "counts"),
    [
        ("chat", [{"usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}}], (7, 2)),
        ("text", [{"usage": {"prompt_tokens": 7, "completion_tokens": 0}}], (7, 0)),
        ("embedding", [{"usage": {"prompt_tokens": 7, "total_tokens": 7}}], (7, 0)),
        ("responses", [{"usage": {"input_tokens": 7, "output_tokens": 2}}], (7, 2)),
        ("responses", [{"type": "response.completed", "response": {"usage": {"input_tokens": 7, "output_tokens": 2}}}],
         (7, 2)),
        # What was read from or written to a prompt cache is input.
        ("messages", [{"usage": {"input_tokens": 3, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 2,
                                 "output_tokens": 2}}], (7, 2)),
        # Anthropic: the input first, the output last.
        ("messages", [{"type": "message_start", "message": {"usage": {"input_tokens": 7, "output_tokens": 1}}},
                      {"type": "message_delta", "usage": {"output_tokens": 2}}], (7, 2)),
        # Others: zeros first, all of it last.
        ("messages", [{"type": "message_start", "message": {"usage": {"input_tokens": 0, "output_tokens": 0}}},
                      {"type": "message_delta", "usage": {"input_tokens": 7, "output_tokens": 2}}], (7, 2)),
        # Others again: all of it first, and zeros for the input last.
        ("messages", [{"type": "message_start", "message": {"usage": {"input_tokens": 7, "output_tokens": 0}}},
                      {"type": "message_delta", "usage": {"input_tokens": 0, "output_tokens": 2}}], (7, 2)),
        ("rerank", [{"usage": {"total_tokens": 7}}], (7, 0)),  # Jina
        ("rerank", [{"meta": {"tokens": {"input_tokens": 7, "output_tokens": 0}}}], (7, 0)),  # Cohere
        ("image", [{"usage": {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9}}], (7, 2)),
        ("transcription", [{"usage": {"type": "tokens", "input_tokens": 7, "output_tokens": 2}}], (7, 2)),
    ],
)  # fmt: skip
def test_usage_is_read_where_each_dialect_tells_it(  # K9
    kind: Kind, events: list[dict[str, Any]], counts: tuple[int, int]
) -> None:
    tally = Tally()
    for event in events:
        DIALECTS[kind].note_usage(event, tally)
    assert (tally.prompt_tokens, tally.completion_tokens) == counts
    assert tally.counted


@pytest.mark.parametrize("kind", ["moderation", "image", "speech", "transcription", "rerank"])
def test_an_answer_without_usage_is_not_counted(kind: Kind) -> None:
    tally = Tally()
    DIALECTS[kind].note_usage({"data": [], "results": [], "usage": {"type": "duration", "seconds": 9}}, tally)
    assert not tally.counted


def test_counting_tokens_uses_none() -> None:
    # The number is the answer, not what was used: nothing of it is estimated or paid.
    tally = Tally()
    DIALECTS["count_tokens"].note_usage({"input_tokens": 4000}, tally)
    assert (tally.prompt_tokens, tally.completion_tokens, tally.counted) == (0, 0, True)


@pytest.mark.parametrize(
    ("kind", "body", "size"),
    [
        ("chat", {"choices": [{"message": {"content": "häl", "reasoning_content": "so"}}]}, 6),
        ("chat", {"choices": [{"delta": {"tool_calls": [{"function": {"arguments": '{"ü": 1}'}}]}}]}, 9),
        ("text", {"choices": [{"text": "abc"}, {"text": "d"}]}, 4),
        ("messages", {"content": [{"type": "text", "text": "ab"}, {"type": "thinking", "thinking": "c"}]}, 3),
        ("messages", {"content": [{"type": "tool_use", "name": "f", "input": {"a": "bc"}}]}, 11),
        ("messages", {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "ab"}}, 2),
        ("messages", {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": "{}"}}, 2),
        ("responses", {"output": [{"content": [{"type": "output_text", "text": "abc"}]}]}, 3),
        ("responses", {"output": [{"type": "function_call", "arguments": "{}"}]}, 2),
        ("responses", {"type": "response.output_text.delta", "delta": "abc"}, 3),
        ("responses", {"type": "response.function_call_arguments.delta", "delta": "{}"}, 2),
    ],
)  # fmt: skip
def test_text_is_measured_in_bytes(kind: Kind, body: dict[str, Any], size: int) -> None:
    tally = Tally()
    DIALECTS[kind].note_text(body, tally)
    assert tally.text_bytes == size


@pytest.mark.parametrize(
    ("kind", "body", "where"),
    [
        ("chat", {"model": "up"}, ()),
        ("messages", {"type": "message", "model": "up"}, ()),
        ("messages", {"type": "message_start", "message": {"model": "up"}}, ("message",)),
        ("responses", {"object": "response", "model": "up"}, ()),
        ("responses", {"type": "response.created", "response": {"model": "up"}}, ("response",)),
        ("rerank", {"model": "up", "results": []}, ()),
    ],
)
def test_the_group_answers_under_its_own_name(
    kind: Kind, body: dict[str, Any], where: tuple[str, ...]
) -> None:
    DIALECTS[kind].rename(body, "the-group")
    for name in where:
        body = body[name]
    assert body["model"] == "the-group"


@pytest.mark.parametrize(
    ("kind", "event"),
    [
        ("messages", {"type": "content_block_delta", "delta": {"text": "a"}}),
        ("messages", {"type": "ping"}),
        ("responses", {"type": "response.output_text.delta", "delta": "a"}),
        ("speech", {"data": b"", "content_type": "audio/mpeg"}),
        ("count_tokens", {"input_tokens": 3}),
    ],
)
def test_what_names_no_model_gets_no_name(kind: Kind, event: dict[str, Any]) -> None:
    DIALECTS[kind].rename(event, "the-group")
    assert "model" not in event


@pytest.mark.parametrize(
    ("kind", "event", "ends"),
    [
        ("chat", {"choices": [{"finish_reason": "stop"}]}, True),
        ("chat", {"choices": [{"finish_reason": None}]}, False),
        ("messages", {"type": "message_stop"}, True),
        ("messages", {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, False),
        ("responses", {"type": "response.completed"}, True),
        ("responses", {"type": "response.incomplete"}, True),
        ("responses", {"type": "response.failed"}, True),
        ("responses", {"type": "response.output_text.done"}, False),
    ],
)
def test_a_stream_may_end_only_where_its_dialect_does(kind: Kind, event: dict[str, Any], ends: bool) -> None:
    assert DIALECTS[kind].finishes(event) is ends


@pytest.mark.parametrize(
    ("kind", "body", "fails"),
    [
        ("chat", {"error": {"message": "x"}}, True),
        ("chat", {"error": None, "choices": [{}]}, False),
        ("messages", {"type": "error", "error": {"type": "overloaded_error"}}, True),
        ("messages", {"type": "message", "content": []}, False),
        ("responses", {"type": "error", "message": "x"}, True),
        ("responses", {"object": "response", "error": None, "output": []}, False),
        # A response that failed at the model is an answer: the dialect has a place for it.
        ("responses", {"type": "response.failed", "response": {"error": {"code": "server_error"}}}, False),
        ("rerank", {"error": "no"}, True),
        ("rerank", {"error": None, "results": []}, False),
    ],
)  # fmt: skip
def test_an_error_is_told_from_an_answer(kind: Kind, body: dict[str, Any], fails: bool) -> None:
    assert DIALECTS[kind].fails(body) is fails
