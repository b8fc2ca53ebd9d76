"""Shows metrics on a port of their own: of this process, or of several workers added up.

Several workers keep their numbers in files of one folder, as prometheus_client does it: counters and histograms of all
workers that ever ran are added, of the gauges only those of workers that live. The process that started the workers
serves the port; it tells here when one died.

1. The parent calls `prepare_multiprocess(folder)` once and starts every worker with the variables it returns: they must
   be there before a worker imports prometheus_client.
2. Each worker makes `Metrics(workers=N)` and runs `refresh_every_second` while it serves.
3. The parent runs `serve_workers(folder, …)`, and `worker_died(folder, pid)` for each one that ended.
"""

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from socketserver import TCPServer
from typing import Protocol
from wsgiref.simple_server import WSGIRequestHandler

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from routeiq_appliance.errors import ApplianceError

__all__ = [
    "prepare_multiprocess",
    "refresh_every_second",
    "serve_metrics",
    "serve_workers",
    "worker_died",
]

_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


class _HasRegistry(Protocol):
    @property
    def registry(self) -> CollectorRegistry: ...


class _Refreshable(Protocol):
    def refresh(self) -> None: ...


class _Server(ThreadingWSGIServer):
    def server_bind(self) -> None:
        # Not HTTPServer's: it asks the name server for this host's name.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()


class _QuietHandler(WSGIRequestHandler):
    timeout = 10  # seconds: a scraper that says nothing holds a thread no longer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        del format, args


def serve_metrics(metrics: _HasRegistry, host: str, port: int) -> Callable[[], None]:
    """Serve `/metrics` of this process in a thread; returns the function that ends it. Raises `ApplianceError`."""
    return _serve(metrics.registry, host, port)


def serve_workers(folder: Path, host: str, port: int) -> Callable[[], None]:
    """Serve `/metrics` of all workers that write to `folder`; otherwise like `serve_metrics`."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    return _serve(registry, host, port)


def prepare_multiprocess(folder: Path) -> dict[str, str]:
    """Make `folder` ready for a new set of workers; returns the variables to start them with.

    Files that an earlier set left are removed: their process ids mean nothing any more. Raises `ApplianceError`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for file in folder.glob("*.db"):
            file.unlink()
    except OSError as error:
        raise ApplianceError(
            f"{folder}: {(error.strerror or 'cannot be written').lower()}",
            subject=str(folder),
            hint="several workers keep their metrics there; set ROUTEIQ_DATA_DIR to a folder that can be written",
        ) from None
    return {_VARIABLE: str(folder)}


def worker_died(folder: Path, pid: int) -> None:
    """Take a dead worker out of the gauges; what it counted stays."""
    # Another worker's end, or a scrape, may be at the same files.
    with contextlib.suppress(FileNotFoundError):
        mark_process_dead(pid, path=str(folder))  # type: ignore[no-untyped-call]


def refresh_every_second(metrics: _Refreshable, *, seconds: float = 1.0) -> Callable[[], None]:
    """Read what the metrics watch, in a thread; returns the function that ends it."""
    ended = threading.Event()

    def run() -> None:
        metrics.refresh()
        while not ended.wait(seconds):
            metrics.refresh()

    thread = threading.Thread(target=run, name="metrics-refresh", daemon=True)
    thread.start()

    def stop() -> None:
        ended.set()
        thread.join()

    return stop


def _serve(registry: CollectorRegistry, host: str, port: int) -> Callable[[], None]:
    try:
        server = _Server((host, port), _QuietHandler)
    except OSError as error:
        raise ApplianceError(
            f"metrics: cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}",
            hint="set ROUTEIQ_METRICS_PORT to a free port, or to 0 to switch metrics off",
        ) from None
    server.set_app(make_wsgi_app(registry))
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop
