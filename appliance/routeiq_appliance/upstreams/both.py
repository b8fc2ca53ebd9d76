"""Hands each deployment to its upstream. LiteLLM is imported only when the configuration needs it."""

from collections.abc import AsyncGenerator, Coroutine, Mapping
from typing import Any

from routeiq_appliance.limits import Limits
from routeiq_appliance.pipeline.types import Call, Deployment
from routeiq_appliance.upstreams.direct import DirectUpstream
from routeiq_appliance.upstreams.interface import Upstream

__all__ = ["Upstreams", "open_upstreams"]


class Upstreams:
    """Implements `Upstream` over the two."""

    def __init__(self, by_name: Mapping[str, Upstream]) -> None:
        self._by_name = by_name

    def complete(
        self, deployment: Deployment, call: Call, headers: Mapping[str, str]
    ) -> Coroutine[Any, Any, dict[str, Any]]:
        """See `Upstream.complete`."""
        return self._by_name[deployment.upstream].complete(deployment, call, headers)

    def stream(
        self, deployment: Deployment, call: Call, headers: Mapping[str, str]
    ) -> AsyncGenerator[dict[str, Any], None]:
        """See `Upstream.stream`."""
        return self._by_name[deployment.upstream].stream(deployment, call, headers)

    async def close(self) -> None:
        """See `Upstream.close`."""
        for upstream in self._by_name.values():
            await upstream.close()


def open_upstreams(limits: Limits, *, litellm: bool) -> Upstreams:
    """Return both, or the direct one alone; `litellm`: import it now (2.5 s, 200 MB)."""
    by_name: dict[str, Upstream] = {"direct": DirectUpstream(limits)}
    if litellm:
        from routeiq_appliance.upstreams.litellm import LitellmUpstream  # noqa: PLC0415 - heavy

        by_name["litellm"] = LitellmUpstream(limits)
    return Upstreams(by_name)
