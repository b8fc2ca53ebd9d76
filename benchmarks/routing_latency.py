"""How long one routing decision takes on one core, from prompt to ranking: never seen, and remembered.

    .venv/bin/python benchmarks/routing_latency.py [--artifact DIR] [--runs N]

Prints a Markdown table; the target is a p50 of 6 ms at 64 tokens.
"""

# ruff: noqa: PLC0415 - numpy reads its environment when it is imported.

import argparse
import os
import random
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EMBEDDER = ROOT / "build/dev/models/sentence-transformers/all-MiniLM-L6-v2"
PRETRAINED = ROOT / "router/pretrained/minilm-llmrouter-v1"
ONE_CORE = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1"}
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--artifact", type=Path, default=PRETRAINED)
    parser.add_argument("--runs", type=int, default=300)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    started = time.perf_counter()
    from routeiq_router.folder import read_unsigned
    from routeiq_router.router import Router

    router = Router.load(read_unsigned(arguments.artifact), read_unsigned(EMBEDDER))
    loaded = time.perf_counter() - started
    candidates = {model: model for model in router.models}
    draw = random.Random(0)
    print("| tokens | p50 ms | p99 ms |")
    print("|---|---|---|")
    for tokens in (16, 64, 128, 256):
        prompts = [prompt_of(router, tokens, draw) for _ in range(arguments.runs + 20)]
        for prompt in prompts[:20]:
            time_of(router, prompt, candidates)
        times = sorted(time_of(router, prompt, candidates) for prompt in prompts[20:])
        print(
            f"| {tokens} | {times[len(times) // 2]:.2f} | {times[int(len(times) * 0.99)]:.2f} |", flush=True
        )
    known = prompt_of(router, 64, draw)
    time_of(router, known, candidates)
    times = sorted(time_of(router, known, candidates) for _ in range(arguments.runs))
    print(f"| 64, remembered | {times[len(times) // 2]:.3f} | {times[int(len(times) * 0.99)]:.3f} |")
    rss = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    print(
        f"\nimport and load {loaded:.2f} s, resident {rss:.0f} MB, artifact {router.name} ({router.strategy})"
    )


def prompt_of(router, tokens: int, draw: random.Random) -> str:
    """Return words that make exactly `tokens` tokens, special ones included."""
    words = draw.choices(WORDS, k=tokens - 2)
    assert len(router.embedder.token_ids(" ".join(words))) == tokens
    return " ".join(words)


def time_of(router, prompt: str, candidates: dict[str, str]) -> float:
    started = time.perf_counter()
    router.rank(prompt, candidates, 0.1)
    return (time.perf_counter() - started) * 1e3


if __name__ == "__main__":
    if ONE_CORE.items() <= os.environ.items():
        main()
    else:
        sys.exit(
            subprocess.run(
                [sys.executable, *sys.argv], env={**os.environ, **ONE_CORE}, check=False
            ).returncode
        )
