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
    assert set(KINDS) == {"chat", "text", "embedding"}
