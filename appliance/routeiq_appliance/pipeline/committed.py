"""A stream after its commit point: its events, within the pause allowed between two and the time for the whole.

Both deadlines are the upstream's: they run while it is waited for, not while a slow caller reads. A caller who takes
most of the time for the whole ends the call with it, but that says nothing about the upstream.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from routeiq_appliance.errors import UpstreamError
from routeiq_appliance.pipeline.attempt import OpenAttempt
from routeiq_appliance.pipeline.types import Tally
from routeiq_appliance.upstreams.faults import fell_silent, timed_out

__all__ = ["Events", "committed"]

Events = AsyncGenerator[dict[str, Any], None]


async def committed(
    first: dict[str, Any],
    events: Events,
    attempt: OpenAttempt,
    tally: Tally,
    note_usage: Callable[[dict[str, Any], Tally], None],
    *,
    idle: float,
    whole: float,
    waited: float,
) -> Events:
    """Yield `first` and the events after it; raises `UpstreamError`. Seconds; `first` took `waited` of `whole`."""
    loop = asyncio.get_running_loop()
    yielded = resumed = loop.time()
    ends_at = resumed + whole - waited
    held = 0.0
    async with aclosing(events):
        try:
            note_usage(first, tally)
            yield first
            async with asyncio.timeout(None) as limit:
                while True:
                    resumed = loop.time()
                    held += resumed - yielded
                    limit.reschedule(min(resumed + idle, ends_at))
                    event = await anext(events, None)
                    limit.reschedule(None)
                    if event is None:
                        attempt.answered()
                        return
                    note_usage(event, tally)
                    yielded = loop.time()
                    yield event
        except TimeoutError:
            silent = resumed + idle < ends_at
            error = fell_silent(idle) if silent else timed_out(whole)
            if silent or held < whole / 2:
                attempt.failed(error, may_rest=False)
            raise error from None
        except UpstreamError as error:
            attempt.failed(error, may_rest=False)
            raise
        finally:
            attempt.abandoned()  # unless it ended above
