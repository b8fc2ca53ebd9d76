"""What a tracer is, and the one that records nothing: it passes the caller's trace on to the upstream.

The pipeline asks for a `RequestSpan` per call, an `AttemptSpan` per attempt, and ends each once. Which spans and
attributes come of it is decided in `otel`, which is imported only when an endpoint is configured; which headers count
as a trace, in `tracecontext`. No prompt and no answer text ever reaches a tracer: it is given none.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from routeiq_appliance.pipeline.types import Decision, Deployment, Tally
from routeiq_appliance.policy.ruling import Ruling
from routeiq_appliance.telemetry.target import Target
from routeiq_appliance.telemetry.tracecontext import read_headers

__all__ = ["AttemptSpan", "NullTracer", "RequestSpan", "Tracer", "make_tracer"]


class AttemptSpan(Protocol):
    """One attempt at one deployment."""

    @property
    def headers(self) -> Mapping[str, str]:
        """What goes to the upstream: `traceparent` and `tracestate`, B3 when the caller sent B3. Lower case names."""

    def end(self, *, outcome: str, tally: Tally | None) -> None:
        """Note the end. `outcome` is `answered` or the error's code; `tally` is given to the one that answered."""


class RequestSpan(Protocol):
    """One call."""

    @property
    def trace_id(self) -> str | None:
        """32 hexadecimal digits, for the ledger, the logs and the caller; None without a trace."""

    @property
    def span_id(self) -> str | None:
        """16 hexadecimal digits; None when this gateway records no span."""

    def judged(self, ruling: Ruling) -> None:
        """Note what the policy said; the call began with it."""

    def decided(self, decision: Decision) -> None:
        """Note a routing decision; the time is now."""

    def attempt(self, deployment: Deployment) -> AttemptSpan:
        """Begin an attempt."""

    def end(self, row: Mapping[str, Any]) -> None:
        """End the call by its ledger row. An attempt that nobody ended, ends here with the call's outcome."""


class Tracer(Protocol):
    """One per worker."""

    @property
    def unsent(self) -> int:
        """Spans that no collector has taken: they wait or are lost."""

    def request(self, headers: Mapping[str, str], *, call_id: str, route: str = "") -> RequestSpan:
        """Begin a call. `headers` by lower case name; only those of `tracecontext.TRACE_HEADERS` are read.

        `route` is the path as the table of routes has it, never the caller's; empty: the call's kind tells it.
        """

    def close(self, seconds: float) -> None:
        """Send what waits, for at most `seconds`."""


_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class _NullSpan:
    """A call and each of its attempts: they have nothing to tell apart."""

    __slots__ = ("headers", "span_id", "trace_id")

    def __init__(self, trace_id: str | None, headers: Mapping[str, str]) -> None:
        self.trace_id = trace_id
        self.span_id: str | None = None
        self.headers = headers

    def judged(self, ruling: Ruling) -> None:
        del ruling

    def decided(self, decision: Decision) -> None:
        del decision

    def attempt(self, deployment: Deployment) -> "_NullAttempt":
        del deployment
        return _NullAttempt(self.headers) if self.headers else _NO_ATTEMPT

    def end(self, row: Mapping[str, Any]) -> None:
        del row


class _NullAttempt:
    __slots__ = ("headers",)

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = headers

    def end(self, *, outcome: str, tally: Tally | None) -> None:
        del outcome, tally


_NO_ATTEMPT = _NullAttempt(_NO_HEADERS)
_NO_SPAN = _NullSpan(None, _NO_HEADERS)


class NullTracer:
    """Records nothing; a valid trace of the caller's reaches the upstream and the logs."""

    unsent = 0

    def request(self, headers: Mapping[str, str], *, call_id: str, route: str = "") -> RequestSpan:
        """See `Tracer.request`."""
        del call_id, route
        if not ("traceparent" in headers or "b3" in headers or "x-b3-traceid" in headers):
            return _NO_SPAN
        parent = read_headers(headers)
        return _NO_SPAN if parent is None else _NullSpan(parent.trace_id, dict(parent.relay))

    def close(self, seconds: float) -> None:
        """See `Tracer.close`."""
        del seconds


def make_tracer(
    target: Target | None,
    *,
    service: str,
    worker_id: int,
    sampler: str = "parentbased_always_on",
    sampler_arg: str = "",
    certificate: Path | None = None,
) -> Tracer:
    """Return the tracer that sends to `target`; without one, the tracer that records nothing. Raises `ConfigError`.

    `service` is OTEL_SERVICE_NAME, `sampler` and `sampler_arg` OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG,
    `certificate` a CA of the site's own (OTEL_EXPORTER_OTLP_CERTIFICATE).
    """
    if target is None:
        return NullTracer()
    # Imported here: it takes tens of milliseconds and megabytes that a gateway without traces does not need.
    from routeiq_appliance.telemetry.otel import OtelTracer  # noqa: PLC0415
    from routeiq_appliance.telemetry.otlp import OtlpExporter  # noqa: PLC0415
    from routeiq_appliance.telemetry.sampler import make_sampler  # noqa: PLC0415

    exporter = OtlpExporter(target, certificate=certificate)
    return OtelTracer(exporter, make_sampler(sampler, sampler_arg), service=service, worker_id=worker_id)
