"""Several workers on one socket, under uvicorn's supervisor: it starts a worker anew that died or hangs.

The supervisor tries the canaries and serves `/metrics` over all workers; each worker composes a gateway of its own.
SIGHUP replaces the workers one by one, each once its successor serves.

A gateway of which no worker ever served ends when one cannot. Later a worker that cannot be composed (the database is
away, the file was edited wrongly) waits and tries again: the others serve on.
"""

import logging
import multiprocessing
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NoReturn

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from routeiq_appliance.egress.arming import arm_guard
from routeiq_appliance.egress.guard import Guard, GuardedLoop
from routeiq_appliance.memory import settle
from routeiq_appliance.serving import load, server_options, worker_name
from routeiq_appliance.settings import Settings
from routeiq_appliance.state.opening import open_state
from routeiq_appliance.telemetry.exposition import prepare_multiprocess, serve_workers, worker_died
from routeiq_appliance.telemetry.logs import configure_logs
from routeiq_signing.errors import RouteIQError

__all__ = ["supervise"]

_LOG = logging.getLogger(__name__)
_HANG_SECONDS = 30
"""How long a worker may leave its supervisor without an answer; on SIGHUP also how long its successor may take."""
_PAUSE_SECONDS = 5.0
"""Before a worker that could not be composed ends, and its supervisor starts another."""


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
            _WorkerConfig(
                config_path,
                settings.otel_service_name,
                workers=workers,
                timeout_worker_healthcheck=_HANG_SECONDS,
                **options,
            ),
            [listener],
            folder,
        ).run()
    finally:
        if stop_metrics is not None:
            stop_metrics()


class _Supervisor(Multiprocess):
    """Takes the gauges of a worker that ended out of `/metrics`."""

    def __init__(self, config: "_WorkerConfig", sockets: list[socket.socket], folder: Path) -> None:
        super().__init__(config, sockets)
        self._worker_config = config
        self._folder = folder

    def keep_subprocess_alive(self) -> None:
        """See uvicorn."""
        if not self._worker_config.has_served:
            self._worker_config.has_served = any(process.is_ready() for process in self.processes)
        with self._burying():
            super().keep_subprocess_alive()

    def handle_signals(self) -> None:
        """See uvicorn; SIGHUP and SIGTTOU end workers."""
        with self._burying():
            super().handle_signals()

    def terminate_all(self) -> None:
        """See uvicorn. Without its own copy closed, new connections would wait in it for nobody to answer."""
        super().terminate_all()
        for listener in self.sockets:
            listener.close()

    @contextmanager
    def _burying(self) -> Iterator[None]:
        before = {process.pid for process in self.processes}
        yield
        for pid in before - {process.pid for process in self.processes}:
            if pid is not None:
                worker_died(self._folder, pid)


class _WorkerConfig(uvicorn.Config):
    """Crosses into each worker's process, and composes its gateway there."""

    def __init__(self, config_path: Path, service: str, **options: Any) -> None:
        super().__init__("routeiq", **options)
        self._config_path = config_path
        self._service = service
        self.has_served = False
        """Whether a worker of this supervisor has ever served; set there, read in those that come after."""

    def get_loop_factory(self) -> Any:
        """Compose, and return the loop that asks the guard before it dials.

        Called in the worker's process only, once its supervisor can ask whether it lives.
        """
        from routeiq_appliance.egress import switches  # noqa: PLC0415

        switches.apply(os.environ)
        # `load` does this again, once it knows the level; what keeps it from knowing is to be JSON as well.
        configure_logs("info", service=self._service, secrets=())
        try:
            guard = self._compose()
        except RouteIQError as error:
            said = {"error": str(error), "hint": error.hint}
            if not self.has_served:
                _LOG.error("worker cannot serve", extra=said)
                self._end(STARTUP_FAILURE)
            _LOG.warning("worker cannot serve: it ends, and another tries again", extra=said)
            time.sleep(random.SystemRandom().uniform(0.5, 1.0) * _PAUSE_SECONDS)
            self._end(os.EX_TEMPFAIL)
        settle()
        threading.Thread(target=_end_with_parent, name="supervisor", daemon=True).start()
        return lambda: GuardedLoop(guard)

    def _compose(self) -> Guard:
        from routeiq_appliance.app import build_gateway  # noqa: PLC0415 - heavy, and not for the supervisor

        settings, config, log = load(self._config_path)
        guard = arm_guard(settings, config)
        guard.watch_process()
        self.app = build_gateway(
            settings, config, guard, log, worker_id=worker_name(), workers=self.workers
        ).app
        return guard

    @staticmethod
    def _end(status: int) -> NoReturn:
        # Not sys.exit: uvicorn has made a coroutine that nobody awaits then, which Python says on stderr.
        os._exit(status)


def _end_with_parent() -> None:
    """Stop gracefully when the supervisor is gone: nobody else would end this worker or free its port."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
