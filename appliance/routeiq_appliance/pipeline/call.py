"""Step 4: one deployment is called, within its deadline. A stream counts as answered with its first event.

Retries, fallbacks and breakers join here later; nothing is tried twice yet.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.types import Call, Deployment
from routeiq_appliance.upstreams.interface import Upstream

__all__ = ["complete", "open_stream"]


async def complete(upstream: Upstream, deployment: Deployment, call: Call) -> dict[str, Any]:
    """Return the whole answer; raises `CallError` (4xx as the upstream said, 502, 504)."""
    try:
        async with asyncio.timeout(deployment.timeout):
            return await upstream.complete(deployment, call, {})
    except TimeoutError:
        raise _too_slow(deployment.timeout) from None


async def open_stream(
    upstream: Upstream, deployment: Deployment, call: Call
) -> AsyncIterator[dict[str, Any]]:
    """Return the events once the first one is there; an upstream that sends none is an error (502)."""
    events = upstream.stream(deployment, call, {})
    try:
        async with asyncio.timeout(deployment.stream_timeout):
            first = await anext(events, None)
    except TimeoutError:
        await events.aclose()
        raise _too_slow(deployment.stream_timeout) from None
    except BaseException:
        await events.aclose()
        raise
    if first is None:
        raise CallError(
            502,
            "the upstream ended the stream before its first event",
            kind="server_error",
            code="bad_upstream",
        )
    return _rest(first, events, deployment)


async def _rest(first: dict[str, Any], events: Any, deployment: Deployment) -> AsyncIterator[dict[str, Any]]:
    async with aclosing(events):
        yield first
        while True:
            try:
                async with asyncio.timeout(deployment.stream_timeout):
                    event = await anext(events, None)
            except TimeoutError:
                raise _too_slow(deployment.stream_timeout) from None
            if event is None:
                return
            yield event


def _too_slow(seconds: float) -> CallError:
    return CallError(
        504,
        f"the upstream did not answer within {seconds:g} s",
        kind="server_error",
        code="upstream_timeout",
    )
