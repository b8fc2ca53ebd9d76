"""Half the load that the gateway can take, for long: its memory every ten seconds, and the growth at the end."""

import statistics
import sys
import time
from typing import Any

from benchmarks.gateway.machine import memory_mb
from benchmarks.gateway.measure import chat, finished, load, spawn
from benchmarks.gateway.report import Figure, at_most, equal, reported
from benchmarks.gateway.stage import Stage

__all__ = ["soak"]

_EVERY_SECONDS = 10.0
_WINDOW_MINUTES = 20.0


def soak(stage: Stage, seconds: float, minutes: float) -> tuple[list[Figure], Any]:
    """Return the growth over the last 20 minutes (of a shorter run: its last two thirds)."""
    subject = stage.start_gateway("gateway, soak")
    load(subject, chat(seconds))
    rate = load(subject, chat(seconds))["rps"] / 2
    plan = chat(minutes * 60, rate=rate)
    running, samples = spawn(subject, plan), []
    started = time.monotonic()
    while running.poll() is None:
        time.sleep(min(_EVERY_SECONDS, max(0.1, started + minutes * 60 - time.monotonic())))
        samples.append((round(time.monotonic() - started, 1), memory_mb(subject.pid)["rss"]))
        if len(samples) % 30 == 0:
            print(f"  {samples[-1][0] / 60:.0f} min: {samples[-1][1]:.2f} MB", file=sys.stderr, flush=True)
    counted = finished(subject, running, plan)
    window = min(_WINDOW_MINUTES, minutes * 2 / 3)
    last = [value for at, value in samples if at >= (minutes - window) * 60]
    edge = min(12, max(1, len(last) // 3))  # two minutes
    growth = statistics.median(last[-edge:]) - statistics.median(last[:edge])
    assert subject.gateway is not None
    ledger = subject.gateway.shipped(seconds=60)
    note = f"{minutes:g} min at {counted['rps']:.0f}/s; {last[-1]:.1f} MB at the end"
    return [
        at_most(f"half load: growth over the last {window:.0f} min", growth, 1.0, "MB", note),
        equal(
            "half load: ledger rows, counted answers",
            ledger.rows,
            sum(subject.gateway.answers.values()),
            "rows",
        ),
        reported("half load: p99", counted["p99_ms"], "ms"),
    ], {"rss_mb": samples, "client": counted}
