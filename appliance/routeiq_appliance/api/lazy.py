"""The management application, built on its first request: FastAPI takes 0.2 s that the data plane need not wait for."""

import asyncio
from collections.abc import Callable

from routeiq_appliance.api.http import Receive, Scope, Send
from routeiq_appliance.api.server import ASGI

__all__ = ["LazyManagement"]


class LazyManagement:
    """Implements ASGI; `build` runs once, in a thread."""

    def __init__(self, build: Callable[[], ASGI]) -> None:
        self._build = build
        self._building: asyncio.Future[ASGI] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if self._building is None:
            self._building = asyncio.get_running_loop().run_in_executor(None, self._build)
        app = await asyncio.shield(self._building)
        await app(scope, receive, send)
