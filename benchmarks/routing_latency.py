"""How long one routing decision takes on one core, from prompt to ranking: never seen, and remembered.

    .venv/bin/python benchmarks/routing_latency.py [--with EMBEDDER ARTIFACT] [--runs N]

Prints a Markdown table: the sentence encoder in int8, what `--with` adds (a static embedder and its artifact), and a
prompt that is remembered. The target is a p50 of 6 ms at 64 tokens. CPU is the deciding thread's own time, which
others on the machine disturb less.
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
    parser.add_argument(
        "--with",
        dest="more",
        nargs=2,
        type=Path,
        action="append",
        default=[],
        metavar=("EMBEDDER", "ARTIFACT"),
    )
    parser.add_argument("--runs", type=int, default=300)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print("| embedder | tokens | p50 ms | p99 ms | CPU p50 ms |")
    print("|---|---|---|---|---|")
    notes = [measure(*pair, arguments.runs) for pair in [(EMBEDDER, arguments.artifact), *arguments.more]]
    print("\n" + "\n".join(notes))


def measure(embedder: Path, artifact: Path, runs: int) -> str:
    started = time.perf_counter()
    from routeiq_router.folder import read_unsigned
    from routeiq_router.router import Router

    before = resident()
    router = Router.load(read_unsigned(artifact), read_unsigned(embedder))
    router.warm_up()
    loaded = time.perf_counter() - started
    candidates = {model: model for model in router.models}
    kind = "static" if router.embedder.kind == "static" else "int8"
    draw = random.Random(0)
    for tokens in (16, 64, 128, 256):
        prompts = [prompt_of(router, tokens, draw) for _ in range(runs + 20)]
        times = [time_of(router, prompt, candidates) for prompt in prompts]
        print_row(kind, str(tokens), times[20:])
    known = prompt_of(router, 64, draw)
    time_of(router, known, candidates)
    print_row(kind, "64, remembered", [time_of(router, known, candidates) for _ in range(runs)])
    return (
        f"{kind}: import, load and warm-up {loaded:.2f} s, {resident() - before:.0f} MB more of memory, "
        f"artifact {router.name} ({router.strategy})"
    )


def print_row(kind: str, what: str, times: list[tuple[float, float]]) -> None:
    wall, cpu = sorted(pair[0] for pair in times), sorted(pair[1] for pair in times)
    middle, late = len(times) // 2, int(len(times) * 0.99)
    print(f"| {kind} | {what} | {wall[middle]:.3f} | {wall[late]:.3f} | {cpu[middle]:.3f} |", flush=True)


def resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def prompt_of(router, tokens: int, draw: random.Random) -> str:
    """Return words that make exactly `tokens` tokens, special ones included."""
    words = draw.choices(WORDS, k=tokens - 2)
    assert len(router.embedder.token_ids(" ".join(words))) == tokens
    return " ".join(words)


def time_of(router, prompt: str, candidates: dict[str, str]) -> tuple[float, float]:
    """Return wall and CPU milliseconds."""
    started, cpu = time.perf_counter(), time.thread_time()
    router.rank(prompt, candidates, 0.1)
    return (time.perf_counter() - started) * 1e3, (time.thread_time() - cpu) * 1e3


if __name__ == "__main__":
    if ONE_CORE.items() <= os.environ.items():
        main()
    else:
        sys.exit(
            subprocess.run(
                [sys.executable, *sys.argv], env={**os.environ, **ONE_CORE}, check=False
            ).returncode
        )
