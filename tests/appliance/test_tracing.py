import gzip
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as opentelemetrys_encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind
from opentelemetry.trace.span import TraceState
from opentelemetry.trace.status import Status as OtelStatus
from opentelemetry.trace.status import StatusCode

from routeiq_appliance.egress.destinations import Destination
from routeiq_appliance.errors import ConfigError
from routeiq_appliance.pipeline.types import Decision, Deployment, Tally
from routeiq_appliance.telemetry.encoding import encode_spans
from routeiq_appliance.telemetry.otel import OtelTracer
from routeiq_appliance.telemetry.otlp import OtlpExporter
from routeiq_appliance.telemetry.sampler import make_sampler
from routeiq_appliance.telemetry.target import Target, read_target
from routeiq_appliance.telemetry.tracecontext import b3_headers, read_headers, traceparent
from routeiq_appliance.telemetry.tracing import NullTracer, Tracer, make_tracer

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


class Collector(ThreadingHTTPServer):
    """An OTLP receiver; `answers` are the statuses to give, 200 once they are used up."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receive)
        self.requests: list[tuple[str, dict[str, str], ExportTraceServiceRequest]] = []
        self.answers: list[int] = []
        self.closes = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def spans(self) -> list[Span]:
        return [
            span
            for _, _, request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


class _Receive(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Collector

    def do_POST(self) -> None:
        body = gzip.decompress(self.rfile.read(int(self.headers["content-length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((self.path, headers, ExportTraceServiceRequest.FromString(body)))
        status = self.server.answers.pop(0) if self.server.answers else 200
        self.send_response(status)
        if status == 302:
            self.send_header("location", f"{self.server.url}/elsewhere")
        self.send_header("content-length", "0")
        self.end_headers()
        self.close_connection = self.server.closes

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def _target(url: str, **options: str) -> Target:
    target = read_target(url, **options)
    assert target is not None
    return target


def _tracer(url: str, sampler: str = "parentbased_always_on") -> Tracer:
    return make_tracer(_target(url), service="routeiq-gateway", worker_id=7, sampler=sampler)


def _deployment(name: str = "small-1", group: str = "small") -> Deployment:
    return Deployment(
        id=name, group=group, mode="chat", params={"api_key": "planted-secret"}, destination=Destination("llm", 8000),
        upstream="direct", provider="hosted_vllm", model="qwen", connect_timeout=1, timeout=1, first_token_timeout=1,
        stream_timeout=1, retries=0,
    )  # fmt: skip


def _decision(deployment: Deployment, score: float | None = 0.91) -> Decision:
    return Decision(
        group=deployment.group, deployments=(deployment,), strategy="knn", score=score,
        ranking=(("small", score), ("large", 0.2)), reason="planted-prompt", artifact="sha256:1", seconds=0.002,
        balancing="round-robin",
    )  # fmt: skip


def _row(**changes: Any) -> dict[str, Any]:
    return {
        "id": "c1", "key_id": "k1", "team_id": "t1", "user_id": None, "kind": "chat", "asked": "planted-model",
        "group": "small", "deployment": "small-1", "provider": "hosted_vllm", "status": 200, "outcome": "answered",
        "stream": False, "prompt_tokens": 11, "completion_tokens": 5, "estimated": False, "cost": 2_500_000,
        "attempts": 1, "duration_ms": 12, "first_token_ms": None, "trace_id": None,
        "decision": {"strategy": "knn", "ms": 2.0},
    } | changes  # fmt: skip


def _run(tracer: Tracer, headers: dict[str, str], **changes: Any) -> None:
    span = tracer.request(headers, call_id="c1")
    deployment = _deployment()
    span.decided(_decision(deployment))
    attempt = span.attempt(deployment)
    attempt.end(outcome="answered", tally=Tally(prompt_tokens=11, completion_tokens=5, counted=True))
    span.end(_row(**changes))


def _attributes(span: Span) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        kind = value.WhichOneof("value")
        found = getattr(value, kind)
        return [plain(item) for item in found.values] if kind == "array_value" else found

    return {item.key: plain(item.value) for item in span.attributes}


def test_a_call_with_a_failed_attempt_leaves_the_whole_span_tree(
    collector: Collector,
) -> None:  # K13, K14, K15
    tracer = _tracer(collector.url)
    span = tracer.request({"traceparent": PARENT, "tracestate": "a=1"}, call_id="c1", route="/v1/messages")
    first, second = _deployment(), _deployment("large-1", "large")
    span.decided(_decision(first))
    failed = span.attempt(first)
    failed.end(outcome="timeout", tally=None)
    answered = span.attempt(second)
    answered.end(
        outcome="answered",
        tally=Tally(prompt_tokens=11, completion_tokens=5, counted=True, deployment=second),
    )
    span.end(_row(group="large", deployment="large-1"))
    assert span.trace_id == TRACE
    assert tracer.unsent == 4
    tracer.close(10)
    assert tracer.unsent == 0

    (path, headers, request) = collector.requests[0]
    assert path == "/v1/traces"
    assert headers["content-type"] == "application/x-protobuf"
    resource = {item.key: item.value for item in request.resource_spans[0].resource.attributes}
    assert resource["service.name"].string_value == "routeiq-gateway"
    assert resource["worker_id"].int_value == 7

    spans = collector.spans()
    assert sorted(item.name for item in spans) == [
        "gateway.request", "litellm.completion", "litellm.completion", "routeiq.routing.decision",
    ]  # fmt: skip
    assert {item.trace_id.hex() for item in spans} == {TRACE}
    root = next(item for item in spans if item.name == "gateway.request")
    assert (root.parent_span_id.hex(), root.kind) == (SPAN, Span.SPAN_KIND_SERVER)
    assert root.span_id.hex() == span.span_id
    assert root.trace_state == "a=1"
    children = [item for item in spans if item is not root]
    assert {item.parent_span_id for item in children} == {root.span_id}
    assert len({item.span_id for item in spans}) == 4
    assert all(item.start_time_unix_nano <= item.end_time_unix_nano for item in spans)
    assert _attributes(root) == {
        "http.request.method": "POST", "http.route": "/v1/messages", "http.response.status_code": 200,
        "routeiq.call.id": "c1", "routeiq.key.id": "k1", "routeiq.team.id": "t1", "routeiq.outcome": "answered",
        "routeiq.stream": False, "routeiq.estimated": False, "routeiq.retries": 1, "routeiq.group": "large",
        "routeiq.deployment": "large-1", "routeiq.cost": 2.5e-06,
    }  # fmt: skip

    decision = next(item for item in children if item.name == "routeiq.routing.decision")
    assert decision.kind == Span.SPAN_KIND_INTERNAL
    assert decision.end_time_unix_nano - decision.start_time_unix_nano == 2_000_000
    assert _attributes(decision) == {
        "strategy": "knn", "model_selected": "small", "candidates_count": 2, "duration_ms": 2.0,
        "router.strategy": "knn", "router.score": 0.91, "router.candidates": ["small", "large"],
        "router.selected_model": "small", "router.model": "small", "router.latency_ms": 2.0,
        "router.artifact": "sha256:1", "router.balancing": "round-robin",
    }  # fmt: skip

    one, two = sorted((s for s in children if s is not decision), key=lambda item: item.start_time_unix_nano)
    assert failed.headers["traceparent"] == f"00-{TRACE}-{one.span_id.hex()}-01"
    assert answered.headers == {
        "traceparent": f"00-{TRACE}-{two.span_id.hex()}-01", "tracestate": "a=1",
    }  # fmt: skip
    assert (one.kind, one.status.code) == (Span.SPAN_KIND_CLIENT, Status.STATUS_CODE_ERROR)
    shown = _attributes(one)
    assert shown["error.type"] == "timeout"
    assert "tokens.input" not in shown
    shown = _attributes(two)
    assert shown.pop("duration_ms") >= 0
    assert shown == {
        "model": "qwen", "provider": "hosted_vllm", "tokens.input": 11, "tokens.output": 5, "llm.model": "qwen",
        "llm.provider": "hosted_vllm", "routeiq.deployment": "large-1", "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "qwen", "gen_ai.response.model": "qwen", "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 5, "gen_ai.provider.name": "hosted_vllm", "gen_ai.system": "hosted_vllm",
        "server.address": "llm", "server.port": 8000,
    }  # fmt: skip
    assert b"planted" not in request.SerializeToString()


def test_what_a_call_does_not_have_is_left_out(collector: Collector) -> None:
    tracer = _tracer(collector.url)
    span = tracer.request({}, call_id="c2")
    span.decided(_decision(_deployment(), score=None))
    span.attempt(_deployment())  # the caller left: nobody ended it
    span.end(_row(status=499, outcome="caller_left", cost=None, team_id=None, estimated=True))
    refused = tracer.request({}, call_id="c3")
    refused.end(_row(status=503, outcome="overloaded", group=None, deployment=None, decision=None, cost=None))
    tracer.close(10)
    spans = {(item.name, _attributes(item).get("routeiq.call.id")): item for item in collector.spans()}
    assert len(spans) == 4
    left = spans["gateway.request", "c2"]
    assert left.parent_span_id == b""
    assert left.status.code == Status.STATUS_CODE_UNSET
    assert not {"routeiq.cost", "routeiq.team.id"} & set(_attributes(left))
    assert "router.score" not in _attributes(spans["routeiq.routing.decision", None])
    assert _attributes(spans["litellm.completion", None])["error.type"] == "caller_left"
    server = spans["gateway.request", "c3"]
    assert server.status.code == Status.STATUS_CODE_ERROR
    assert _attributes(server)["error.type"] == "overloaded"
    assert "routeiq.group" not in _attributes(server)


@pytest.mark.parametrize(
    ("sampler", "headers", "sent"),
    [
        ("parentbased_always_on", {}, True),
        ("parentbased_always_on", {"traceparent": f"00-{TRACE}-{SPAN}-00"}, False),
        ("always_on", {"traceparent": f"00-{TRACE}-{SPAN}-00"}, True),
        ("parentbased_always_off", {"traceparent": PARENT}, True),
        ("parentbased_always_off", {}, False),
        ("always_off", {"traceparent": PARENT}, False),
        ("parentbased_always_on", {"b3": f"{TRACE}-{SPAN}-0"}, False),
    ],
)
def test_the_sampler_decides_and_the_trace_goes_on(
    collector: Collector, sampler: str, headers: dict[str, str], sent: bool
) -> None:  # K15
    tracer = _tracer(collector.url, sampler)
    span = tracer.request(headers, call_id="c1")
    attempt = span.attempt(_deployment())
    attempt.end(outcome="answered", tally=None)
    span.end(_row())
    tracer.close(10)
    assert len(collector.spans()) == (2 if sent else 0)
    assert attempt.headers["traceparent"].startswith(f"00-{span.trace_id}-")
    assert attempt.headers["traceparent"].endswith("-01" if sent else "-00")
    assert (span.trace_id == TRACE) == bool(headers)


def test_b3_goes_on_in_the_form_it_came(collector: Collector) -> None:  # K15
    tracer = _tracer(collector.url)
    single = tracer.request({"b3": f"{TRACE}-{SPAN}-1"}, call_id="1").attempt(_deployment()).headers
    span_id = single["traceparent"].split("-")[2]
    assert single == {"traceparent": f"00-{TRACE}-{span_id}-01", "b3": f"{TRACE}-{span_id}-1"}
    multi = tracer.request({"x-b3-traceid": SPAN, "x-b3-spanid": SPAN}, call_id="2").attempt(_deployment())
    assert multi.headers["x-b3-traceid"] == "0" * 16 + SPAN
    assert multi.headers["x-b3-sampled"] == "1"
    tracer.close(10)


@pytest.mark.parametrize("kind", ["refuses", "is silent"])
def test_a_dead_collector_changes_nothing_for_calls(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("ERROR", "opentelemetry")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if kind == "refuses":
            listener.close()
        exporter = OtlpExporter(_target(f"http://127.0.0.1:{port}"))
        tracer = OtelTracer(exporter, make_sampler("always_on", ""), service="s", worker_id=1)
        for _ in range(5_000):
            _run(tracer, {"traceparent": PARENT})
        assert tracer.unsent == 15_000
        waiting = tracer._processor._batch_processor._queue
        assert len(waiting) <= 8192  # the memory of a collector's absence is bounded
        tracer.close(0.1)
    assert exporter.sent == 0
    tracer._processor._batch_processor._worker_thread.join()
    exporter.shutdown()


def test_a_batch_is_sent_again_while_the_collector_asks_for_patience(collector: Collector) -> None:
    collector.answers = [503, 429]
    exporter = OtlpExporter(_target(collector.url), delay=0.001)
    tracer = OtelTracer(exporter, make_sampler("always_on", ""), service="s", worker_id=1)
    _run(tracer, {})
    tracer._processor.force_flush()
    assert (len(collector.requests), exporter.sent, exporter.lost) == (3, 3, 0)
    collector.answers = [400]  # what is refused is not sent again
    _run(tracer, {})
    tracer._processor.force_flush()
    assert (len(collector.requests), exporter.sent, exporter.lost) == (4, 3, 3)
    tracer.close(10)


def test_a_connection_that_the_collector_closed_meanwhile_costs_nothing(collector: Collector) -> None:
    collector.closes = True  # after the answer, without a word
    exporter = OtlpExporter(_target(collector.url), delay=3600)
    tracer = OtelTracer(exporter, make_sampler("always_on", ""), service="s", worker_id=1)
    for _ in range(3):
        _run(tracer, {})
        tracer._processor.force_flush()
    assert (exporter.sent, exporter.lost) == (9, 0)
    tracer.close(10)


@pytest.mark.parametrize("trusted", [True, False])
def test_a_collector_behind_tls_is_trusted_by_the_sites_own_certificate(
    collector: Collector, tmp_path: Path, trusted: bool
) -> None:
    certificate = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    collector.socket = context.wrap_socket(collector.socket, server_side=True)
    collector.handle_error = lambda *_: None  # type: ignore[method-assign]
    url = collector.url.replace("http:", "https:")
    tracer = make_tracer(_target(url), service="s", worker_id=1, certificate=certificate if trusted else None)
    _run(tracer, {})
    tracer.close(10)
    assert tracer.unsent == (0 if trusted else 3)


def _certificate(folder: Path) -> Path:
    """A key and its self-signed certificate for 127.0.0.1, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "collector")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "collector.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return file


def test_neither_a_proxy_nor_a_redirect_nor_the_environment_is_followed(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:  # sealed: nothing is dialled but the target
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://192.0.2.1:3128")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://192.0.2.1:4318")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-from-environment=1")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "from=environment")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    collector.answers = [302]
    target = _target(collector.url + "/tenant/", headers="authorization=Bearer%20planted,X-Org=1")
    assert "planted" not in repr(target)
    tracer = make_tracer(target, service="s", worker_id=1)
    _run(tracer, {})
    tracer.close(10)
    assert tracer.unsent == 3
    ((path, headers, request),) = collector.requests
    assert path == "/tenant/v1/traces"
    assert (headers["authorization"], headers["x-org"]) == ("Bearer planted", "1")
    assert "x-from-environment" not in headers
    assert "from" not in {item.key for item in request.resource_spans[0].resource.attributes}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"endpoint": "http://c:4317"}, "OTEL_EXPORTER_OTLP_ENDPOINT: port 4317 is OTLP over gRPC"),
        (
            {"endpoint": "http://c:4318", "protocol": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' is not spoken",
        ),
        ({"endpoint": "grpc://c:4318"}, "not a URL of the form"),
        ({"endpoint": "c:4317"}, "not a URL of the form"),
        ({"endpoint": None, "traces_endpoint": "nonsense"}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: not a URL"),
        ({"endpoint": "http://u:planted@c:4318"}, "only host, port and path are allowed"),
        ({"endpoint": "http://c:4318", "headers": "a=1,planted"}, "HEADERS: entry 2 is not of the form"),
        (
            {"endpoint": "http://c:4318", "headers": "a=planted%0d%0ab: 1"},
            "HEADERS: entry 1 is not of the form",
        ),
    ],
)
def test_a_target_that_is_not_otlp_over_http_is_refused(options: dict[str, Any], message: str) -> None:  # K12
    with pytest.raises(ConfigError) as error:
        read_target(**options)
    assert message in str(error.value)
    assert "planted" not in str(error.value)
    if "HEADERS" not in message and "only host" not in message:
        assert "4318" in str(error.value.hint)


def test_the_target_names_the_destination_for_the_guard() -> None:
    target = _target("https://Collector.observability:4318")
    assert target.destination == Destination("collector.observability", 4318)
    assert (target.secure, target.path) == (True, "/v1/traces")
    assert _target("http://c", traces_endpoint="http://d:4318/x").path == "/x"
    assert read_target(None) is None
    assert read_target("") is None


@pytest.mark.parametrize("argument", ["x", "1.1", "-1", "nan"])
def test_a_wrong_sampler_is_refused(argument: str) -> None:
    with pytest.raises(ConfigError, match="OTEL_TRACES_SAMPLER_ARG: .* is not a number from 0 to 1"):
        make_sampler("traceidratio", argument)
    with pytest.raises(ConfigError, match="OTEL_TRACES_SAMPLER: 'often' is unknown"):
        make_sampler("often", argument)
    assert make_sampler("parentbased_traceidratio", "0.5").get_description().startswith("ParentBased")


def test_a_certificate_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(ConfigError, match="cannot be read as certificates"):
            make_tracer(_target("https://c:4318"), service="s", worker_id=1, certificate=tmp_path / name)


def test_without_a_target_the_callers_trace_is_passed_on_and_opentelemetry_not_imported() -> None:  # K15
    tracer = make_tracer(None, service="s", worker_id=1)
    assert isinstance(tracer, NullTracer)
    span = tracer.request({"traceparent": PARENT, "tracestate": "a=1", "b3": "0", "cookie": "x"}, call_id="1")
    assert (span.trace_id, span.span_id) == (TRACE, None)
    assert span.attempt(_deployment()).headers == {"traceparent": PARENT, "tracestate": "a=1"}
    span = tracer.request({"b3": f"{TRACE}-{SPAN}-d"}, call_id="1")
    assert span.attempt(_deployment()).headers == {"b3": f"{TRACE}-{SPAN}-d"}
    none = tracer.request(
        {"traceparent": "planted\r\nx: y", "tracestate": "a=1", "b3": "planted"}, call_id="1"
    )
    attempt = none.attempt(_deployment())
    assert (none.trace_id, dict(attempt.headers)) == (None, {})
    attempt.end(outcome="answered", tally=None)
    none.end(_row())
    tracer.close(1)
    assert tracer.unsent == 0
    script = "import sys, routeiq_appliance.telemetry.tracing; sys.exit('opentelemetry' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


HEX = "0123456789abcdef"
plain = st.text() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)


@given(
    st.dictionaries(st.text(min_size=1), plain | st.lists(st.text(), min_size=1).map(tuple), max_size=8),
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.sampled_from([None, "a=1", "a=1,b@c=2"]),
    st.sampled_from(SpanKind),
    st.integers(0, 2**63),
    st.booleans(),
    st.booleans(),
)
def test_spans_are_encoded_as_opentelemetrys_own_encoder_does(
    attributes: dict[str, Any], trace_id: int, span_id: int, state: str | None, kind: SpanKind, at: int, remote: bool,
    failed: bool,
) -> None:  # fmt: skip
    context = SpanContext(
        trace_id, span_id, False, trace_state=TraceState.from_header([state]) if state else None
    )
    parent = SpanContext(trace_id, span_id ^ 1, is_remote=remote)
    span = ReadableSpan(
        name="a name", context=context, parent=parent if span_id % 3 else None, resource=Resource(attributes),
        attributes=attributes, kind=kind, status=OtelStatus(StatusCode.ERROR if failed else StatusCode.UNSET),
        start_time=at, end_time=at + 1, instrumentation_scope=InstrumentationScope("scope"),
    )  # fmt: skip
    ours = ExportTraceServiceRequest.FromString(encode_spans([span, span]))
    theirs = opentelemetrys_encode_spans([span, span])
    assert ours == theirs


ids = st.text(HEX, min_size=32, max_size=32)
span_ids = st.text(HEX, min_size=16, max_size=16)


@st.composite
def nearly_traceparents(draw: st.DrawFn) -> str:
    """Mostly well formed, each field sometimes not."""
    fields = [
        draw(st.sampled_from(["00", "01", "cc", "ff", "0", "000"])),
        draw(ids | st.sampled_from(["0" * 32, TRACE[:-1], TRACE.upper(), TRACE + "0"])),
        draw(span_ids | st.sampled_from(["0" * 16, SPAN[:-1], SPAN.upper()])),
        draw(st.sampled_from(["00", "01", "03", "ff", "1", "zz"])),
    ]
    return "-".join(fields) + draw(st.sampled_from(["", "", "-", "-what", "x", "\n", " "]))


def _valid(text: str) -> bool:
    """The specification (W3C Trace Context, 3.2) over again, by hand."""
    if len(text) < 55 or not set(text[:55]) <= set(HEX + "-") or [text[i] for i in (2, 35, 52)] != ["-"] * 3:
        return False
    version, trace, span, flags = text[:2], text[3:35], text[36:52], text[53:55]
    if "-" in version + trace + span + flags or version == "ff" or not int(trace, 16) or not int(span, 16):
        return False
    rest = text[55:]
    return not rest or (version != "00" and rest[0] == "-" and rest.isascii() and rest.isprintable())


@given(nearly_traceparents() | st.text())
def test_a_traceparent_is_read_as_the_specification_says(text: str) -> None:  # K15
    parent = read_headers({"traceparent": text})
    assert (parent is not None) == _valid(text)
    if parent is not None:
        assert (parent.trace_id, parent.span_id) == (text[3:35], text[36:52])
        assert parent.sampled == bool(int(text[53:55], 16) & 1)
        relayed = dict(parent.relay)
        assert relayed["traceparent"][:2] == "00"
        assert read_headers(relayed) == parent


@given(st.dictionaries(st.sampled_from(["tracestate", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled",
                                        "x-b3-flags", "x-b3-parentspanid"]), st.text()))  # fmt: skip
def test_no_malformed_header_is_relayed(headers: dict[str, str]) -> None:
    parent = read_headers({"traceparent": PARENT, **headers})
    assert parent is not None
    for name, value in parent.relay:
        assert value.isascii()
        assert value.isprintable()
        assert (
            name == "traceparent"
            or value.lower() == headers[name].strip(" \t,").lower()
            or name == "tracestate"
        )
    assert read_headers(dict(parent.relay)) == parent


@given(ids.filter(lambda text: set(text) != {"0"}), span_ids.filter(lambda text: set(text) != {"0"}),
       st.sampled_from(["", "-0", "-1", "-d", f"-1-{SPAN}"]), st.booleans())  # fmt: skip
def test_b3_is_read_in_both_forms(trace_id: str, span_id: str, state: str, short: bool) -> None:
    written = trace_id[16:] if short and set(trace_id[16:]) != {"0"} else trace_id
    single = read_headers({"b3": f"{written}-{span_id}{state}"})
    assert single is not None
    assert (single.trace_id, single.span_id) == (written.zfill(32), span_id)
    assert single.sampled == (state != "-0")
    assert single.b3 == "single"
    multi = {"x-b3-traceid": written, "x-b3-spanid": span_id}
    if state:
        multi |= {"x-b3-flags": "1"} if state == "-d" else {"x-b3-sampled": state[1]}
    found = read_headers(multi)
    assert found is not None
    assert (found.trace_id, found.span_id, found.sampled, found.b3) == (
        single.trace_id, single.span_id, single.sampled, "multi",
    )  # fmt: skip
    assert dict(found.relay) == multi
    for form in ("single", "multi"):
        again = read_headers(b3_headers(form, found.trace_id, span_id, sampled=found.sampled))
        assert again is not None
        assert (again.trace_id, again.span_id, again.sampled) == (found.trace_id, span_id, found.sampled)
    assert read_headers({"traceparent": traceparent(found.trace_id, span_id, sampled=True)})


@pytest.mark.parametrize(
    "text",
    ["0", "1", "d", "", "-", f"{TRACE}", f"{TRACE}-{SPAN}-2", f"{TRACE}-{SPAN}-1-", f"{'0' * 32}-{SPAN}-1",
     f"{TRACE}-{'0' * 16}", f"{TRACE.upper()}-{SPAN}", f"{TRACE}-{SPAN}-1\n", "٣" * 16 + f"-{SPAN}"],
)  # fmt: skip
def test_b3_without_a_trace_names_none(text: str) -> None:
    assert read_headers({"b3": text}) is None
    assert read_headers({"x-b3-traceid": text, "x-b3-spanid": SPAN}) is None or text == TRACE


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a=1, ,b@c=2\t,", "a=1,b@c=2"),
        ("a=1,a=2", ""),
        ("A=1", ""),
        ("a=1;x: y\r\n", ""),
        ("a", ""),
        (",".join(f"k{n}=1" for n in range(33)), ""),
        ("a=" + "x" * 600, ""),
    ],
)
def test_a_malformed_tracestate_is_left_out_and_the_trace_goes_on(text: str, kept: str) -> None:
    parent = read_headers({"traceparent": PARENT, "tracestate": text})
    assert parent is not None
    assert (parent.trace_id, parent.state) == (TRACE, kept)
    assert dict(parent.relay).get("tracestate", "") == kept
