"""Traces by OpenTelemetry: which spans and attributes a call leaves. Imported only when an endpoint is configured.

    gateway.request                SERVER    the call, by its ledger row
      routeiq.policy.evaluate      INTERNAL  where there is a policy
      routeiq.routing.decision     INTERNAL  per decision
      litellm.completion           CLIENT    per attempt, whichever upstream served it

Span and attribute names are requirements K13 and K14 and OpenTelemetry's conventions for HTTP and generative AI.
No attribute holds a prompt, an answer or
anything else that a caller wrote.

A call's spans are put together when it ends, from times noted on the way, and handed to the SDK's batch processor;
building them through the SDK's own span objects costs several times as much. A full queue drops the oldest spans.
"""

import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision as Verdict
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, set_span_in_context
from opentelemetry.trace.span import TraceState
from opentelemetry.trace.status import Status, StatusCode

from routeiq_appliance.pipeline.types import Decision, Deployment, Tally
from routeiq_appliance.policy.ruling import Ruling
from routeiq_appliance.telemetry import spans
from routeiq_appliance.telemetry.otlp import OtlpExporter
from routeiq_appliance.telemetry.tracecontext import TraceParent, b3_headers, read_headers, traceparent

__all__ = ["OtelTracer"]

_QUEUE = 8192
_BATCH = 512
_DELAY_MS = 1000.0
_UNSET = Status(StatusCode.UNSET)
_ERROR = Status(StatusCode.ERROR)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_NOT_SAMPLED = TraceFlags(TraceFlags.DEFAULT)
_SCOPE = InstrumentationScope("routeiq.gateway")


class OtelTracer:
    """See `tracing.Tracer`. Its calls never block and never raise for what the collector does."""

    def __init__(
        self,
        exporter: OtlpExporter,
        sampler: Sampler,
        *,
        service: str,
        worker_id: int,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self._exporter = exporter
        self._sampler = sampler
        self._ids = RandomIdGenerator()
        self.now = now
        self._emitted = 0
        # Made by hand: `Resource.create` and the processor's defaults read the environment.
        self._resource = Resource(
            {
                "service.name": service,
                "service.instance.id": f"{socket.gethostname()}-{worker_id}",
                "process.pid": worker_id,
                "worker_id": worker_id,
                "telemetry.sdk.language": "python",
                "telemetry.sdk.name": "opentelemetry",
            }
        )
        self._processor = BatchSpanProcessor(
            exporter,
            max_queue_size=_QUEUE,
            schedule_delay_millis=_DELAY_MS,
            max_export_batch_size=_BATCH,
            export_timeout_millis=30_000,
        )

    @property
    def unsent(self) -> int:
        """See `Tracer.unsent`."""
        return self._emitted - self._exporter.sent

    def request(self, headers: Mapping[str, str], *, call_id: str, route: str = "") -> "_Request":
        """See `Tracer.request`."""
        parent = read_headers(headers)
        state = TraceState.from_header([parent.state]) if parent and parent.state else None
        remote = around = None
        if parent is not None:
            remote = SpanContext(
                int(parent.trace_id, 16),
                int(parent.span_id, 16),
                is_remote=True,
                trace_flags=_SAMPLED if parent.sampled else _NOT_SAMPLED,
                trace_state=state,
            )
            around = set_span_in_context(NonRecordingSpan(remote))
        trace_id = remote.trace_id if remote is not None else self._ids.generate_trace_id()
        verdict = self._sampler.should_sample(around, trace_id, spans.REQUEST, SpanKind.SERVER)
        sampled = verdict.decision is Verdict.RECORD_AND_SAMPLE
        context = self.context(trace_id, sampled=sampled, state=verdict.trace_state)
        return _Request(self, context, remote, parent, call_id, route, sampled=sampled)

    def context(self, trace_id: int, *, sampled: bool, state: TraceState | None) -> SpanContext:
        """Return the context of a new span."""
        flags = _SAMPLED if sampled else _NOT_SAMPLED
        return SpanContext(
            trace_id, self._ids.generate_span_id(), is_remote=False, trace_flags=flags, trace_state=state
        )

    def emit(
        self,
        name: str,
        kind: SpanKind,
        context: SpanContext,
        parent: SpanContext | None,
        attributes: dict[str, Any],
        start: int,
        end: int,
        *,
        failed: bool = False,
    ) -> None:
        """Queue a finished span; `start` and `end` are Unix nanoseconds."""
        self._emitted += 1
        self._processor.on_end(
            ReadableSpan(
                name=name,
                context=context,
                parent=parent,
                resource=self._resource,
                attributes=attributes,
                kind=kind,
                status=_ERROR if failed else _UNSET,
                start_time=start,
                end_time=end,
                instrumentation_scope=_SCOPE,
            )
        )

    def close(self, seconds: float) -> None:
        """See `Tracer.close`."""
        self._exporter.hurry(seconds)
        # In a thread: the processor waits up to 30 s for an export that hangs.
        ending = threading.Thread(target=self._processor.shutdown, name="traces-end", daemon=True)
        ending.start()
        ending.join(seconds)


class _Request:
    """See `tracing.RequestSpan`."""

    __slots__ = (
        "_attempts", "_call_id", "_context", "_decisions", "_parent", "_remote", "_route", "_ruling", "_sampled",
        "_start", "_tracer", "span_id", "trace_id",
    )  # fmt: skip

    def __init__(
        self,
        tracer: OtelTracer,
        context: SpanContext,
        remote: SpanContext | None,
        parent: TraceParent | None,
        call_id: str,
        route: str,
        *,
        sampled: bool,
    ) -> None:
        self.trace_id: str | None = format(context.trace_id, "032x")
        self.span_id: str | None = format(context.span_id, "016x")
        self._tracer = tracer
        self._context = context
        self._remote = remote
        self._parent = parent
        self._call_id = call_id
        self._route = route
        self._sampled = sampled
        self._start = tracer.now()
        self._ruling: Ruling | None = None
        self._decisions: list[tuple[Decision, int]] = []
        self._attempts: list[_Attempt] = []

    def judged(self, ruling: Ruling) -> None:
        self._ruling = ruling

    def decided(self, decision: Decision) -> None:
        if self._sampled:
            self._decisions.append((decision, self._tracer.now()))

    def attempt(self, deployment: Deployment) -> "_Attempt":
        context = self._tracer.context(
            self._context.trace_id, sampled=self._sampled, state=self._context.trace_state
        )
        attempt = _Attempt(self._tracer, context, deployment, self._headers(context))
        if self._sampled:
            self._attempts.append(attempt)
        return attempt

    def end(self, row: Mapping[str, Any]) -> None:
        if not self._sampled:
            return
        tracer, context = self._tracer, self._context
        now = tracer.now()
        if self._ruling is not None:
            tracer.emit(
                spans.POLICY,
                SpanKind.INTERNAL,
                tracer.context(context.trace_id, sampled=True, state=context.trace_state),
                context,
                spans.policy(self._ruling),
                self._start,
                self._start + int(self._ruling.seconds * 1e9),
            )
        for decision, at in self._decisions:
            tracer.emit(
                spans.DECISION,
                SpanKind.INTERNAL,
                tracer.context(context.trace_id, sampled=True, state=context.trace_state),
                context,
                spans.decision(decision),
                at - int(decision.seconds * 1e9),
                at,
            )
        for attempt in self._attempts:
            attempt.end(outcome=row["outcome"], tally=None)
            tracer.emit(
                spans.ATTEMPT,
                SpanKind.CLIENT,
                attempt.context,
                context,
                spans.attempt(attempt.deployment, row, attempt.outcome, attempt.usage, attempt.nanoseconds),
                attempt.start,
                attempt.start + attempt.nanoseconds,
                failed=attempt.outcome != spans.ANSWERED,
            )
        tracer.emit(
            spans.REQUEST,
            SpanKind.SERVER,
            context,
            self._remote,
            spans.request(row, self._call_id, self._route, retries=max(0, len(self._attempts) - 1)),
            self._start,
            now,
            # A refusal is the caller's fault: OpenTelemetry's conventions leave the status of a server's 4xx unset.
            failed=row["status"] >= 500,
        )
        self._attempts = []
        self._decisions = []

    def _headers(self, context: SpanContext) -> dict[str, str]:
        trace_id, span_id = self.trace_id or "", format(context.span_id, "016x")
        headers = {"traceparent": traceparent(trace_id, span_id, sampled=self._sampled)}
        parent = self._parent
        if parent is not None:
            if parent.state:
                headers["tracestate"] = parent.state
            if parent.b3:
                headers |= b3_headers(parent.b3, trace_id, span_id, sampled=self._sampled)
        return headers


class _Attempt:
    """See `tracing.AttemptSpan`."""

    __slots__ = ("_tracer", "context", "deployment", "headers", "nanoseconds", "outcome", "start", "usage")

    def __init__(
        self, tracer: OtelTracer, context: SpanContext, deployment: Deployment, headers: Mapping[str, str]
    ) -> None:
        self._tracer = tracer
        self.context = context
        self.deployment = deployment
        self.headers = headers
        self.start = tracer.now()
        self.nanoseconds = -1
        self.outcome = ""
        self.usage: tuple[int, int] | None = None

    def end(self, *, outcome: str, tally: Tally | None) -> None:
        if self.nanoseconds >= 0:
            return  # the first end counts
        self.nanoseconds = max(0, self._tracer.now() - self.start)
        self.outcome = outcome
        if tally is not None and tally.counted:
            self.usage = (tally.prompt_tokens, tally.completion_tokens)
