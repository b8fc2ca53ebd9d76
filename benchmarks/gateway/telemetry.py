"""What tracing costs: the same gateway with every call's spans sent to a receiver, and with none."""

import json
import statistics
import urllib.request
from typing import Any

from benchmarks.gateway.measure import StepError, chat, load, measure
from benchmarks.gateway.report import Figure, reported
from benchmarks.gateway.stage import Stage

__all__ = ["telemetry"]

_ROUNDS = 3


def telemetry(stage: Stage, seconds: float) -> tuple[list[Figure], Any]:
    """Return the CPU that traces add to a call."""
    off, on = stage.gateway, stage.traced
    rounds: dict[str, list[dict[str, Any]]] = {off.name: [], on.name: []}
    for subject in (off, on):
        load(subject, chat(min(seconds, 2.0)))
    for _ in range(_ROUNDS):
        for subject in (off, on):
            rounds[subject.name].append(measure(subject, chat(seconds)))
    with urllib.request.urlopen(f"http://127.0.0.1:{stage.sink.port}/") as answer:
        received = json.load(answer)
    if not received["requests"]:
        raise StepError(f"{on.name}: no spans arrived at the receiver")
    pairs = list(zip(rounds[off.name], rounds[on.name], strict=True))
    without = statistics.median(a["cpu_ms"] for a, _ in pairs)
    added = statistics.median(b["cpu_ms"] - a["cpu_ms"] for a, b in pairs)
    share = statistics.median(b["cpu_ms"] / a["cpu_ms"] - 1 for a, b in pairs)
    note = f"{without:.3f} ms without; every call traced and sent"
    return [
        reported("traces on: CPU added to a call", added, "ms", note),
        reported("traces on: CPU added to a call", share * 100, "%"),
    ], {"rounds": rounds, "received": received}
