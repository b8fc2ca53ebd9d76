"""One step of load on one subject: what came back, and the CPU that the subject's processes took for it.

The CPU of a gateway is read when every answer is in the ledger's database, so that shipping is part of the figure.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gateway.machine import LOAD_CORE, Others, cpu_seconds, pin
from benchmarks.gateway.stage import Subject, body_of
from benchmarks.gateway.upstream import CHUNKS, TEXT

__all__ = ["StepError", "chat", "finished", "load", "measure", "median", "quietest", "spawn", "stream"]

_LOAD = Path(__file__).with_name("load.py")


class StepError(RuntimeError):
    """A subject did not do its work; there is no figure to give."""


def chat(seconds: float, *, connections: int = 16, **more: Any) -> dict[str, Any]:
    """Return a plan of plain chat calls."""
    return {"seconds": seconds, "connections": connections, "body": body_of(), "wanted": TEXT, **more}


def stream(seconds: float, *, connections: int = 16, **more: Any) -> dict[str, Any]:
    """Return a plan of streams: every one must have all its chunks and `[DONE]`."""
    body = body_of(stream=True)
    wanted = {"wanted": "data: [DONE]", "events": CHUNKS + 2}
    return {"seconds": seconds, "connections": connections, "body": body, **wanted, **more}


def spawn(subject: Subject, plan: Mapping[str, Any]) -> "subprocess.Popen[str]":
    """Start the load generator on its core."""
    full = json.dumps({"port": subject.port, "key": subject.key, **plan})
    command = [*pin(LOAD_CORE), sys.executable, "-P", str(_LOAD), full]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finished(subject: Subject, process: "subprocess.Popen[str]", plan: Mapping[str, Any]) -> dict[str, Any]:
    """Wait for the load generator; returns what it counted. Raises `StepError` when an answer was not as it must be."""
    said, _ = process.communicate()
    if process.returncode:
        raise StepError(f"{subject.name}: the load generator ended with status {process.returncode}")
    counted: dict[str, Any] = json.loads(said)
    if subject.gateway:
        subject.gateway.answers["stream" in json.loads(plan["body"])] += counted["answers"]
    if counted["wrong"] or not counted["answers"]:
        if subject.gateway:
            subject.gateway.service.require_running()  # says its status and its last words
        wrong = ", ".join(f"{count} times {what}" for what, count in counted["wrong"].items()) or "no answer"
        raise StepError(f"{subject.name}: {wrong}")
    return counted


def load(subject: Subject, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Run load and wait for it; adds `others`, the CPU that the rest of the machine took (share of a core)."""
    others = Others()
    counted = finished(subject, spawn(subject, plan), plan)
    return {**counted, "others": others.share()}


def measure(subject: Subject, plan: Mapping[str, Any], *, beside: Sequence[int] = ()) -> dict[str, Any]:
    """Run load; adds `cpu_ms` a request, all included, and `backends_cpu_ms` for the processes `beside`."""
    before, beside_before = cpu_seconds(subject.pid), sum(map(cpu_seconds, beside))
    counted = load(subject, plan)
    answering = cpu_seconds(subject.pid)
    if subject.gateway:
        subject.gateway.shipped()
    after = cpu_seconds(subject.pid)
    each = 1000 / counted["answers"]
    counted["cpu_ms"] = round((after - before) * each, 4)
    counted["cpu_ms_while_answering"] = round((answering - before) * each, 4)
    counted["busy"] = round((answering - before) / counted["seconds"], 3)
    if beside:
        counted["backends_cpu_ms"] = round((sum(map(cpu_seconds, beside)) - beside_before) * each, 4)
    return counted


def quietest(samples: Sequence[Mapping[str, Any]], count: int) -> list[int]:
    """Return the numbers of the `count` samples with the least CPU of others: waiting for a core is not latency."""
    order = sorted(range(len(samples)), key=lambda number: samples[number]["others"])
    return sorted(order[:count])


def median(samples: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the median of every number over the rounds."""
    rounds = list(samples)
    names = [name for name, value in rounds[0].items() if isinstance(value, int | float)]
    return {name: round(statistics.median(sample[name] for sample in rounds), 4) for name in names}
