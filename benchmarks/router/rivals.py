"""The usual way of doing the same, in a throw-away environment: what `rival.py` measures, or the reason why it cannot.

torch is the CPU build, from wherever pip is configured to find it; where there is none, the rows are skipped by name.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.router.latency import ONE_CORE
from benchmarks.router.stage import DATA, ROOT, SETS, Stage

__all__ = ["rivals"]

_FOLDER = ROOT / "build/bench/rivals"
_TORCH = "torch==2.13.0+cpu"
_KINDS = {
    "scikit-learn": ("sentence-transformers + scikit-learn KNN", ["sentence-transformers", "scikit-learn"]),
    "llmrouter": ("LLMRouter KNN (llmrouter-lib)", ["llmrouter-lib"]),
}
_QUIET = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
_INSTALL_SECONDS, _RUN_SECONDS = 900, 600


def rivals(stage: Stage) -> dict[str, Any]:
    """Return for each kind its figures, or `{"skipped": reason}`."""
    found: dict[str, Any] = {}
    for kind, (title, packages) in _KINDS.items():
        reason = _install(kind, packages)
        found[kind] = {"title": title, **({"skipped": reason} if reason else _measure(kind, stage))}
    return found


def _install(kind: str, packages: list[str]) -> str | None:
    """Have the packages in the environment; return why not."""
    ready, python = _FOLDER / f".ready-{kind}", _FOLDER / "bin/python"
    if ready.exists():
        return None
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", _FOLDER], check=True)
    print(f"installing {', '.join(packages)} into {_FOLDER.relative_to(ROOT)}", file=sys.stderr)
    environ = {"PIP_CACHE_DIR": str(ROOT / "build/cache/pip"), **os.environ}
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", _TORCH, *packages]
    try:
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"not installed within {_INSTALL_SECONDS} s"
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        return f"does not install: {(errors or ['pip failed'])[0].removeprefix('ERROR: ')[:300]}"
    ready.touch()
    return None


def _measure(kind: str, stage: Stage) -> dict[str, Any]:
    core = str(min(os.sched_getaffinity(0)))
    script = Path(__file__).with_name("rival.py")
    command = [_FOLDER / "bin/python", script, kind, stage.sentence_transformers, DATA / SETS[0]]
    done = subprocess.run(
        ["taskset", "--cpu-list", core, *map(str, command)],
        env={**os.environ, **ONE_CORE, **_QUIET}, capture_output=True, text=True, timeout=_RUN_SECONDS, check=False,
    )  # fmt: skip
    if done.returncode:
        return {"skipped": f"does not run: {(done.stderr.strip().splitlines() or ['no message'])[-1][:300]}"}
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result
