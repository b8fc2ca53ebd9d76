"""What lives as long as a worker: connections, the ledger's writer, numbers that are read once a second."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa

from routeiq_appliance.cache.response import ResponseCache
from routeiq_appliance.memory import give_back
from routeiq_appliance.policy.keeper import PolicyKeeper
from routeiq_appliance.state.embeddings import EmbeddingKeeper
from routeiq_appliance.state.ledger import Ledger
from routeiq_appliance.state.shared.interface import SharedState
from routeiq_appliance.stored.live import LiveModels
from routeiq_appliance.telemetry.metrics import Metrics
from routeiq_appliance.telemetry.tracing import Tracer
from routeiq_appliance.upstreams.interface import Upstream

__all__ = ["Lifetime"]

_LOG = logging.getLogger(__name__)
_CLOSE_SECONDS = 5.0
_GIVE_BACK_SECONDS = 60


class Lifetime:
    """`ready` while calls are taken. Stops in the reverse order of what a call needs."""

    def __init__(
        self,
        upstream: Upstream,
        shared: SharedState,
        ledger: Ledger,
        engine: sa.Engine,
        metrics: Metrics,
        tracer: Tracer,
        executor: ThreadPoolExecutor,
        *,
        serve_metrics: Callable[[], Callable[[], None]] | None,
        egress: str,
        cache: ResponseCache | None = None,
        policy: PolicyKeeper | None = None,
        models: LiveModels | None = None,
        embeddings: EmbeddingKeeper | None = None,
    ) -> None:
        self.ready = False
        self._upstream = upstream
        self._shared = shared
        self._ledger = ledger
        self._engine = engine
        self._metrics = metrics
        self._tracer = tracer
        self._executor = executor
        self._serve_metrics = serve_metrics
        self._egress = egress
        self._cache = cache
        self._policy = policy
        self._models = models
        self._embeddings = embeddings
        self._stop_metrics: Callable[[], None] | None = None
        self._ticking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect and begin; the gateway is ready when it returns."""
        if self._serve_metrics is not None:
            self._stop_metrics = self._serve_metrics()
        await self._shared.start()
        if self._cache is not None:
            await self._cache.start()
        if self._policy is not None:
            await self._policy.start()
        if self._models is not None:
            await self._models.start()
        self._ledger.start()
        if self._embeddings is not None:
            self._embeddings.start()
        self._ticking = asyncio.create_task(self._tick())
        self.ready = True
        _LOG.info("ready", extra={"egress": self._egress})

    async def stop(self) -> None:
        """Send and write what waits, then close."""
        self.ready = False
        if self._ticking is not None:
            self._ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticking
        await self._upstream.close()
        if self._cache is not None:
            await self._cache.close()
        if self._policy is not None:
            await self._policy.close()
        if self._models is not None:
            await self._models.close()
        await self._shared.close()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, lambda: self._ledger.close(seconds=_CLOSE_SECONDS))
        kept = self._embeddings
        if kept is not None:
            await loop.run_in_executor(None, lambda: kept.close(seconds=_CLOSE_SECONDS))
        await loop.run_in_executor(None, lambda: self._tracer.close(_CLOSE_SECONDS))
        self._executor.shutdown(cancel_futures=True)
        self._engine.dispose()
        if self._stop_metrics is not None:
            self._stop_metrics()

    async def _tick(self) -> None:
        seconds = 0
        while True:
            self._metrics.refresh()
            await asyncio.sleep(1.0)
            seconds += 1
            if seconds % _GIVE_BACK_SECONDS == 0:
                await asyncio.to_thread(give_back)
