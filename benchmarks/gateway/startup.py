"""How long a worker takes from its command to its first `ready`, and the memory it then has; LiteLLM not imported.

Not pinned: a start may use every core, as a user's does.
"""

import re
import statistics
import time
from typing import Any

from benchmarks.gateway import gateway
from benchmarks.gateway.machine import Others, memory_mb
from benchmarks.gateway.measure import StepError, chat, load, quietest
from benchmarks.gateway.report import Figure, at_most, equal
from benchmarks.gateway.stage import Stage, Subject, answers

__all__ = ["startup"]

_STARTS, _COUNTED = 6, 3
_SECONDS = 1.2
_MEGABYTES = 120


def startup(stage: Stage, seconds: float) -> tuple[list[Figure], Any]:
    """Return the first start (it makes the database), the median of the later ones, memory before and after load."""
    config, folder = gateway.config_of(stage.upstream.port), stage.folder / "startup"
    times: list[float] = []
    shares: list[dict[str, float]] = []
    memory, loaded = {}, {}
    for number in range(_STARTS + 1):
        others, started = Others(), time.perf_counter()
        service, port = gateway.start("gateway", folder, config, stage.environ, pinned=False)
        with service:
            while not answers(port, "/health/readiness"):
                service.require_running()
                time.sleep(0.01)
            times.append(round(time.perf_counter() - started, 3))
            shares.append({"others": others.share()})
            if number < _STARTS:
                continue
            memory = memory_mb(service.pid)
            key, _ = gateway.generate_key(port)
            load(Subject("gateway", port, service.pid, key), chat(seconds))
            loaded = memory_mb(service.pid)
    quiet = [number + 1 for number in quietest(shares[1:], _COUNTED)]
    again = statistics.median(times[number] for number in quiet)
    taken = max(shares[number]["others"] for number in quiet) * 100
    note = f"median of the {_COUNTED} quietest of {_STARTS}; others took {taken:.0f} % of a core"
    figures = [
        at_most("start to ready: first start, database made", times[0], _SECONDS, "s"),
        at_most("start to ready: later starts", again, _SECONDS, "s", note),
    ]
    for name, when in ((memory, "when ready"), (loaded, "after load")):
        note = f"PSS {name['pss']:.1f} MB"
        figures.append(at_most(f"memory of one worker {when}: RSS", name["rss"], _MEGABYTES, "MB", note))
    imported = _litellm_modules(stage)
    figures.append(equal("start to ready: modules of LiteLLM imported", imported, 0, "modules"))
    return figures, {
        "seconds": times,
        "others": shares,
        "memory_when_ready": memory,
        "memory_after_load": loaded,
    }


def _litellm_modules(stage: Stage) -> int:
    """Return how many of LiteLLM's modules one more start imports, as the interpreter itself lists them."""
    folder = stage.folder / "imports"
    environ = {**stage.environ, "PYTHONPROFILEIMPORTTIME": "1"}
    config = gateway.config_of(stage.upstream.port)
    service, port = gateway.start("gateway", folder, config, environ, pinned=False)
    with service:
        service.wait_until(lambda: answers(port, "/health/readiness"), seconds=60)
        listed = (folder / "gateway.log").read_text(encoding="utf-8", errors="replace")
    if "import time:" not in listed:
        raise StepError("gateway: the interpreter did not list its imports")
    return len(re.findall(r"^import time:.*\| *litellm(?:\.|$)", listed, re.MULTILINE))
