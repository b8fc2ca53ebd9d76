"""Liveness and readiness: the only routes without a key. They tell states, never names or addresses."""

from collections.abc import Callable, Mapping

from routeiq_appliance.api.http import Request

__all__ = ["HealthRoutes"]


class HealthRoutes:
    """All are asked at each request; `degraded` says of each backend whether it is away."""

    def __init__(
        self,
        *,
        ready: Callable[[], bool],
        egress: Callable[[], tuple[str, int]],
        degraded: Callable[[], Mapping[str, bool]],
    ) -> None:
        self._ready = ready
        self._egress = egress
        self._degraded = degraded

    async def live(self, request: Request, _principal: object) -> None:
        """Answer as long as the event loop runs."""
        await request.reply(200, {"status": "alive"})

    async def readiness(self, request: Request, _principal: object) -> None:
        """200 when calls are taken, 503 before and while stopping. `refused` counts dials outside the configuration."""
        mode, refused = self._egress()
        ready = self._ready()
        value = {
            "status": "ready" if ready else "not ready",
            "egress": {"mode": mode, "refused": refused},
            "degraded": sorted(name for name, away in self._degraded().items() if away),
        }
        await request.reply(200 if ready else 503, value)
