"""What the bodies and events of each kind of call look like: usage, text, the model's name, a stream's end. Pure.

Shapes: OpenAI API reference (chat, completions, embeddings, responses, audio, images, moderations), Anthropic API
reference (messages), Cohere's and Jina's rerank. An upstream may put anything anywhere: what has another shape is
passed over.
"""

from collections.abc import Mapping
from typing import Any

from routeiq_appliance.pipeline.types import Kind, Tally

__all__ = ["DIALECTS", "ChatDialect", "Dialect", "MessagesDialect", "PlainDialect", "ResponsesDialect"]

_MAX_TOKENS = 1_000_000_000
"""An upstream that counts more does not count: no ledger's column holds any number."""


class Dialect:
    """One per kind; holds nothing. This base knows bodies with `model` and `usage` and nothing else."""

    hides_usage = False
    """Whether a stream's usage is asked for by us, and shown only to a caller who asked too."""
    generates = False
    """Whether answers are tokens of a model: estimated from text when nobody counted them."""
    wanted = ""
    """Field of a request that bounds the answer's tokens."""

    def note_usage(self, body: dict[str, Any], tally: Tally) -> None:
        """Keep the usage that a body or event tells; the last one counts."""
        _count(body.get("usage"), "prompt_tokens", "completion_tokens", tally)

    def note_text(self, body: dict[str, Any], tally: Tally) -> None:
        """Note how many bytes of text a body or event holds."""

    def rename(self, body: dict[str, Any], group: str) -> None:
        """Put the group that answers in place of the upstream's name of the model."""
        body["model"] = group

    def finishes(self, event: dict[str, Any]) -> bool:  # noqa: ARG002 - says the same of all
        """Whether the stream may end after this event."""
        return True

    def fails(self, event: dict[str, Any]) -> bool:
        """Whether an event, or a body with status 200, tells an error instead of an answer."""
        return bool(event.get("error")) and not (event.get("data") or event.get("results"))

    def says_something(self, event: dict[str, Any]) -> bool:  # noqa: ARG002 - says the same of all
        """Whether an event holds more than usage."""
        return True


class ChatDialect(Dialect):
    """OpenAI's chat completions and completions."""

    hides_usage = True
    generates = True
    wanted = "max_tokens"

    def note_text(self, body: dict[str, Any], tally: Tally) -> None:
        """See `Dialect.note_text`."""
        choices = body.get("choices")
        if not isinstance(choices, list):
            return
        for choice in choices:
            if not isinstance(choice, dict):
                continue
            part = choice.get("delta") or choice.get("message") or choice
            if not isinstance(part, dict):
                continue
            for name in ("content", "text", "reasoning_content"):
                text = part.get(name)
                if isinstance(text, str):
                    tally.text_bytes += _size(text)
            calls = part.get("tool_calls")
            for call in calls if isinstance(calls, list) else ():
                function = call.get("function") if isinstance(call, dict) else None
                if isinstance(function, dict) and isinstance(function.get("arguments"), str):
                    tally.text_bytes += _size(function["arguments"])

    def finishes(self, event: dict[str, Any]) -> bool:
        """See `Dialect.finishes`."""
        choices = event.get("choices")
        return isinstance(choices, list) and any(
            isinstance(choice, dict) and choice.get("finish_reason") for choice in choices
        )

    def fails(self, event: dict[str, Any]) -> bool:
        """See `Dialect.fails`."""
        return bool(event.get("error")) and not (event.get("choices") or event.get("data"))

    def says_something(self, event: dict[str, Any]) -> bool:
        """See `Dialect.says_something`."""
        choices = event.get("choices")
        return isinstance(choices, list) and any(
            isinstance(choice, dict)
            and (choice.get("finish_reason") or choice.get("text") or _holds(choice.get("delta")))
            for choice in choices
        )


class MessagesDialect(Dialect):
    """Anthropic's messages. What was read from or put into a cache counts as input, at the input's price."""

    generates = True
    wanted = "max_tokens"

    def note_usage(self, body: dict[str, Any], tally: Tally) -> None:
        """See `Dialect.note_usage`. A stream tells the input in its first event and the output in a later one."""
        message = body.get("message")
        usage = message.get("usage") if isinstance(message, dict) else body.get("usage")
        if not isinstance(usage, dict):
            return
        given = [usage.get(name) for name in _ANTHROPIC_INPUT]
        total = sum(n for n in given if type(n) is int and _is_count(n)) if _is_count(given[0]) else 0
        if total:
            # Zeros tell nothing: a stream's first event holds them for usage that comes last, or its last one after it.
            tally.prompt_tokens, tally.counted = min(_MAX_TOKENS, total), True
        output = usage.get("output_tokens")
        if type(output) is int and _is_count(output):
            tally.completion_tokens = output

    def note_text(self, body: dict[str, Any], tally: Tally) -> None:
        """See `Dialect.note_text`."""
        parts = body.get("content")
        for part in (body.get("delta"), *(parts if isinstance(parts, list) else ())):
            if isinstance(part, dict):
                for name in ("text", "thinking", "partial_json"):
                    text = part.get(name)
                    if isinstance(text, str):
                        tally.text_bytes += _size(text)
                if isinstance(part.get("input"), dict):
                    tally.text_bytes += _size(str(part["input"]))  # nearly its JSON

    def rename(self, body: dict[str, Any], group: str) -> None:
        """See `Dialect.rename`."""
        message = body.get("message")
        if isinstance(message, dict):
            message["model"] = group
        elif body.get("type", "message") == "message":
            body["model"] = group

    def finishes(self, event: dict[str, Any]) -> bool:
        """See `Dialect.finishes`."""
        return event.get("type") == "message_stop"

    def fails(self, event: dict[str, Any]) -> bool:
        """See `Dialect.fails`."""
        return event.get("type") == "error" or ("type" not in event and "error" in event)


class ResponsesDialect(Dialect):
    """OpenAI's responses."""

    generates = True
    wanted = "max_output_tokens"

    def note_usage(self, body: dict[str, Any], tally: Tally) -> None:
        """See `Dialect.note_usage`."""
        response = body.get("response")
        usage = response.get("usage") if isinstance(response, dict) else body.get("usage")
        _count(usage, "input_tokens", "output_tokens", tally)

    def note_text(self, body: dict[str, Any], tally: Tally) -> None:
        """See `Dialect.note_text`."""
        delta = body.get("delta")
        if isinstance(delta, str):
            tally.text_bytes += _size(delta)
        output = body.get("output")
        for item in output if isinstance(output, list) else ():
            if not isinstance(item, dict):
                continue
            if isinstance(item.get("arguments"), str):
                tally.text_bytes += _size(item["arguments"])
            content = item.get("content")
            for part in content if isinstance(content, list) else ():
                if isinstance(part, dict) and isinstance(part.get("text"), str):
                    tally.text_bytes += _size(part["text"])

    def rename(self, body: dict[str, Any], group: str) -> None:
        """See `Dialect.rename`."""
        response = body.get("response")
        if isinstance(response, dict):
            response["model"] = group
        elif body.get("object", "response") == "response" and "type" not in body:
            body["model"] = group

    def finishes(self, event: dict[str, Any]) -> bool:
        """See `Dialect.finishes`."""
        kind = event.get("type")
        return isinstance(kind, str) and kind in _RESPONSE_ENDS

    def fails(self, event: dict[str, Any]) -> bool:
        """See `Dialect.fails`."""
        return event.get("type") == "error" or ("type" not in event and bool(event.get("error")))


class PlainDialect(Dialect):
    """Answers in one piece that tell usage in one of several ways: embeddings, rerank, images, moderations, audio."""

    def note_usage(self, body: dict[str, Any], tally: Tally) -> None:
        """See `Dialect.note_usage`."""
        meta = body.get("meta")
        for usage in (body.get("usage"), meta.get("tokens") if isinstance(meta, dict) else None):
            _count(usage, "prompt_tokens", "completion_tokens", tally)
            _count(usage, "input_tokens", "output_tokens", tally)
            if not tally.counted:
                _count(usage, "total_tokens", "completion_tokens", tally)

    def rename(self, body: dict[str, Any], group: str) -> None:
        """See `Dialect.rename`. Not every one names a model."""
        if "model" in body:
            body["model"] = group


class CountDialect(PlainDialect):
    """Anthropic's count_tokens. The number is the answer; nothing was used."""

    def note_usage(self, body: dict[str, Any], tally: Tally) -> None:  # noqa: ARG002 - says the same of all
        """See `Dialect.note_usage`."""
        tally.counted = True


_ANTHROPIC_INPUT = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_RESPONSE_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})


def _count(usage: Any, given: str, made: str, tally: Tally) -> None:
    if not isinstance(usage, dict):
        return
    prompt, completion = usage.get(given), usage.get(made)
    if type(prompt) is int and _is_count(prompt):
        tally.prompt_tokens, tally.counted = prompt, True
        tally.completion_tokens = completion if type(completion) is int and _is_count(completion) else 0


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _MAX_TOKENS


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _holds(delta: Any) -> bool:
    return any(delta.values()) if isinstance(delta, dict) else bool(delta)


_CHAT, _PLAIN = ChatDialect(), PlainDialect()
DIALECTS: Mapping[Kind, Dialect] = {
    "chat": _CHAT,
    "text": _CHAT,
    "messages": MessagesDialect(),
    "responses": ResponsesDialect(),
    "embedding": _PLAIN,
    "count_tokens": CountDialect(),
    "rerank": _PLAIN,
    "moderation": _PLAIN,
    "image": _PLAIN,
    "speech": _PLAIN,
    "transcription": _PLAIN,
}
"""The dialect of each kind of call; they hold no state."""
