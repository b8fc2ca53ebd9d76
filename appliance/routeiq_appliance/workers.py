"""Several workers on one socket, under uvicorn's supervisor: it starts a worker anew that died or hangs.

The supervisor tries the canaries and serves `/metrics` over all workers; each worker composes a gateway of its own.
SIGHUP replaces the workers one by one, each once its successor serves.
"""

import logging
import os
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from routeiq_appliance.egress.arming import arm_guard
from routeiq_appliance.egress.guard import GuardedLoop
from routeiq_appliance.serving import load, server_options, settle_memory, worker_name
from routeiq_appliance.settings import Settings
from routeiq_appliance.state.opening import open_state
from routeiq_appliance.telemetry.exposition import prepare_multiprocess, serve_workers, worker_died
from routeiq_signing.errors import RouteIQError

__all__ = ["supervise"]

_LOG = logging.getLogger(__name__)
_START_SECONDS = 60
"""How long a worker may take to answer its supervisor: LiteLLM's import on a busy machine takes ten."""


def supervise(settings: Settings, config_path: Path, listener: socket.socket, *, workers: int) -> None:
    """Run `workers` processes until told to stop; raises `RouteIQError` when the first of them cannot serve."""
    engine, _ = open_state(settings)  # what is wrong with the database is said once
    engine.dispose()
    folder = settings.data_dir / "metrics"
    os.environ.update(prepare_multiprocess(folder))
    stop_metrics = None
    if settings.metrics_port:
        stop_metrics = serve_workers(folder, settings.metrics_host, settings.metrics_port)
    address = listener.getsockname()
    _LOG.info("listening", extra={"host": address[0], "port": address[1], "workers": workers})
    options = server_options(settings)
    try:
        _Supervisor(
            _WorkerConfig(config_path, workers=workers, timeout_worker_healthcheck=_START_SECONDS, **options),
            [listener],
            folder,
        ).run()
    finally:
        if stop_metrics is not None:
            stop_metrics()


class _Supervisor(Multiprocess):
    """Takes the gauges of a worker that ended out of `/metrics`."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket], folder: Path) -> None:
        super().__init__(config, sockets)
        self._folder = folder

    def keep_subprocess_alive(self) -> None:
        """See uvicorn."""
        before = {process.pid for process in self.processes}
        super().keep_subprocess_alive()
        for pid in before - {process.pid for process in self.processes}:
            if pid is not None:
                worker_died(self._folder, pid)


class _WorkerConfig(uvicorn.Config):
    """Crosses into each worker's process, and composes its gateway there."""

    def __init__(self, config_path: Path, **options: Any) -> None:
        super().__init__("routeiq", **options)
        self._config_path = config_path

    def configure_logging(self) -> None:
        """Called first in the worker's process (and in the supervisor's, where the app is still a name)."""
        if os.getpid() == self._supervisor():
            return
        from routeiq_appliance.egress import switches  # noqa: PLC0415

        switches.apply(os.environ)
        from routeiq_appliance.app import build_gateway  # noqa: PLC0415 - heavy, and not for the supervisor

        try:
            settings, config, log = load(self._config_path)
            self._guard = arm_guard(settings, config)
            self._guard.watch_process()
            gateway = build_gateway(
                settings, config, self._guard, log, worker_id=worker_name(), workers=self.workers
            )
        except RouteIQError as error:
            _LOG.error("worker cannot serve", extra={"error": str(error), "hint": error.hint})
            sys.exit(STARTUP_FAILURE)
        self.app = gateway.app
        settle_memory()

    def get_loop_factory(self) -> Any:
        """Return the loop that asks the guard before it dials."""
        return lambda: GuardedLoop(self._guard)

    def _supervisor(self) -> int:
        # Set once, in the supervisor's process; it crosses into the workers with the rest.
        if not hasattr(self, "_pid"):
            self._pid = os.getpid()
        return self._pid
