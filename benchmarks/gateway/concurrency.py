"""1,000 streams at once on one worker, each open for ten seconds: no error, and what each takes of its memory."""

import time
from typing import Any

from benchmarks.gateway.machine import memory_mb
from benchmarks.gateway.measure import chat, finished, load, spawn, stream
from benchmarks.gateway.report import Figure, at_most, equal, reported
from benchmarks.gateway.stage import Stage, body_of

__all__ = ["concurrency"]

_STREAMS = 1000


def concurrency(stage: Stage, seconds: float) -> tuple[list[Figure], Any]:
    """Measure a gateway that has done little before: a heap that grew under load would hide what a stream takes."""
    subject = stage.start_gateway("gateway, 1000 streams")
    load(subject, chat(min(1.0, seconds)))
    load(subject, stream(min(1.0, seconds)))
    before = memory_mb(subject.pid)["rss"]
    plan = stream(0, connections=_STREAMS, per_connection=1, ramp_seconds=2.0, longest_seconds=60.0)
    plan["body"] = body_of("slow", stream=True)
    running, most = spawn(subject, plan), before
    while running.poll() is None:
        most = max(most, memory_mb(subject.pid)["rss"])
        time.sleep(0.25)
    counted = finished(subject, running, plan)
    each = (most - before) * 1000 / _STREAMS
    note = f"{before:.1f} MB before, {most:.1f} MB with all of them"
    return [
        equal("1,000 concurrent streams on one worker: whole", counted["answers"], _STREAMS, "streams"),
        at_most("1,000 concurrent streams: memory each", each, 50, "kB", note),
        reported("1,000 concurrent streams: first event, p99", counted["first_p99_ms"], "ms"),
    ], {"before_mb": before, "most_mb": most, "client": counted}
