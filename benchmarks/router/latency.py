"""How long one routing decision takes on one core, from prompt to ranking: never seen, and remembered.

As a module: `latency(stage, strategy)` measures each embedder in a process of its own. As a script: one of them, JSON
on stdout. CPU is the deciding thread's own time, which others on the machine disturb less.
"""

# ruff: noqa: PLC0415 - numpy reads its environment when it is imported, and imports are part of what is measured.

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

__all__ = ["EMBEDDERS", "HEAVY", "ONE_CORE", "TOKENS", "WORDS", "latency"]

EMBEDDERS = ("int8", "fp32", "static")
TOKENS = (16, 64, 256, 512)
ONE_CORE = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
HEAVY = ("torch", "sklearn", "scipy", "transformers", "matplotlib", "litellm")
WORDS = [
    "the",
    "of",
    "water",
    "number",
    "find",
    "why",
    "list",
    "code",
    "price",
    "sort",
    "river",
    "table",
    "light",
]
_RUNS, _WARM = 200, 20


def latency(stage: Any, strategy: str) -> dict[str, Any]:
    """Return figures of `strategy` per embedder; fp32, there to compare encoders, has the quickest artifact."""
    found = {}
    for kind in EMBEDDERS:
        command = [
            sys.executable,
            __file__,
            str(getattr(stage, kind)),
            str(stage.artifact(kind, "ridge" if kind == "fp32" else strategy)),
        ]
        core = str(min(os.sched_getaffinity(0)))
        done = subprocess.run(
            ["taskset", "--cpu-list", core, *command],
            env={**os.environ, **ONE_CORE},
            stdout=subprocess.PIPE,
            check=True,
        )
        found[kind] = json.loads(done.stdout)
    return found


def main(embedder: Path, artifact: Path) -> dict[str, Any]:
    before = resident()
    started = time.perf_counter()
    from routeiq_router.folder import read_unsigned
    from routeiq_router.router import Router

    router = Router.load(read_unsigned(artifact), read_unsigned(embedder))
    router.warm_up()
    loaded = time.perf_counter() - started
    memory = resident()
    candidates = {model: model for model in router.models}
    draw = random.Random(0)
    result: dict[str, Any] = {
        "strategy": router.strategy,
        "models": len(router.models),
        "load_seconds": round(loaded, 3),
        "memory_mb": round(memory, 1),
        "memory_added_mb": round(memory - before, 1),
        "heavy_imports": sorted(set(HEAVY) & set(sys.modules)),
        "tokens": {},
    }
    for tokens in TOKENS:
        prompts = [prompt_of(tokens, draw) for _ in range(_RUNS + _WARM)]
        times = [time_of(router, prompt, candidates) for prompt in prompts][_WARM:]
        result["tokens"][str(tokens)] = summary(times)
    known = prompt_of(64, draw)
    time_of(router, known, candidates)
    result["remembered"] = summary([time_of(router, known, candidates) for _ in range(_RUNS)])
    return result


def summary(times: list[tuple[float, float]]) -> dict[str, float]:
    """Return milliseconds: median and 99th percentile of the wall clock, median of the thread's CPU."""
    wall, cpu = sorted(pair[0] for pair in times), sorted(pair[1] for pair in times)
    late = int(len(times) * 0.99)
    return {
        "p50_ms": round(wall[len(wall) // 2], 3),
        "p99_ms": round(wall[late], 3),
        "cpu_p50_ms": round(cpu[len(cpu) // 2], 3),
    }


def resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def prompt_of(tokens: int, draw: random.Random) -> str:
    """Return words that make `tokens` tokens, special ones included, before any are cut."""
    return " ".join(draw.choices(WORDS, k=tokens - 2))


def time_of(router: Any, prompt: str, candidates: dict[str, str]) -> tuple[float, float]:
    """Return wall and CPU milliseconds."""
    started, cpu = time.perf_counter(), time.thread_time()
    router.rank(prompt, candidates, 0.1)
    return (time.perf_counter() - started) * 1e3, (time.thread_time() - cpu) * 1e3


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]))))
