"""What an upstream is: it calls one deployment, and translates every failure into `CallError`."""

from collections.abc import AsyncGenerator
from typing import Any, Protocol

from routeiq_appliance.pipeline.types import Call, Deployment

__all__ = ["Upstream"]


class Upstream(Protocol):
    """Bodies and events are OpenAI's, as plain JSON values."""

    async def complete(self, deployment: Deployment, call: Call) -> dict[str, Any]:
        """Return the answer's body; raises `CallError`."""

    def stream(self, deployment: Deployment, call: Call) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the answer's events; raises `CallError`. Closing it ends the upstream's call."""

    async def close(self) -> None:
        """Release connections."""
