"""The metrics, in a registry of this worker, and the small server that shows them on a port of their own."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socketserver import TCPServer
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from routeiq_appliance.errors import ApplianceError

__all__ = ["Metrics", "serve_metrics"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_DECISION_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)


class Metrics:
    """Labels are groups, deployments and outcomes of ours: never what a caller wrote."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ["kind", "model", "status"]
        self._requests = Counter("gateway_requests", "Calls settled", labels, registry=self.registry)
        self._duration = Histogram(
            "gateway_request_duration_seconds",
            "Whole call",
            ["kind", "model"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._tokens = Counter("gateway_tokens", "Tokens", ["model", "direction"], registry=self.registry)
        self._decisions = Histogram(
            "routeiq_routing_decision_duration_seconds",
            "Routing decision",
            ["strategy", "model"],
            buckets=_DECISION_SECONDS,
            registry=self.registry,
        )
        self._usage = Counter(
            "routeiq_routing_strategy_usage", "Decisions", ["strategy", "outcome"], registry=self.registry
        )
        self._refused = Counter(
            "gateway_refused_requests",
            "Requests refused before a call began",
            ["status"],
            registry=self.registry,
        )
        self._active = Gauge("gateway_active_requests", "Calls under way", registry=self.registry)
        self._streams = Gauge("active_llm_streams", "Streams under way", registry=self.registry)

    @contextmanager
    def in_flight(self, *, stream: bool) -> Iterator[None]:
        """Count a call while it runs."""
        gauges = [self._active, self._streams] if stream else [self._active]
        for gauge in gauges:
            gauge.inc()
        try:
            yield
        finally:
            for gauge in gauges:
                gauge.dec()

    def refused(self, status: int) -> None:
        """Count a request that never became a call."""
        self._refused.labels(str(status)).inc()

    def settled(self, row: dict[str, Any]) -> None:
        """Count a call by its ledger row."""
        model = row["group"] or "none"
        self._requests.labels(row["kind"], model, str(row["status"])).inc()
        self._duration.labels(row["kind"], model).observe(row["duration_ms"] / 1000)
        self._tokens.labels(model, "input").inc(row["prompt_tokens"])
        self._tokens.labels(model, "output").inc(row["completion_tokens"])
        decision = row["decision"]
        if decision is not None:
            self._decisions.labels(decision["strategy"], model).observe(decision["ms"] / 1000)
            self._usage.labels(decision["strategy"], "answered" if row["status"] < 400 else "failed").inc()

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Show a number that someone else keeps, read when scraped."""
        Gauge(name, text, registry=self.registry).set_function(value)


class _Server(ThreadingWSGIServer):
    def server_bind(self) -> None:
        # Not HTTPServer's: it asks the name server for this host's name.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        del format, args


def serve_metrics(metrics: Metrics, host: str, port: int) -> Callable[[], None]:
    """Serve `/metrics` in a thread; returns the function that ends it. Raises `ApplianceError`."""
    try:
        server = _Server((host, port), _QuietHandler)
    except OSError as error:
        raise ApplianceError(
            f"metrics: cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}",
            hint="set ROUTEIQ_METRICS_PORT to a free port, or to 0 to switch metrics off",
        ) from None
    server.set_app(make_wsgi_app(metrics.registry))
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop
