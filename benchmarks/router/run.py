"""Measures routing: its quality by nested cross-validation, its speed, and the usual way of doing the same beside it.

    build/venvs/test/bin/python benchmarks/router/run.py [--only quality,latency,rivals]

Prints a table of figures with their targets, writes results.json here and router/routeiq_router/measured.json, draws
the plots of docs/routing.md. Quality is remembered in build/ until code or data change (half an hour when it is not).
Without the data (`ROUTEIQ_ROUTING_DATA`) quality is skipped by name. A missed target is printed and fails nothing.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

# Not this folder, whose names are common ones.
sys.path[0] = str(Path(__file__).resolve().parents[2])

from benchmarks.gateway import machine  # noqa: E402
from benchmarks.router.latency import latency  # noqa: E402
from benchmarks.router.quality import DEFAULT, quality  # noqa: E402
from benchmarks.router.report import figures, measured, table  # noqa: E402
from benchmarks.router.rivals import rivals  # noqa: E402
from benchmarks.router.stage import DATA, ROOT, SETS, Stage  # noqa: E402

from routeiq_signing.errors import RouteIQError  # noqa: E402
from routeiq_signing.files import write_atomic  # noqa: E402

RESULTS = Path(__file__).with_name("results.json")
MEASURED = ROOT / "router/routeiq_router/measured.json"
PARTS: dict[str, Callable[[Stage], dict[str, Any]]] = {
    "quality": quality,
    "latency": partial(latency, strategy=DEFAULT),
    "rivals": rivals,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    asked = parser.parse_args().only.split(",")
    if unknown := [name for name in asked if name not in PARTS]:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    about = machine.describe()
    found: dict[str, Any] = json.loads(RESULTS.read_text())["parts"] if RESULTS.is_file() else {}
    try:
        for name in asked:
            if name == "quality" and not all((DATA / one).is_file() for one in SETS):
                print("skipped: quality (no data: set ROUTEIQ_ROUTING_DATA)", file=sys.stderr)
                continue
            found[name] = PARTS[name](Stage())
    except (RouteIQError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    rows = figures(found, DEFAULT)
    print(table(rows))
    result = {"about": about, "default": DEFAULT, "figures": [asdict(row) for row in rows], "parts": found}
    write_atomic(RESULTS, _json(result))
    if "quality" in asked and "quality" in found:
        write_atomic(MEASURED, _json(measured(found["quality"], about)))
    return 0


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


if __name__ == "__main__":
    sys.exit(main())
