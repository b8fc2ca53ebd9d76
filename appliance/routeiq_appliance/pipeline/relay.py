"""Step 5: what the caller sees of an answer. The body is the upstream's; `model` becomes the group that answered.

Usage is always asked of a streaming upstream, for settling; the caller sees it only when it asked too.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from routeiq_appliance.pipeline.types import Call, Decision, Tally

__all__ = ["relay_body", "relay_events"]


def relay_body(body: dict[str, Any], decision: Decision, tally: Tally) -> dict[str, Any]:
    """Return the body for the caller and note its usage."""
    _note_usage(body, tally)
    for choice in body.get("choices") or []:
        _note_text(choice, tally)
    return {**body, "model": decision.group}


async def relay_events(
    events: AsyncIterator[dict[str, Any]], call: Call, decision: Decision, tally: Tally
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the events for the caller and note their usage."""
    async for event in events:
        _note_usage(event, tally)
        for choice in event.get("choices") or []:
            _note_text(choice, tally)
        shown = {**event, "model": decision.group}
        if not call.include_usage and shown.pop("usage", None) is not None and not _says_something(shown):
            continue
        yield shown


def _note_usage(body: dict[str, Any], tally: Tally) -> None:
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if isinstance(prompt, int):
        tally.prompt_tokens, tally.counted = prompt, True
        tally.completion_tokens = completion if isinstance(completion, int) else 0


def _note_text(choice: dict[str, Any], tally: Tally) -> None:
    part = choice.get("delta") or choice.get("message") or choice
    for name in ("content", "text", "reasoning_content"):
        if isinstance(part.get(name), str):
            tally.text_bytes += len(part[name].encode("utf-8", "surrogatepass"))


def _says_something(event: dict[str, Any]) -> bool:
    return any(
        choice.get("finish_reason") or choice.get("text") or any((choice.get("delta") or {}).values())
        for choice in event.get("choices") or []
    )
