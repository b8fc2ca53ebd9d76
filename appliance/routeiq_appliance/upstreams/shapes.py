"""Puts into translated answers what their published shapes require and the library leaves out. Pure.

Shapes: Anthropic API reference (messages), OpenAI API reference (responses); their clients read these without asking.
"""

from typing import Any

__all__ = ["ResponseEvents", "complete_message", "complete_message_event", "complete_response"]

Value = dict[str, Any]
_TEXT = frozenset({"response.output_text.delta", "response.output_text.done"})


def complete_message(message: Value) -> None:
    """Complete a message in place."""
    for block in message.get("content") or ():
        if block.get("type") == "thinking" and block.get("signature") is None:
            block["signature"] = ""


def complete_message_event(event: Value) -> None:
    """Complete an event of a message's stream in place."""
    if event.get("type") == "message_delta":
        event["delta"].setdefault("stop_sequence", None)


def complete_response(response: Value) -> None:
    """Complete a response in place."""
    usage = response.get("usage")
    if isinstance(usage, dict):
        given = usage.setdefault("input_tokens_details", {})
        given.setdefault("cached_tokens", 0)
        given.setdefault("cache_write_tokens", 0)
        usage.setdefault("output_tokens_details", {}).setdefault("reasoning_tokens", 0)
    response["output"] = [_item(item) for item in response.get("output") or ()]


class ResponseEvents:
    """Completes the events of one stream of a response in place."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._number = 0

    def complete(self, event: Value) -> None:
        """Complete the next event."""
        event["sequence_number"] = self._number
        self._number += 1
        kind = event.get("type")
        if kind in _TEXT:
            event.setdefault("logprobs", [])
        elif kind == "response.function_call_arguments.done":
            event.setdefault("name", self._names.get(event.get("item_id", ""), ""))
        item = event.get("item")
        if isinstance(item, dict):
            self._names[item.get("id", "")] = item.get("name", "")
            event["item"] = _item(item)
        if isinstance(event.get("response"), dict):
            complete_response(event["response"])


def _item(item: Value) -> Value:
    if item.get("type") != "reasoning":
        return item
    # The library tells thoughts as a message's content.
    texts = [part["text"] for part in item.get("content") or () if isinstance(part.get("text"), str)]
    summary = item.get("summary") or [{"type": "summary_text", "text": text} for text in texts]
    return {name: value for name, value in item.items() if name not in {"content", "role"}} | {
        "summary": summary
    }
