"""Whether the ledger holds exactly what was answered: rows, costs and spend of every key this run used.

The spend is read from the database and from `/key/info`, as an administrator would.
"""

from decimal import Decimal
from typing import Any

from benchmarks.gateway.gateway import COST_PICO, Gateway
from benchmarks.gateway.measure import chat, load, stream
from benchmarks.gateway.report import Figure, equal
from benchmarks.gateway.stage import Stage

__all__ = ["ledger"]


def ledger(stage: Stage, seconds: float) -> tuple[list[Figure], Any]:
    """Add some load, wait for the shippers, then compare the databases with what the clients counted."""
    for subject in (stage.gateway, stage.shared):
        load(subject, chat(min(1.0, seconds)))
        load(subject, stream(min(1.0, seconds)))
    figures, details = [], {}
    for running in stage.gateways:
        found, name = running.shipped(), running.name
        answers, streams = sum(running.answers.values()), running.answers[True]
        cost = sum(COST_PICO[streamed] * count for streamed, count in running.answers.items())
        off = abs(found.cost - cost) + abs(found.spend - cost) + abs(_told(running) - cost)
        figures += [
            equal(f"ledger, {name}: rows, counted answers", found.rows - found.odd, answers, "rows"),
            equal(
                f"ledger, {name}: cost of the rows, spend of the key and `/key/info`, off by",
                off,
                0,
                "pico-dollars",
            ),
        ]
        details[name] = {
            "answers": answers,
            "streams": streams,
            "rows": found.rows,
            "other_rows": found.odd,
            "pico_dollars": cost,
        }
    return figures, details


def _told(running: Gateway) -> int:
    """Return the spend that `/key/info` tells, in pico-dollars."""
    told = running.endpoint.get(f"/key/info?key={running.key}")
    return round(Decimal(str(told["spend"])) * 10**12)
