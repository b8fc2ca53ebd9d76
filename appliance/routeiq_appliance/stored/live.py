"""Keeps this worker's models as the store has them: at each notice, after each reconnection, and every 30 s (C6, H11).

Whoever changes a model writes it, waits for `refresh` and then tells all (`announce`). The others hear of it and do so
too; where the news do not come (no Redis), the generation is compared twice a minute.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime

from routeiq_appliance.errors import StateError
from routeiq_appliance.state.shared.interface import Notice, SharedState
from routeiq_appliance.stored.load import Models, ReadModels
from routeiq_appliance.telemetry.logs import redact

__all__ = ["LiveModels", "SyncStatus"]

_LOG = logging.getLogger(__name__)
_SECONDS = 30.0
_RETRY_SECONDS = 2.0
"""After a failure that somebody waits for: news came, and the database did not answer."""


@dataclass(slots=True)
class SyncStatus:
    """How reading the store went last."""

    succeeded_at: datetime | None = None
    failed_at: datetime | None = None
    error: str | None = None
    """Of the last try; None when it succeeded."""


class LiveModels:
    """One per worker. `read` is blocking, `install` runs on the event loop and puts what was read in use.

    With `read` None nothing is stored and nobody looks.
    """

    def __init__(
        self,
        models: Models,
        read: ReadModels | None,
        generation: Callable[[], str],
        executor: Executor,
        shared: SharedState,
        *,
        install: Callable[[Models], None],
        seconds: float = _SECONDS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        redact(models.secrets)
        self.models = models
        self.status = SyncStatus(succeeded_at=now())
        self._install = install
        self._read = read
        self._generation = generation
        self._executor = executor
        self._shared = shared
        self._seconds = seconds
        self._now = now
        self._wanted = asyncio.Event()
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        if read is not None:
            shared.subscribe(self._on_notice)

    @property
    def enabled(self) -> bool:
        """Whether models are stored at all."""
        return self._read is not None

    async def start(self) -> None:
        """Begin to look."""
        if self._read is not None:
            self._task = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def refresh(self) -> None:
        """Take what the store holds now into use; raises `StateError`, and then all stays as it was."""
        if self._read is None:
            return
        async with self._lock:
            loop = asyncio.get_running_loop()
            try:
                if await loop.run_in_executor(self._executor, self._generation) != self.models.generation:
                    models = await loop.run_in_executor(self._executor, self._read, self.models)
                    redact(models.secrets)
                    self._install(models)
                    self.models = models
                    _LOG.info(
                        "models", extra={"generation": models.generation, "stored": len(models.entries)}
                    )
            except StateError as error:
                self.status.failed_at, self.status.error = self._now(), str(error)
                raise
            self.status.succeeded_at, self.status.error = self._now(), None

    def announce(self) -> None:
        """Tell all workers that the store has changed."""
        self._shared.publish(Notice("models", self.models.generation))

    def _on_notice(self, notice: Notice) -> None:
        if notice.kind == "models" and notice.value != self.models.generation:
            self._wanted.set()

    async def _keep(self) -> None:
        pause = self._seconds
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wanted.wait()
            self._wanted.clear()
            try:
                await self.refresh()
                pause = self._seconds
            except StateError as error:
                if pause == self._seconds:
                    _LOG.warning("models cannot be read: those known stay", extra={"error": str(error)})
                pause = _RETRY_SECONDS
