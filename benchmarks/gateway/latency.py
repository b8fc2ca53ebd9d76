"""What the gateway adds to one call when nobody else calls: one client, in turn at the upstream and at the gateway.

Latency is what others on the machine spoil first: of the rounds, those count in which they took the least CPU.
"""

import statistics
from typing import Any

from benchmarks.gateway.measure import chat, load, quietest, stream
from benchmarks.gateway.report import Figure, at_most, reported
from benchmarks.gateway.stage import Stage

__all__ = ["latency"]

_ROUNDS, _COUNTED = 7, 3
_QUIET = 0.05
"""Of a core: what others took above it is said beside the figure."""


def latency(stage: Stage, seconds: float) -> tuple[list[Figure], Any]:
    """Return what is added over direct, at the median and at the 99th percentile; the median over the quiet rounds."""
    subjects = [stage.direct, stage.relay, stage.gateway, stage.shared]
    plans = {"chat": chat(seconds * 0.35, connections=1), "streams": stream(seconds * 0.15, connections=1)}
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
        ours, direct = rounds[what][name], rounds[what]["direct"]
        return statistics.median(ours[n][key] - direct[n][key] for n in quietest(ours, _COUNTED))

    def disturbed(name: str) -> str:
        ours = rounds["chat"][name]
        share = max(ours[number]["others"] for number in quietest(ours, _COUNTED))
        return f"others took {share * 100:.0f} % of a core" if share > _QUIET else ""

    figures = []
    for subject in (stage.gateway, stage.shared):
        name = subject.name
        figures += [
            at_most(
                f"one client, added by the {name}: p50",
                added("chat", name, "p50_ms"),
                0.6,
                "ms",
                disturbed(name),
            ),
            at_most(
                f"one client, added by the {name}: p99",
                added("chat", name, "p99_ms"),
                3.0,
                "ms",
                disturbed(name),
            ),
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
