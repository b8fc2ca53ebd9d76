"""Which answers are whole: half ones, errors and aborted ones are never kept."""

from typing import Any

import pytest

from routeiq_appliance.cache.rules import KINDS, finished_choices, is_whole_stream


def _choice(reason: Any, index: int = 0) -> dict[str, Any]:
    return {"index": index, "finish_reason": reason, "message": {"content": "x"}}


@pytest.mark.parametrize(
    ("body", "whole"),
    [
        ({"choices": [_choice("stop")]}, True),
        ({"choices": [_choice("length")]}, True),
        ({"choices": [_choice("tool_calls"), _choice("stop", 1)]}, True),
        ({"choices": [_choice("stop"), _choice(None, 1)]}, False),
        ({"choices": [_choice("content_filter")]}, False),
        ({"choices": [_choice("error")]}, False),
        ({"choices": [_choice("abort")]}, False),
        ({"choices": [_choice(["stop"])]}, False),
        ({"choices": [_choice("stop")], "error": {"message": "late"}}, False),
        ({"choices": []}, False),
        ({"choices": "stop"}, False),
        ({"choices": ["stop"]}, False),
        ({}, False),
    ],
)
def test_a_body_is_whole_when_every_choice_ended_as_it_should(body: dict[str, Any], whole: bool) -> None:
    assert finished_choices(body) is whole


@pytest.mark.parametrize(
    ("choices", "whole"),
    [
        ([[_choice(None)], [_choice("stop")], []], True),
        ([[_choice(None), _choice(None, 1)], [_choice("stop")], [_choice("length", 1)]], True),
        ([[_choice(None), _choice(None, 1)], [_choice("stop")]], False),
        ([[_choice(None)], [_choice(None)]], False),
        ([[_choice(None)], [_choice("abort")]], False),
        ([[_choice("stop")], [_choice("error")]], False),
        ([[{"index": "0", "finish_reason": "stop"}]], False),
        ([["stop"]], False),
        ([None], False),
        ([], False),
    ],
)
def test_a_stream_is_whole_when_every_choice_it_began_has_ended(choices: list[Any], whole: bool) -> None:
    assert is_whole_stream([{"choices": each} for each in choices]) is whole


def test_a_stream_with_an_error_is_not_whole() -> None:
    assert not is_whole_stream([{"choices": [_choice("stop")]}, {"error": {"message": "late"}}])


@pytest.mark.parametrize(
    ("body", "whole"),
    [
        ({"data": [{"embedding": [0.5]}]}, True),
        ({"data": [{"embedding": "AAAA"}, {"embedding": [0.5]}]}, True),
        ({"data": [{"embedding": []}]}, False),
        ({"data": [{"index": 0}]}, False),
        ({"data": []}, False),
        ({"data": {"embedding": [0.5]}}, False),
        ({"data": [{"embedding": [0.5]}], "error": "late"}, False),
    ],
)
def test_vectors_are_whole_when_each_is_there(body: dict[str, Any], whole: bool) -> None:
    assert KINDS["embedding"].is_whole(body) is whole
    assert not KINDS["embedding"].is_whole_stream([body])


def test_a_kind_is_cached_only_when_the_table_names_it() -> None:
    assert set(KINDS) == {"chat", "text", "messages", "responses", "embedding"}


@pytest.mark.parametrize(
    ("body", "whole"),
    [
        ({"type": "message", "content": [], "stop_reason": "end_turn"}, True),
        ({"type": "message", "content": [{"type": "text"}], "stop_reason": "tool_use"}, True),
        ({"type": "message", "content": [], "stop_reason": "refusal"}, False),
        ({"type": "message", "content": [], "stop_reason": "pause_turn"}, False),
        ({"type": "message", "content": [], "stop_reason": None}, False),
        ({"type": "message", "content": [], "stop_reason": ["end_turn"]}, False),
        ({"type": "error", "error": {"message": "late"}}, False),
        ({"stop_reason": "end_turn"}, False),
    ],
)
def test_a_message_is_whole_when_it_stopped_as_it_should(body: dict[str, Any], whole: bool) -> None:
    assert KINDS["messages"].is_whole(body) is whole


_START = {"type": "message_start", "message": {"stop_reason": None}}
_END = {"type": "message_stop"}


def _delta(reason: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}}


@pytest.mark.parametrize(
    ("events", "whole"),
    [
        ([_START, _delta("end_turn"), _END], True),
        ([_START, _delta("end_turn")], False),
        ([_delta("end_turn"), _END], False),
        ([_START, _END], False),
        ([_START, _delta(None), _END], False),
        ([_START, _delta("refusal"), _END], False),
        ([_START, _delta("end_turn"), {"type": "error"}, _END], False),
        ([], False),
    ],
)
def test_a_messages_stream_is_whole_from_start_to_stop(events: list[dict[str, Any]], whole: bool) -> None:
    assert KINDS["messages"].is_whole_stream(events) is whole


@pytest.mark.parametrize(
    ("body", "whole"),
    [
        ({"status": "completed", "output": [], "error": None}, True),
        ({"status": "incomplete", "output": []}, False),
        ({"status": "failed", "output": [], "error": {}}, False),
        ({"status": "completed", "output": [], "error": {"code": "x"}}, False),
        ({"status": "completed"}, False),
    ],
)
def test_a_response_is_whole_when_it_is_completed(body: dict[str, Any], whole: bool) -> None:
    kind = KINDS["responses"]
    assert kind.is_whole(body) is whole
    created = {"type": "response.created", "response": {"status": "in_progress"}}
    assert kind.is_whole_stream([created, {"type": "response.completed", "response": body}]) is whole
    assert not kind.is_whole_stream([{"type": "response.completed", "response": body}, created])
    assert not kind.is_whole_stream([{"type": "error"}, {"type": "response.completed", "response": body}])
    assert not kind.is_whole_stream([])
