"""Measures the gateway beside a bare relay, the LiteLLM proxy and nothing, in one run on one machine.

    build/venvs/test/bin/python benchmarks/gateway/run.py [--only throughput,streams,…] [--seconds 4] [--minutes 30]

Prints a table of figures with their targets and writes results.json. Exit 1 when a subject does not work; a missed
target is printed as MISSED and fails nothing. README.md beside the other benchmarks tells what each figure means.
"""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

# Not this folder: it holds a `profile`, as the standard library does.
sys.path[0] = str(Path(__file__).resolve().parents[2])

from benchmarks.gateway import (  # noqa: E402
    auto,
    concurrency,
    latency,
    ledger,
    machine,
    report,
    soak,
    startup,
    telemetry,
    throughput,
)
from benchmarks.gateway.report import Figure  # noqa: E402
from benchmarks.gateway.stage import Stage  # noqa: E402

from routeiq_signing.errors import RouteIQError  # noqa: E402

Part = Callable[[Stage, float], tuple[list[Figure], Any]]


def parts_of(minutes: float) -> dict[str, Part]:
    """Return what can be asked for, in order."""
    return {
        "throughput": throughput.throughput,
        "streams": throughput.streams,
        "latency": latency.latency,
        "concurrency": concurrency.concurrency,
        "startup": startup.startup,
        "auto": auto.auto,
        "telemetry": telemetry.telemetry,
        "ledger": ledger.ledger,
        "soak": partial(soak.soak, minutes=minutes),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="parts, separated by commas; default: all but soak")
    parser.add_argument("--seconds", type=float, default=4.0, help="of load in each step")
    parser.add_argument("--minutes", type=float, default=30.0, help="of the part soak")
    arguments = parser.parse_args()
    parts = parts_of(arguments.minutes)
    asked = arguments.only.split(",") if arguments.only else [name for name in parts if name != "soak"]
    if unknown := [name for name in asked if name not in parts]:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(parts)}")
    about, started = machine.describe(), time.monotonic()
    figures: list[Figure] = []
    details: dict[str, Any] = {}
    failed = False
    try:
        with Stage() as stage:
            for name in asked:
                begun = time.monotonic()
                found, detail = parts[name](stage, arguments.seconds)
                print(f"{name}: {time.monotonic() - begun:.0f} s", file=sys.stderr)
                figures += found
                details[name] = {"figures": found, "details": detail}
    except (RouteIQError, RuntimeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        failed = True
    about["load_average_after"] = round(machine.os.getloadavg()[0], 2)
    settings = {"seconds_per_step": arguments.seconds, "took_seconds": round(time.monotonic() - started)}
    print(report.table(figures))
    path = report.save(about, settings, figures, details, complete=not failed and not arguments.only)
    print(f"\n{settings['took_seconds']} s; written: {path.name}", file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
