"""Which answers are kept: kinds of call, requests that are deterministic enough, answers that are whole. Pure.

A kind is cached only when `KINDS` names it. Its parameters must be plain JSON: the key is derived from them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["KINDS", "MAX_REQUEST_BYTES", "CachedKind", "Scope", "When", "finished_choices", "is_whole_stream"]

Scope = Literal["key", "team", "global"]
When = Literal["all", "temperature-zero"]

MAX_REQUEST_BYTES = 4 << 20
"""A larger request is not looked for: hashing it would take the event loop more than a few milliseconds."""
_FINISHED = frozenset({"stop", "length", "tool_calls", "function_call"})
"""What else ends an answer (a filter, an abort, an error) may not be so the next time."""
_STOPPED = frozenset({"end_turn", "max_tokens", "stop_sequence", "tool_use"})


@dataclass(frozen=True, slots=True)
class CachedKind:
    """How answers of one kind are told from half ones."""

    is_whole: Callable[[Mapping[str, Any]], bool]
    is_whole_stream: Callable[[Iterable[Mapping[str, Any]]], bool]
    drawn: bool
    """Whether answers are drawn by chance unless `temperature` is 0."""


def finished_choices(body: Mapping[str, Any]) -> bool:
    """Whether there is a choice, and each has ended as it should."""
    choices = body.get("choices")
    return (
        not body.get("error")
        and isinstance(choices, list)
        and bool(choices)
        and all(isinstance(choice, dict) and _ends(choice) for choice in choices)
    )


def is_whole_stream(events: Iterable[Mapping[str, Any]]) -> bool:
    """Whether each choice that the events begin has ended as it should, and none twice differently."""
    begun: set[int] = set()
    ended: set[int] = set()
    for event in events:
        if event.get("error"):
            return False
        choices = event.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict):
                return False
            index = choice.get("index", 0)
            if type(index) is not int:
                return False
            begun.add(index)
            if choice.get("finish_reason"):
                if not _ends(choice):
                    return False
                ended.add(index)
    return bool(begun) and begun == ended


def _ends(choice: Mapping[str, Any]) -> bool:
    reason = choice.get("finish_reason")
    return isinstance(reason, str) and reason in _FINISHED


def _whole_message(body: Mapping[str, Any]) -> bool:
    """Anthropic's: ended by the model, a bound of the caller's or a tool call."""
    return not body.get("error") and isinstance(body.get("content"), list) and _stops(body)


def _whole_message_stream(events: Iterable[Mapping[str, Any]]) -> bool:
    kinds: list[Any] = []
    stopped = False
    for event in events:
        kinds.append(event.get("type"))
        delta = event.get("delta")
        if kinds[-1] == "message_delta" and isinstance(delta, dict) and delta.get("stop_reason"):
            stopped = _stops(delta)
    return stopped and kinds[0] == "message_start" and kinds[-1] == "message_stop" and "error" not in kinds


def _whole_response(body: Mapping[str, Any]) -> bool:
    return (
        body.get("status") == "completed" and not body.get("error") and isinstance(body.get("output"), list)
    )


def _whole_response_stream(events: Iterable[Mapping[str, Any]]) -> bool:
    last: Mapping[str, Any] = {}
    for last in events:
        if last.get("type") == "error":
            return False
    response = last.get("response")
    return (
        last.get("type") == "response.completed" and isinstance(response, dict) and _whole_response(response)
    )


def _stops(told: Mapping[str, Any]) -> bool:
    reason = told.get("stop_reason")
    return isinstance(reason, str) and reason in _STOPPED


def _vectors(body: Mapping[str, Any]) -> bool:
    data = body.get("data")
    return (
        not body.get("error")
        and isinstance(data, list)
        and bool(data)
        and all(isinstance(item, dict) and item.get("embedding") for item in data)
    )


def _never(events: Iterable[Mapping[str, Any]]) -> bool:
    del events
    return False


_WRITTEN = CachedKind(finished_choices, is_whole_stream, drawn=True)
KINDS: Mapping[str, CachedKind] = {
    "chat": _WRITTEN,
    "text": _WRITTEN,
    "messages": CachedKind(_whole_message, _whole_message_stream, drawn=True),
    "responses": CachedKind(_whole_response, _whole_response_stream, drawn=True),
    "embedding": CachedKind(_vectors, _never, drawn=False),
}
"""The kinds of `pipeline.types.Kind` that are cached."""
