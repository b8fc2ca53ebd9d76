"""What relayed events of a response lack is put in, what they have is left (C1); llama.cpp leaves most of it out."""

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from routeiq_appliance.upstreams.mend import ResponseMender

_TYPES = st.sampled_from([
    "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
    "response.output_text.delta", "response.output_text.done", "response.completed", "error",
])  # fmt: skip
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)
_ITEMS = st.fixed_dictionaries({}, optional={"id": st.sampled_from(["a", "b"]) | _JSON})
_EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "type": _TYPES | _JSON, "item": _ITEMS | _JSON, "item_id": st.sampled_from(["a", "b"]) | _JSON,
        "response": _ITEMS | _JSON, "sequence_number": _JSON, "output_index": _JSON, "content_index": _JSON,
    },
)  # fmt: skip

# What llama.cpp sends for "hi", shortened.
LLAMA_CPP: list[dict[str, Any]] = [
    {"type": "response.created", "response": {"id": "r", "object": "response", "status": "in_progress"}},
    {"type": "response.in_progress", "response": {"id": "r", "object": "response", "status": "in_progress"}},
    {"type": "response.output_item.added", "item": {"id": "rs_1", "type": "reasoning", "content": []}},
    {"type": "response.output_item.added", "item": {"id": "msg_1", "type": "message", "content": []}},
    {"type": "response.content_part.added", "item_id": "msg_1", "part": {"type": "output_text", "text": ""}},
    {"type": "response.output_text.delta", "item_id": "msg_1", "delta": "hi"},
    {"type": "response.output_text.done", "item_id": "msg_1", "text": "hi"},
    {"type": "response.output_item.done", "item": {"id": "msg_1", "type": "message"}},
    {"type": "response.completed", "response": {"id": "r", "output": [], "status": "completed"}},
]


def mended(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    mender, events = ResponseMender(), copy.deepcopy(events)
    for event in events:
        mender.mend(event)
    return events


def test_a_small_servers_events_have_what_clients_follow_them_by() -> None:
    events = mended(LLAMA_CPP)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event.get("output_index") for event in events] == [None, None, 0, 1, 1, 1, 1, 1, None]
    assert [event.get("content_index") for event in events] == [None] * 4 + [0, 0, 0, None, None]
    assert [event["response"]["output"] for event in events[:2]] == [[], []]


def test_what_is_there_is_left() -> None:
    whole = {"type": "response.output_text.delta", "item_id": "m", "delta": "x", "sequence_number": 40,
             "output_index": 3, "content_index": 2, "logprobs": []}  # fmt: skip
    assert mended([whole]) == [whole]
    TypeAdapter(ResponseStreamEvent).validate_python(whole)


@given(st.lists(_EVENTS, max_size=5))
def test_any_event_is_completed_and_nothing_of_it_is_changed(events: list[dict[str, Any]]) -> None:
    for event, after in zip(events, mended(events), strict=True):
        told = {name: value for name, value in event.items() if name != "response"}
        assert told.items() <= after.items()
        assert set(after) - set(event) <= {"sequence_number", "output_index", "content_index"}
        if isinstance(event.get("response"), dict):
            assert event["response"].items() <= after["response"].items()
            assert set(after["response"]) - set(event["response"]) <= {"output"}
