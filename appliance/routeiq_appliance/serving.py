"""Runs a composed gateway under uvicorn, on an event loop that asks the guard before it dials."""

import asyncio
import gc
import logging
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import uvicorn

from routeiq_appliance.app import arm_egress, build_gateway, secrets_of
from routeiq_appliance.config.load import load_config
from routeiq_appliance.config.models import IGNORED_SECTIONS
from routeiq_appliance.egress.guard import GuardedLoop
from routeiq_appliance.errors import ApplianceError
from routeiq_appliance.settings import load_settings
from routeiq_appliance.telemetry.logs import configure_logs

__all__ = ["run"]

_LOG = logging.getLogger(__name__)


def run(config_path: Path, *, host: str, port: int, workers: int, started: float) -> None:
    """Serve until told to stop; raises `RouteIQError` before anything listens. `started`: `time.monotonic()`."""
    if workers > 1:
        raise ApplianceError(
            f"--workers {workers}: only 1 is possible until workers share state",
            subject="--workers",
            hint="run one worker per container, and more containers behind a load balancer",
        )
    settings = load_settings()
    config = load_config(config_path, os.environ)
    configure_logs(settings.log_level, service="routeiq-gateway", secrets=secrets_of(settings, config))
    _ensure_temporary_directory(settings.data_dir)
    for section in IGNORED_SECTIONS:
        if getattr(config, section):
            _LOG.warning("configuration section is not acted on by this release", extra={"section": section})
    # FastAPI takes as long to import as silent canaries take to time out. Nothing that could dial is imported here.
    ahead = threading.Thread(target=import_module, args=("routeiq_appliance.api.management",), daemon=True)
    ahead.start()
    guard = arm_egress(settings, config)
    ahead.join()
    guard.watch_process()
    gateway = build_gateway(settings, config, guard)
    gc.freeze()  # the modules and what was composed of them live as long as the process
    gc.enable()
    listener = _listen(host, port)
    server = _Server(
        uvicorn.Config(
            gateway.app,
            http="httptools",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=settings.drain_timeout_seconds,
        )
    )
    address = listener.getsockname()
    _LOG.info(
        "listening",
        extra={"host": address[0], "port": address[1], "seconds": round(time.monotonic() - started, 2)},
    )
    with asyncio.Runner(loop_factory=lambda: GuardedLoop(guard)) as runner:
        runner.run(server.serve(sockets=[listener]))


def _ensure_temporary_directory(data_dir: Path) -> None:
    """Make one below the data directory where the root is read-only without a /tmp: litellm's import asks for one."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        folder = data_dir / "tmp"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ApplianceError(
                f"{data_dir}: {(error.strerror or 'cannot be written').lower()}, and there is no /tmp",
                subject=str(data_dir),
                hint="set ROUTEIQ_DATA_DIR to a directory that this user may write to",
            ) from None
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder)


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop gracefully on SIGTERM and SIGINT. Not raised again afterwards: a stop that went well is exit 0."""
        wanted = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self.handle_exit) for number in wanted}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ApplianceError(
            f"{host}:{port}: cannot listen: {(error.strerror or str(error)).lower()}",
            hint="choose another --host or --port",
        ) from None
    return listener
