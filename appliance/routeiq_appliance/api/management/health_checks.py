"""Asks deployments for the least that they can answer, side by side, each within a deadline; keeps the answers a while.

A check is a real call (one token, one short vector), so it finds a wrong credential or model name. It goes past the
pipeline: it is in no ledger, counts for no limit, and opens no breaker. What would cost real work (images, speech) is
not asked.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from routeiq_appliance.egress.given import GIVEN
from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.types import Call, Deployment, Kind
from routeiq_appliance.upstreams.interface import Upstream

__all__ = ["Checked", "HealthChecks"]

_DEADLINE_SECONDS = 10.0
_KEPT_SECONDS = 10.0
_AT_ONCE = 64
_CHAT: tuple[Kind, dict[str, Any]] = (
    "chat",
    {"messages": [{"role": "user", "content": "ping"}], "max_tokens": 1},
)
_ASKED: Mapping[str | None, tuple[Kind, dict[str, Any]]] = {
    None: _CHAT,
    "chat": _CHAT,
    "responses": _CHAT,
    "completion": ("text", {"prompt": "ping", "max_tokens": 1}),
    "embedding": ("embedding", {"input": "ping"}),
    "moderation": ("moderation", {"input": "ping"}),
    "rerank": ("rerank", {"query": "ping", "documents": ["ping"]}),
}
"""Mode → what is asked; other modes are not."""


@dataclass(frozen=True, slots=True)
class Checked:
    """`error` None is healthy; `seconds` None was not asked."""

    deployment: Deployment
    error: str | None
    seconds: float | None


class HealthChecks:
    """One per worker. `clock` counts seconds."""

    def __init__(
        self,
        upstream: Upstream,
        *,
        deadline: float = _DEADLINE_SECONDS,
        kept: float = _KEPT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._upstream = upstream
        self._deadline = deadline
        self._kept_seconds = kept
        self._clock = clock
        self._kept: dict[str, tuple[float, Checked]] = {}
        self._lock = asyncio.Lock()
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def check(self, deployments: Sequence[Deployment]) -> list[Checked]:
        """Return how they are, in their order; who asks meanwhile waits for the same answers."""
        async with self._lock:
            now = self._clock()
            self._kept = {name: kept for name, kept in self._kept.items() if kept[0] > now}
            due = [item for item in deployments if not self._is_kept(item)]
            for checked in await asyncio.gather(*map(self._one, due)):
                self._kept[checked.deployment.id] = (self._clock() + self._kept_seconds, checked)
            return [self._kept[item.id][1] for item in deployments]

    def _is_kept(self, deployment: Deployment) -> bool:
        kept = self._kept.get(deployment.id)
        return kept is not None and kept[1].deployment is deployment

    async def _one(self, deployment: Deployment) -> Checked:
        asked = _ASKED.get(deployment.mode)
        if asked is None:
            return Checked(deployment, None, None)
        kind, params = asked
        call = Call(
            id="health", kind=kind, asked=deployment.group, params=dict(params), extra={}, stream=False,
            include_usage=False, prompt="", request_bytes=0, started_at=datetime.now(UTC),
        )  # fmt: skip
        # `gather` runs each check in a task of its own: this says nothing to others.
        GIVEN.set(deployment.given)
        async with self._room:
            started = self._clock()
            error = None
            try:
                async with asyncio.timeout(self._deadline):
                    await self._upstream.complete(deployment, call, {})
            except TimeoutError:
                error = f"did not answer within {self._deadline:g} s"
            except CallError as refused:
                error = str(refused)
            return Checked(deployment, error, round(self._clock() - started, 3))
