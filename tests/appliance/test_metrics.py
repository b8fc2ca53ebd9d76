import contextlib
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from routeiq_appliance.egress.destinations import Destination
from routeiq_appliance.errors import ApplianceError
from routeiq_appliance.pipeline.types import Attempt, Deployment
from routeiq_appliance.telemetry.exposition import (
    prepare_multiprocess,
    refresh_every_second,
    serve_workers,
    worker_died,
)
from routeiq_appliance.telemetry.metrics import Metrics, serve_metrics

Shown = dict[tuple[str, frozenset[tuple[str, str]]], float]


def _row(**changes: Any) -> dict[str, Any]:
    return {
        "id": "c1", "team_id": "t1", "kind": "chat", "asked": "planted-model", "group": "small", "provider": "openai",
        "deployment": "small-1", "status": 200, "outcome": "answered", "stream": False, "prompt_tokens": 11,
        "completion_tokens": 5, "estimated": False, "cost": 2_500_000_000, "attempts": 1, "duration_ms": 12,
        "first_token_ms": None, "decision": {"strategy": "knn", "ms": 4.0},
    } | changes  # fmt: skip


def _deployment(name: str, group: str) -> Deployment:
    return Deployment(
        id=name, group=group, mode="chat", params={}, destination=Destination("llm", 8000), upstream="direct",
        provider="openai", model="qwen", connect_timeout=1, timeout=1, first_token_timeout=1, stream_timeout=1,
        retries=0,
    )  # fmt: skip


def _shown(metrics: Metrics) -> Shown:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
    }


def _of(shown: Shown, name: str, /, **labels: str) -> float:
    return shown[name, frozenset(labels.items())]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _scrape(port: int) -> Shown:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_call_is_counted_by_its_row() -> None:  # K1, K2, K11
    metrics = Metrics()
    metrics.settled(_row())
    metrics.settled(_row(first_token_ms=40, cost=None))
    metrics.settled(_row(status=504, outcome="timeout", cost=None, team_id=None, completion_tokens=0))
    shown = _shown(metrics)
    call = {"model": "small", "api_provider": "openai"}
    assert (
        _of(shown, "litellm_proxy_total_requests_metric_total", route="/v1/chat/completions", **call, team="t1",
            status_code="200") == 2
    )  # fmt: skip
    assert (
        _of(shown, "litellm_proxy_failed_requests_metric_total", **call, team="none", exception_status="504",
            exception_class="timeout") == 1
    )  # fmt: skip
    assert _of(shown, "litellm_request_total_latency_metric_sum", **call) == pytest.approx(0.036)
    assert _of(shown, "litellm_llm_api_time_to_first_token_metric_sum", **call) == pytest.approx(0.04)
    assert _of(shown, "litellm_llm_api_time_to_first_token_metric_count", **call) == 1
    assert _of(shown, "litellm_input_tokens_metric_total", **call, team="t1") == 22
    assert _of(shown, "litellm_output_tokens_metric_total", **call, team="t1") == 10
    assert _of(shown, "litellm_spend_metric_total", **call, team="t1") == pytest.approx(0.0025)
    assert _of(shown, "gateway_unpriced_requests_total", **call) == 1  # a failed call is not one
    assert _of(shown, "routeiq_routing_strategy_usage_total", strategy="knn", outcome="answered") == 2
    assert _of(shown, "routeiq_routing_strategy_usage_total", strategy="knn", outcome="failed") == 1
    assert _of(shown, "routeiq_routing_decision_duration_seconds_sum", strategy="knn", model="small") == 0.012


def test_a_call_that_found_no_deployment_is_counted_too() -> None:
    metrics = Metrics()
    metrics.settled(_row(group=None, provider=None, deployment=None, status=404, outcome="x", decision=None))
    none = {"model": "none", "api_provider": "none", "team": "t1"}
    assert (
        _of(_shown(metrics), "litellm_proxy_failed_requests_metric_total", **none, exception_status="404",
            exception_class="x") == 1
    )  # fmt: skip


def test_attempts_retries_and_fallbacks_are_told_apart() -> None:  # K11
    metrics = Metrics()
    one, two, other = _deployment("s-1", "small"), _deployment("s-2", "small"), _deployment("l-1", "large")
    attempts = [
        Attempt(one, "timeout", 1.0), Attempt(two, "timeout", 2.0), Attempt(other, "server_error", 0.5),
        Attempt(other, "answered", 0.25),
    ]  # fmt: skip
    metrics.settled(_row(), attempts)
    metrics.settled(_row(), [Attempt(one, "timeout", 1.0), Attempt(other, "answered", 0.25)])
    shown = _shown(metrics)
    where = {"model_group": "large", "model_id": "l-1", "api_provider": "openai"}
    assert _of(shown, "litellm_deployment_success_responses_total", **where) == 2
    assert (
        _of(shown, "litellm_deployment_failure_responses_total", **where, exception_class="server_error") == 1
    )
    assert _of(shown, "litellm_llm_api_latency_metric_sum", **where) == 1.0
    assert _of(shown, "gateway_retries_total", **where) == 1
    second = {"model_group": "small", "model_id": "s-2", "api_provider": "openai"}
    assert _of(shown, "gateway_retries_total", **second) == 1
    way = {"requested_model": "small", "fallback_model": "large"}
    assert _of(shown, "litellm_deployment_successful_fallbacks_total", **way) == 1
    assert _of(shown, "litellm_deployment_failed_fallbacks_total", **way) == 1


def test_calls_and_streams_under_way_come_and_go() -> None:  # K8
    metrics = Metrics()
    with metrics.in_flight(stream=True), metrics.in_flight(stream=False):
        shown = _shown(metrics)
        assert (_of(shown, "litellm_in_flight_requests"), _of(shown, "active_llm_streams")) == (2, 1)
        with contextlib.suppress(ValueError), metrics.in_flight(stream=True):
            raise ValueError
    shown = _shown(metrics)
    assert (_of(shown, "litellm_in_flight_requests"), _of(shown, "active_llm_streams")) == (0, 0)


def test_refusals_are_counted_by_reason() -> None:  # K11
    metrics = Metrics()
    metrics.refused(429, "rate_limit")
    metrics.refused(429, "budget_exceeded")
    metrics.refused(401)
    shown = _shown(metrics)
    for status, reason in (("429", "rate_limit"), ("429", "budget_exceeded"), ("401", "none")):
        assert _of(shown, "gateway_refused_requests_total", status=status, reason=reason) == 1


def test_gauges_of_breakers_backends_and_controls() -> None:  # K4, K5, K7, K10
    metrics = Metrics()
    away = {"redis": 0.0}
    metrics.watch_backend("redis", lambda: 1 - away["redis"])
    metrics.watch_backend("postgres", lambda: True)
    metrics.watch_degraded("redis", lambda: away["redis"])
    metrics.watch_degraded("postgres", lambda: False)
    metrics.watch("gateway_ledger_waiting", "Rows", lambda: 17)
    metrics.breaker("small-1", "closed")
    metrics.breaker("small-1", "open")
    metrics.loaded("knn", 0.2)
    away["redis"] = 1
    shown = _shown(metrics)
    assert (_of(shown, "redis_up"), _of(shown, "postgres_up")) == (0, 1)
    assert _of(shown, "gateway_degraded_mode", service="redis") == 1
    assert _of(shown, "gateway_degraded_mode", service="postgres") == 0
    assert _of(shown, "gateway_ledger_waiting") == 17
    states = {name: _of(shown, "routeiq_circuit_breaker_state", name="small-1", state=name)
              for name in ("closed", "open", "half_open")}  # fmt: skip
    assert states == {"closed": 0, "open": 1, "half_open": 0}
    assert _of(shown, "routeiq_model_load_duration_seconds_sum", strategy="knn") == 0.2


def test_nothing_a_caller_or_an_upstream_wrote_makes_labels_without_end() -> None:
    metrics = Metrics()
    for number in range(1_000):
        metrics.settled(_row(asked=f"planted-{number}", status=500, outcome=f"code-{number}"))
        metrics.settled(_row(), [Attempt(_deployment("d", "g"), f"code-{number}", 0.1)])
        metrics.refused(429, f"code-{number}")
    names = [name for name, _ in _shown(metrics)]
    assert len(names) < 1_000
    assert not any("planted" in str(labels) for _, labels in _shown(metrics))
    other = _of(_shown(metrics), "gateway_refused_requests_total", status="429", reason="other")
    assert other == 900


def test_metrics_answer_on_their_own_port_without_a_look_up() -> None:
    metrics = Metrics()
    port = _free_port()
    stop = serve_metrics(metrics, "127.0.0.1", port)
    try:
        with metrics.in_flight(stream=True):
            assert _of(_scrape(port), "active_llm_streams") == 1
    finally:
        stop()
    with pytest.raises(ApplianceError, match=r"metrics: cannot listen on 192\.0\.2\.1:9464"):
        serve_metrics(metrics, "192.0.2.1", 9464)


_WORKER = """
import sys
from routeiq_appliance.telemetry.exposition import refresh_every_second
from routeiq_appliance.telemetry.metrics import Metrics

number = int(sys.argv[1])
row = eval(sys.argv[2])
metrics = Metrics(workers=3)
metrics.watch("gateway_ledger_waiting", "Rows", lambda: number)
metrics.watch_degraded("redis", lambda: number == 2)
metrics.watch_backend("redis", lambda: number != 2)
metrics.breaker("small-1", "open" if number == 3 else "closed")
with metrics.in_flight(stream=True):
    for _ in range(number * 10):
        metrics.settled(row)
    refreshing = refresh_every_second(metrics, seconds=3600)
    metrics.refresh()
    print("ready", flush=True)
    sys.stdin.readline()
refreshing()
"""


@contextlib.contextmanager
def _workers(folder: Path) -> Iterator[list[subprocess.Popen[str]]]:
    environment = os.environ | prepare_multiprocess(folder)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", _WORKER, str(number), repr(_row())], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for number in (1, 2, 3)
    ]  # fmt: skip
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        yield workers
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


def test_numbers_of_three_workers_add_up_and_a_dead_ones_gauges_vanish(tmp_path: Path) -> None:  # K12
    folder = tmp_path / "metrics"
    folder.mkdir()
    (folder / "counter_1.db").write_bytes(b"left by an earlier start")
    call = {"model": "small", "api_provider": "openai"}
    port = _free_port()
    with _workers(folder) as workers:
        stop = serve_workers(folder, "127.0.0.1", port)
        try:
            shown = _scrape(port)
            assert _of(shown, "litellm_request_total_latency_metric_count", **call) == 60
            assert _of(shown, "litellm_request_total_latency_metric_bucket", **call, le="0.025") == 60
            assert _of(shown, "litellm_spend_metric_total", **call, team="t1") == pytest.approx(0.15)
            assert _of(shown, "litellm_in_flight_requests") == 3
            assert _of(shown, "active_llm_streams") == 3
            assert _of(shown, "gateway_ledger_waiting") == 6
            assert _of(shown, "gateway_degraded_mode", service="redis") == 1
            assert _of(shown, "redis_up") == 0
            assert _of(shown, "routeiq_circuit_breaker_state", name="small-1", state="open") == 1
            workers[1].kill()
            workers[1].wait()
            worker_died(folder, workers[1].pid)
            worker_died(folder, workers[1].pid)
            shown = _scrape(port)
            assert _of(shown, "litellm_request_total_latency_metric_count", **call) == 60  # never goes down
            assert _of(shown, "litellm_in_flight_requests") == 2
            assert _of(shown, "gateway_ledger_waiting") == 4
            assert _of(shown, "gateway_degraded_mode", service="redis") == 0
            assert _of(shown, "redis_up") == 1
        finally:
            stop()
    assert prepare_multiprocess(folder) == {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
    assert list(folder.iterdir()) == []


def test_a_worker_that_does_not_share_its_numbers_does_not_start() -> None:  # K12
    with pytest.raises(ApplianceError, match="this process does not share its counters"):
        Metrics(workers=2)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ApplianceError, match="file/metrics: not a directory"):
        prepare_multiprocess(tmp_path / "file" / "metrics")


def test_a_watched_number_is_read_again_and_again() -> None:
    read = threading.Semaphore(0)

    class Watched:
        def refresh(self) -> None:
            read.release()

    stop = refresh_every_second(Watched(), seconds=0.001)
    assert all(read.acquire(timeout=10) for _ in range(3))
    stop()
