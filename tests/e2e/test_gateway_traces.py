"""One trace from the caller to the upstream, over a real OTLP receiver; and logs that carry it."""

import contextlib
import gzip
import re
import secrets
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.appliance.postgresql import running_postgresql
from tests.e2e.fleet import Fleet, Upstream, eventually, running_fleet, running_redis, running_upstream

pytestmark = pytest.mark.e2e

PARENT = "00f067aa0ba902b7"


class Receiver:
    """An OTLP collector: `spans` is what it was sent, `resources` the attributes of who sent it."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.resources: list[dict[str, Any]] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers["content-encoding"] == "gzip":
                    body = gzip.decompress(body)
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.take(self.path, headers, ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                del arguments

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def take(self, path: str, headers: dict[str, str], request: ExportTraceServiceRequest) -> None:
        self.requests.append((path, headers))
        for group in request.resource_spans:
            self.resources.append(attributes(group.resource.attributes))
            for scope in group.scope_spans:
                self.spans += scope.spans

    def trace(self, trace_id: str, count: int) -> dict[str, Span]:
        """Wait for the spans of a trace; returns them by name."""
        wanted = bytes.fromhex(trace_id)

        def found() -> list[Span]:
            return [span for span in list(self.spans) if span.trace_id == wanted]

        eventually(lambda: len(found()) >= count, what=f"{count} spans of the trace")
        spans = found()
        assert len(spans) == count
        return {span.name: span for span in spans}


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, daemon=True)
    thread.start()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Upstream, str]]:
    with running_upstream() as served:
        served[0].release()
        yield served


@pytest.fixture(scope="module")
def fleet(
    served: tuple[Upstream, str], receiver: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("traces")
    groups = ("plain", "litellm", "flaky")
    model_list = [
        {
            "model_name": group,
            "litellm_params": {"model": f"openai/{group}", "api_base": served[1], "api_key": "sk-up"},
            "model_info": {"upstream": "litellm" if group == "litellm" else "direct"},
        }
        for group in groups
    ]
    config = {
        "model_list": model_list,
        "router_settings": {"num_retries": 1, "allowed_fails": 1000},
        "routeiq": {"egress": "sealed", "canaries": [], "auto": {"candidates": ["plain", "litellm"]}},
    }
    with running_redis(folder / "redis") as redis_url, running_postgresql() as postgresql:
        environ = {
            "DATABASE_URL": postgresql.new_database(), "REDIS_URL": redis_url,
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_EXPORTER_OTLP_HEADERS": "x-site=a%20b",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_SERVICE_NAME": "gateway-under-test",
        }  # fmt: skip
        with running_fleet(config, folder / "gateway", workers=2, environ=environ) as fleet:
            yield fleet
            assert fleet.terminate() == 0


def attributes(pairs: Any) -> dict[str, Any]:
    def plain(value: AnyValue) -> Any:
        kind = value.WhichOneof("value")
        found = getattr(value, kind) if kind else None
        return [plain(item) for item in found.values] if kind == "array_value" and found else found

    assert all(isinstance(pair, KeyValue) for pair in pairs)
    return {pair.key: plain(pair.value) for pair in pairs}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("group", ["plain", "litellm"])
def test_one_trace_from_the_callers_header_to_the_upstreams(
    fleet: Fleet, served: tuple[Upstream, str], receiver: Receiver, group: str, stream: bool
) -> None:
    # K13, K14, K15, K16
    trace_id = secrets.token_hex(16)
    headers = {"traceparent": f"00-{trace_id}-{PARENT}-01", "tracestate": "vendor=1"}
    with contextlib.closing(fleet.line()) as line:
        answer = line.ask(group, headers=headers, stream=stream)
    assert answer.status == 200
    spans = receiver.trace(trace_id, 3)
    request = spans["gateway.request"]
    decision, completion = spans["routeiq.routing.decision"], spans["litellm.completion"]
    assert request.parent_span_id.hex() == PARENT
    assert decision.parent_span_id == completion.parent_span_id == request.span_id
    assert request.kind == Span.SPAN_KIND_SERVER
    assert completion.kind == Span.SPAN_KIND_CLIENT
    assert request.start_time_unix_nano <= completion.start_time_unix_nano
    assert completion.end_time_unix_nano <= request.end_time_unix_nano

    # What the upstream got names the attempt's span.
    _, got, body = served[0].requests[-1]
    assert body["model"] == group
    assert re.fullmatch(rf"00-{trace_id}-{completion.span_id.hex()}-01", got["traceparent"])
    assert got["tracestate"] == "vendor=1"

    assert attributes(decision.attributes).items() >= {
        "router.strategy": "explicit", "router.selected_model": group, "router.candidates": [group],
        "strategy": "explicit", "model_selected": group, "candidates_count": 1,
    }.items()  # fmt: skip
    assert {"router.latency_ms", "duration_ms"} <= attributes(decision.attributes).keys()
    assert attributes(completion.attributes).items() >= {
        "llm.model": group, "llm.provider": "openai", "tokens.input": 7, "tokens.output": 2, "model": group,
    }.items()  # fmt: skip

    # The log's line of the call, and the ledger's row.
    call = eventually(lambda: [found for found in fleet.said("call") if found["trace_id"] == trace_id])[0]
    assert call["span_id"] == request.span_id.hex()
    assert call["worker_id"] in fleet.workers
    assert {"timestamp", "level", "service", "message", "strategy", "model", "duration_ms"} <= call.keys()
    assert call["id"] == answer.headers["x-request-id"]
    assert attributes(request.attributes)["routeiq.call.id"] == call["id"]


def test_each_attempt_is_a_span_of_the_trace(
    fleet: Fleet, served: tuple[Upstream, str], receiver: Receiver
) -> None:
    trace_id = secrets.token_hex(16)
    served[0].failing.add("flaky")
    with contextlib.closing(fleet.line()) as line:
        answer = line.ask("flaky", headers={"traceparent": f"00-{trace_id}-{PARENT}-01"})
    served[0].failing.clear()
    assert answer.status == 502
    eventually(lambda: sum(s.trace_id.hex() == trace_id for s in receiver.spans) == 4)
    spans = [span for span in receiver.spans if span.trace_id.hex() == trace_id]
    attempts = [span for span in spans if span.name == "litellm.completion"]
    assert len(attempts) == 2
    sent = [headers["traceparent"] for _, headers, body in served[0].requests if body["model"] == "flaky"]
    assert {header.split("-")[2] for header in sent[-2:]} == {span.span_id.hex() for span in attempts}
    assert all(attributes(span.attributes)["error.type"] for span in attempts)
    request = next(span for span in spans if span.name == "gateway.request")
    assert attributes(request.attributes)["http.response.status_code"] == 502


def test_b3_is_taken_up_and_passed_on(fleet: Fleet, served: tuple[Upstream, str], receiver: Receiver) -> None:
    # K15
    trace_id = secrets.token_hex(16)
    with contextlib.closing(fleet.line()) as line:
        assert line.ask(headers={"b3": f"{trace_id}-{PARENT}-1"}).status == 200
    spans = receiver.trace(trace_id, 3)
    got = served[0].requests[-1][1]
    assert got["b3"].startswith(f"{trace_id}-{spans['litellm.completion'].span_id.hex()}-1")
    assert got["traceparent"] == f"00-{trace_id}-{spans['litellm.completion'].span_id.hex()}-01"


def test_a_call_without_a_trace_begins_one_and_an_unsampled_one_is_not_recorded(
    fleet: Fleet, served: tuple[Upstream, str], receiver: Receiver
) -> None:
    unsampled = secrets.token_hex(16)
    with contextlib.closing(fleet.line()) as line:
        assert line.ask(headers={"traceparent": f"00-{unsampled}-{PARENT}-00"}).status == 200
        assert served[0].requests[-1][1]["traceparent"].startswith(f"00-{unsampled}-")
        assert served[0].requests[-1][1]["traceparent"].endswith("-00")
        assert line.ask().status == 200
    begun = served[0].requests[-1][1]["traceparent"].split("-")[1]
    assert not receiver.trace(begun, 3)["gateway.request"].parent_span_id
    assert unsampled not in {span.trace_id.hex() for span in receiver.spans}


def test_the_collector_learns_who_sends_and_nothing_that_a_caller_wrote(
    fleet: Fleet, receiver: Receiver, tmp_path: Path
) -> None:
    trace_id = secrets.token_hex(16)
    message = [{"role": "user", "content": "a-secret-of-the-caller"}]
    with contextlib.closing(fleet.line()) as line:
        body = {"model": "plain", "messages": message}
        headers = {"traceparent": f"00-{trace_id}-{PARENT}-01"}
        assert line.post("/v1/chat/completions", body, headers=headers).status == 200
    receiver.trace(trace_id, 3)
    assert {path for path, _ in receiver.requests} == {"/v1/traces"}
    assert {headers["x-site"] for _, headers in receiver.requests} == {"a b"}
    assert {resource["service.name"] for resource in receiver.resources} == {"gateway-under-test"}
    assert {resource["worker_id"] for resource in receiver.resources} <= set(fleet.workers)
    assert "a-secret-of-the-caller" not in f"{receiver.spans} {fleet.lines}"
    assert fleet.metrics()["gateway_trace_spans_unsent"] >= 0
