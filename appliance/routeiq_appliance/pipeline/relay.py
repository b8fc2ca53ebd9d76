"""Step 5: what the caller sees of an answer. The body is the upstream's; `model` becomes the group that answered.

Usage is always asked of a streaming upstream, for settling; the caller sees it only when it asked too.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from routeiq_appliance.pipeline.dialects import DIALECTS
from routeiq_appliance.pipeline.types import Call, Tally

__all__ = ["relay_body", "relay_events"]


def relay_body(body: dict[str, Any], call: Call, group: str, tally: Tally) -> dict[str, Any]:
    """Return the body for the caller; without usage, note how much text it holds."""
    dialect = DIALECTS[call.kind]
    if not tally.counted:
        dialect.note_text(body, tally)
    dialect.rename(body, group)
    return body


async def relay_events(
    events: AsyncIterator[dict[str, Any]], call: Call, group: str, tally: Tally
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the events for the caller and note how much text they hold."""
    dialect = DIALECTS[call.kind]
    hidden = dialect.hides_usage and not call.include_usage
    async for event in events:
        dialect.note_text(event, tally)
        dialect.rename(event, group)
        if hidden and event.pop("usage", None) is not None and not dialect.says_something(event):
            continue
        yield event
