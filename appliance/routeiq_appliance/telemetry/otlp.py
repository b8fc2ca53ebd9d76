"""Sends finished spans to the collector: OTLP over HTTP, protobuf, gzip. Runs in the batch's thread, never in a call's.

The sending is ours and not that of OpenTelemetry, because its exporter reads a dozen variables of its own, may take
a session from an entry point, and `requests` obeys proxy variables: here nothing is dialled but the target, no redirect
is followed and the environment says nothing.

A batch is tried again while the collector cannot be reached or asks for patience (429, 502, 503, 504), for
`_PATIENCE` seconds; then it is lost and counted. What the collector refuses is lost at once.
"""

import gzip
import http.client
import logging
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from routeiq_appliance.errors import ConfigError
from routeiq_appliance.telemetry.encoding import encode_spans
from routeiq_appliance.telemetry.target import Target

__all__ = ["OtlpExporter"]

_LOG = logging.getLogger(__name__)
_TIMEOUT = 5.0
_PATIENCE = 15.0
_AGAIN = frozenset({429, 502, 503, 504})
_ANSWER_BYTES = 64 << 10
_SAY_EVERY = 60.0


class OtlpExporter(SpanExporter):
    """`certificate`: a CA file beside the system's, for https; raises `ConfigError` when it cannot be read.

    `delay`: seconds before the second attempt, doubled for each further one.
    """

    def __init__(
        self,
        target: Target,
        *,
        certificate: Path | None = None,
        delay: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sent = 0
        """Spans that the collector took."""
        self.lost = 0
        """Spans that were given up."""
        self._target = target
        self._tls = _tls(certificate) if target.secure else None
        self._headers = {
            **target.headers,
            "content-type": "application/x-protobuf",
            "content-encoding": "gzip",
            "user-agent": "routeiq-gateway",
        }
        self._delay = delay
        self._clock = clock
        self._connection: http.client.HTTPConnection | None = None
        self._ending = threading.Event()
        self._deadline = float("inf")
        self._said = float("-inf")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send one batch; never raises for what the network or the collector does."""
        body = gzip.compress(encode_spans(spans), compresslevel=1)
        fault = self._send(body)
        if fault is None:
            self.sent += len(spans)
            return SpanExportResult.SUCCESS
        self.lost += len(spans)
        now = self._clock()
        if now - self._said >= _SAY_EVERY:
            self._said = now
            _LOG.warning(
                "traces lost", extra={"collector": str(self._target.destination), "reason": fault,
                                      "lost": self.lost}
            )  # fmt: skip
        return SpanExportResult.FAILURE

    def hurry(self, seconds: float) -> None:
        """Try nothing again, and nothing at all once `seconds` are over."""
        self._deadline = self._clock() + seconds
        self._ending.set()

    def shutdown(self) -> None:
        """Close the connection."""
        self._ending.set()
        self._disconnect()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits here."""
        del timeout_millis
        return True

    def _send(self, body: bytes) -> str | None:
        """Return None when the collector took it, else why not."""
        until = self._clock() + _PATIENCE
        delay = self._delay
        while True:
            fault, again = self._attempt(body)
            if fault is None or not again or self._clock() + delay > until or self._ending.wait(delay):
                return fault
            delay *= 2

    def _attempt(self, body: bytes) -> tuple[str | None, bool]:
        timeout = min(_TIMEOUT, self._deadline - self._clock())
        if timeout <= 0:
            return "shutting down", False
        try:
            status = self._post(body, timeout)
        except (OSError, http.client.HTTPException) as error:
            self._disconnect()
            return f"{type(error).__name__}", True
        return (None, False) if 200 <= status < 300 else (f"HTTP {status}", status in _AGAIN)

    def _post(self, body: bytes, timeout: float) -> int:
        reused = self._connection is not None
        connection = self._connection or self._connect(timeout)
        try:
            answer = self._exchange(connection, body, timeout)
        except (ConnectionError, http.client.BadStatusLine):
            if not reused:
                raise
            # The collector closed an idle connection: no reason to wait.
            self._disconnect()
            answer = self._exchange(self._connect(timeout), body, timeout)
        if answer.will_close or answer.read(_ANSWER_BYTES + 1)[_ANSWER_BYTES:]:
            self._disconnect()
        return answer.status

    def _exchange(
        self, connection: http.client.HTTPConnection, body: bytes, timeout: float
    ) -> http.client.HTTPResponse:
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        connection.request("POST", self._target.path, body, self._headers)
        return connection.getresponse()

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        host, port = self._target.host, self._target.destination.port
        if self._tls is None:
            self._connection = http.client.HTTPConnection(host, port, timeout=timeout)
        else:
            self._connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=self._tls)
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _tls(certificate: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if certificate is not None:
        try:
            context.load_verify_locations(certificate)
        except OSError as error:  # ssl.SSLError is one
            raise ConfigError(
                f"{certificate}: cannot be read as certificates: {(error.strerror or 'not PEM').lower()}",
                subject=str(certificate),
                hint="OTEL_EXPORTER_OTLP_CERTIFICATE names a PEM file",
            ) from None
    return context
