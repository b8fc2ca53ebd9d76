"""What an upstream is: it calls one deployment, and translates every failure into `UpstreamError`."""

from collections.abc import AsyncGenerator, Coroutine, Mapping
from typing import Any, Protocol

from routeiq_appliance.pipeline.types import Call, Deployment

__all__ = ["Upstream"]


class Upstream(Protocol):
    """Bodies and events are those of the call's dialect, as plain JSON values; an answer that is no JSON (speech) is
    `{"data": bytes, "content_type": str}`. `headers` go out with the request (trace context).

    Deadlines but for the connection's are the caller's: a call that is cancelled ends the upstream's work.
    """

    def complete(
        self, deployment: Deployment, call: Call, headers: Mapping[str, str]
    ) -> Coroutine[Any, Any, dict[str, Any]]:
        """Return the answer's body; raises `UpstreamError`."""

    def stream(
        self, deployment: Deployment, call: Call, headers: Mapping[str, str]
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the answer's events; raises `UpstreamError`. Closing it ends the upstream's call."""

    async def close(self) -> None:
        """Release connections."""
