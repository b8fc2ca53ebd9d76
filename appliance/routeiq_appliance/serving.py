"""Starts what `routeiq serve` asks for: one worker in this process, or several under a supervisor (`workers`)."""

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
from typing import Any

import uvicorn

from routeiq_appliance.api.protocol import BoundedProtocol
from routeiq_appliance.config.ignored import ignored, instead
from routeiq_appliance.config.load import load_config
from routeiq_appliance.config.models import GatewayConfig
from routeiq_appliance.config.renamed import renamed
from routeiq_appliance.config.secrets import secrets_of
from routeiq_appliance.egress.arming import arm_guard, prove_silence
from routeiq_appliance.egress.guard import GuardedLoop
from routeiq_appliance.errors import ApplianceError, ConfigError
from routeiq_appliance.limits import DEFAULT_LIMITS
from routeiq_appliance.memory import settle
from routeiq_appliance.settings import Settings, load_settings
from routeiq_appliance.telemetry.logs import CallLog, configure_logs

__all__ = ["GracefulServer", "load", "run", "server_options", "worker_name"]

_LOG = logging.getLogger(__name__)


def run(config_path: Path, *, host: str, port: int, workers: int, started: float) -> None:
    """Serve until told to stop; raises `RouteIQError` before anything listens. `started`: `time.monotonic()`."""
    settings, config, log = load(config_path)
    for name, advice in renamed(os.environ):
        _LOG.warning("environment variable is not read", extra={"variable": name, "hint": advice})
    _require_shared_state(settings, workers)
    _ensure_temporary_directory(settings.data_dir)
    for name in ignored(config):
        _LOG.warning("configuration is not acted on", extra={"setting": name, "hint": instead(name)})
    if workers > 1:
        from routeiq_appliance.workers import supervise  # noqa: PLC0415 - one worker needs no supervisor

        prove_silence(config, limits=DEFAULT_LIMITS)
        supervise(settings, config_path, _listen(host, port), workers=workers)
        return
    # What takes long to import, while canaries take their time to be silent. Nothing that could dial is imported here.
    ahead = threading.Thread(target=import_module, args=("routeiq_appliance.app",), daemon=True)
    ahead.start()
    prove_silence(config, limits=DEFAULT_LIMITS)
    guard = arm_guard(settings, config)
    ahead.join()
    guard.watch_process()
    from routeiq_appliance.app import build_gateway  # noqa: PLC0415 - imported above, beside the canaries

    gateway = build_gateway(settings, config, guard, log, worker_id=worker_name())
    settle()
    listener = _listen(host, port)
    _say_listening(listener, started)
    server = GracefulServer(uvicorn.Config(gateway.app, **server_options(settings)))
    loop = GuardedLoop(guard)
    try:
        loop.run_until_complete(server.serve(sockets=[listener]))
    finally:
        loop.close()


def load(config_path: Path) -> tuple[Settings, GatewayConfig, CallLog]:
    """Read the environment and the file, and send logs where they belong; raises `ConfigError`."""
    settings = load_settings()
    config = load_config(config_path, os.environ)
    service = settings.otel_service_name
    writer = configure_logs(settings.log_level, service=service, secrets=secrets_of(settings, config))
    return settings, config, CallLog(writer, service=service, level=settings.log_level)


def worker_name() -> str:
    """Return a name for this worker among all that share a database."""
    return f"{socket.gethostname()}-{os.getpid()}"


def server_options(settings: Settings) -> dict[str, Any]:
    """Return uvicorn's options, the same for every worker."""
    return {
        "http": BoundedProtocol,
        "ws": "none",
        "lifespan": "on",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "timeout_graceful_shutdown": settings.drain_timeout_seconds,
    }


class GracefulServer(uvicorn.Server):
    """Stops gracefully on SIGTERM and SIGINT."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Not raised again afterwards, as uvicorn does: a stop that went well is exit 0."""
        wanted = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self.handle_exit) for number in wanted}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _require_shared_state(settings: Settings, workers: int) -> None:
    missing = [
        name
        for name, value in (("DATABASE_URL", settings.database_url), ("REDIS_URL", settings.redis_url))
        if value is None
    ]
    if workers > 1 and missing:
        raise ConfigError(
            f"--workers {workers}: {' and '.join(missing)} not set: workers would each have limits of their own",
            subject="--workers",
            hint="run one worker, or give all of them one PostgreSQL and one Redis",
        )


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


def _say_listening(listener: socket.socket, started: float) -> None:
    address = listener.getsockname()
    _LOG.info(
        "listening",
        extra={"host": address[0], "port": address[1], "seconds": round(time.monotonic() - started, 2)},
    )


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
