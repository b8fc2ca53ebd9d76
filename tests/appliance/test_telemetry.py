import json
import logging
import urllib.request

import pytest

from routeiq_appliance.errors import ApplianceError
from routeiq_appliance.telemetry.logs import JsonFormatter
from routeiq_appliance.telemetry.metrics import Metrics, serve_metrics


def test_every_line_is_json_and_secrets_are_cut_out() -> None:  # K16, I8
    formatter = JsonFormatter("svc", ["planted-secret", 'with"quote'])
    record = logging.LogRecord("n", logging.INFO, "p", 1, "got %s", ("planted-secret",), None)
    record.model = 'x with"quote \n'
    entry = json.loads(formatter.format(record))
    assert entry["message"] == "got [redacted]"
    assert entry["model"] == "x [redacted] \n"
    assert {"timestamp", "level", "service", "worker_id"} <= set(entry)


def test_metrics_are_served_on_their_own_port_without_a_look_up() -> None:
    metrics = Metrics()
    row = {
        "group": "small", "kind": "chat", "status": 200, "duration_ms": 12, "prompt_tokens": 3, "completion_tokens": 2,
        "decision": {"strategy": "ml-knn", "ms": 4.0},
    }  # fmt: skip
    metrics.settled(row)
    stop = serve_metrics(metrics, "127.0.0.1", 0)
    stop()
    with pytest.raises(ApplianceError, match="metrics: cannot listen on 192.0.2.1:9464"):
        serve_metrics(metrics, "192.0.2.1", 9464)
    names = {sample.name: sample.value for family in metrics.registry.collect() for sample in family.samples}
    assert names["routeiq_routing_strategy_usage_total"] == 1
    assert names["routeiq_routing_decision_duration_seconds_sum"] == 0.004


def test_metrics_answer_over_http() -> None:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    stop = serve_metrics(Metrics(), "127.0.0.1", port)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            assert b"active_llm_streams 0.0" in answer.read()
    finally:
        stop()
