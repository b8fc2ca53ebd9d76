"""Requests per core: 16 clients on each subject in turn, several rounds; and the same with streams of 50 chunks.

Per core is 1 / (CPU seconds of the subject's processes per request): it does not depend on who else used the machine,
nor on whether the load could keep the core busy. Ratios are taken within a round, and their median counts.
"""

import statistics
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.gateway.measure import chat, load, measure, median, stream
from benchmarks.gateway.report import Figure, at_least, reported
from benchmarks.gateway.stage import Stage, Subject

__all__ = ["streams", "throughput"]

_ROUNDS = 3
_Rounds = dict[str, list[dict[str, Any]]]


def throughput(stage: Stage, seconds: float) -> tuple[list[Figure], Any]:
    """Return the figures of plain chat calls."""
    subjects = [stage.direct, stage.relay, stage.gateway, stage.shared, stage.litellm]
    rounds = _measure(stage, subjects, chat, seconds)
    figures = _per_core(rounds, "chat")
    litellm, relay = stage.litellm.name, stage.relay.name
    figures += [
        at_least("per core, chat: ours / LiteLLM proxy", _ratio(rounds, stage.gateway.name, litellm), 20),
        at_least("per core, chat: ours / bare relay", _ratio(rounds, stage.gateway.name, relay), 0.45),
        at_least(
            "per core, chat: ours with PostgreSQL and Redis / bare relay",
            _ratio(rounds, stage.shared.name, relay),
            0.28,
        ),
        reported(
            "per core, chat: ours with PostgreSQL and Redis / LiteLLM proxy",
            _ratio(rounds, stage.shared.name, litellm),
            "x",
        ),
    ]
    return figures, rounds


def streams(stage: Stage, seconds: float) -> tuple[list[Figure], Any]:
    """Return the figures of streams."""
    subjects = [stage.direct, stage.relay, stage.gateway, stage.shared, stage.litellm]
    rounds = _measure(stage, subjects, stream, seconds)
    figures = _per_core(rounds, "streams")
    litellm, relay = stage.litellm.name, stage.relay.name
    figures += [
        at_least("per core, streams: ours / LiteLLM proxy", _ratio(rounds, stage.gateway.name, litellm), 10),
        reported("per core, streams: ours / bare relay", _ratio(rounds, stage.gateway.name, relay), "x"),
        reported(
            "per core, streams: ours with PostgreSQL and Redis / LiteLLM proxy",
            _ratio(rounds, stage.shared.name, litellm),
            "x",
        ),
    ]
    return figures, rounds


def _measure(
    stage: Stage, subjects: list[Subject], plan: Callable[[float], dict[str, Any]], seconds: float
) -> _Rounds:
    for subject in subjects:
        load(subject, plan(min(seconds, 2.0)))
    rounds: _Rounds = {subject.name: [] for subject in subjects}
    for number in range(_ROUNDS):
        for subject in subjects:
            beside = stage.backends.pids if subject is stage.shared else ()
            sample = measure(subject, plan(seconds), beside=beside)
            rounds[subject.name].append(sample)
            print(
                f"  round {number + 1} {subject.name}: {sample['rps']:.0f}/s, {sample['cpu_ms']:.3f} ms CPU,"
                f" others {sample['others'] * 100:.0f} %",
                file=sys.stderr,
            )
    return rounds


def _per_core(rounds: _Rounds, what: str) -> list[Figure]:
    figures = []
    for name, samples in rounds.items():
        middle = median(samples)
        note = (
            f"{middle['cpu_ms']:.3f} ms CPU each; {middle['rps']:.0f}/s seen,"
            f" p50 {middle['p50_ms']:.2f} ms, p99 {middle['p99_ms']:.2f} ms"
        )
        shown = "upstream itself" if name == "direct" else name
        figures.append(reported(f"{what}, per core: {shown}", round(1000 / middle["cpu_ms"]), "/s", note))
    return figures


def _ratio(rounds: _Rounds, ours: str, other: str) -> float:
    """Return how many requests `ours` answers with the CPU of one of `other`."""
    pairs = zip(rounds[ours], rounds[other], strict=True)
    return float(statistics.median(b["cpu_ms"] / a["cpu_ms"] for a, b in pairs))
