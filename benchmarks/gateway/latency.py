"""What the gateway adds to one call when nobody else calls: one client, in turn at the upstream and at the gateway."""

import statistics
from typing import Any

from benchmarks.gateway.measure import chat, load, stream
from benchmarks.gateway.report import Figure, at_most, reported
from benchmarks.gateway.stage import Stage

__all__ = ["latency"]

_ROUNDS = 5


def latency(stage: Stage, seconds: float) -> tuple[list[Figure], Any]:
    """Return what is added over direct, at the median and at the 99th percentile; the median over the rounds."""
    subjects = [stage.direct, stage.relay, stage.gateway, stage.shared]
    each = max(0.5, seconds / 2)
    plans = {"chat": chat(each, connections=1), "streams": stream(each / 2, connections=1)}
    rounds: dict[str, dict[str, list[dict[str, Any]]]] = {
        what: {subject.name: [] for subject in subjects} for what in plans
    }
    for what, plan in plans.items():
        for number in range(_ROUNDS + 1):
            for subject in subjects:
                counted = load(subject, plan)
                if number:  # the first warms up
                    rounds[what][subject.name].append(counted)

    def added(what: str, name: str, key: str) -> float:
        pairs = zip(rounds[what][name], rounds[what]["direct"], strict=True)
        return statistics.median(with_it[key] - without[key] for with_it, without in pairs)

    figures = []
    for subject in (stage.gateway, stage.shared):
        name = subject.name
        figures += [
            at_most(f"one client, added by the {name}: p50", added("chat", name, "p50_ms"), 0.6, "ms"),
            at_most(f"one client, added by the {name}: p99", added("chat", name, "p99_ms"), 3.0, "ms"),
            reported(
                f"one client, first event of a stream, added by the {name}: p50",
                added("streams", name, "first_p50_ms"),
                "ms",
            ),
        ]
    figures.append(
        reported("one client, added by the relay: p50", added("chat", stage.relay.name, "p50_ms"), "ms")
    )
    return figures, rounds
