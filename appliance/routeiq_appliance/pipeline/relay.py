"""Step 5: what the caller sees of an answer. The body is the upstream's; `model` becomes the group that answered.

Usage is always asked of a streaming upstream, for settling; the caller sees it only when it asked too.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from routeiq_appliance.pipeline.types import Call, Tally

__all__ = ["relay_body", "relay_events"]


def relay_body(body: dict[str, Any], group: str, tally: Tally) -> dict[str, Any]:
    """Return the body for the caller; without usage, note how much text it holds."""
    if not tally.counted:
        _note_text(body, tally)
    body["model"] = group
    return body


async def relay_events(
    events: AsyncIterator[dict[str, Any]], call: Call, group: str, tally: Tally
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the events for the caller and note how much text they hold."""
    hidden = not call.include_usage
    async for event in events:
        _note_text(event, tally)
        event["model"] = group
        if hidden and event.pop("usage", None) is not None and not _says_something(event):
            continue
        yield event


def _note_text(body: dict[str, Any], tally: Tally) -> None:
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
                tally.text_bytes += (
                    len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
                )
        calls = part.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            function = call.get("function") if isinstance(call, dict) else None
            if isinstance(function, dict) and isinstance(function.get("arguments"), str):
                tally.text_bytes += len(function["arguments"])


def _says_something(event: dict[str, Any]) -> bool:
    choices = event.get("choices")
    return isinstance(choices, list) and any(
        isinstance(choice, dict)
        and (choice.get("finish_reason") or choice.get("text") or _holds(choice.get("delta")))
        for choice in choices
    )


def _holds(delta: Any) -> bool:
    return any(delta.values()) if isinstance(delta, dict) else bool(delta)
