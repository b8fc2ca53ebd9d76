"""Where the gateway's CPU goes: samples it with py-spy under load, prints the hottest functions and files.

    build/venvs/test/bin/python benchmarks/gateway/profile.py [--seconds 10] [--shared] [--stream] [--top 40]

The gateway is started as the benchmark starts it. py-spy comes from pip into an environment of its own below
build/bench. Sampling stops the process for an instant each time: read shares here, never times. C functions count for
the Python function that calls them.
"""

import argparse
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

# Not this folder: this file would stand in for the standard library's `profile`.
sys.path[0] = str(Path(__file__).resolve().parents[2])

from benchmarks.gateway.machine import LOAD_CORE, pin  # noqa: E402
from benchmarks.gateway.measure import chat, finished, load, spawn, stream  # noqa: E402
from benchmarks.gateway.stage import Stage  # noqa: E402

_ROOT = Path(__file__).resolve().parents[2]
_RATE = 400
_PY_SPY = "py-spy==0.4.3"
# Threads that wait: py-spy cannot tell them from running ones in every container.
_WAITING = (
    "_worker (concurrent/futures/thread.py",
    "Condition.wait (threading.py",
    "_PollLikeSelector.select (",
)


@dataclass
class Profile:
    """Samples: `own` where one hit, `under` where the function was anywhere on the stack; by file and by thread."""

    total: int = 0
    own: Counter[str] = field(default_factory=Counter)
    under: Counter[str] = field(default_factory=Counter)
    files: Counter[str] = field(default_factory=Counter)
    threads: Counter[str] = field(default_factory=Counter)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--shared", action="store_true", help="with PostgreSQL and Redis")
    parser.add_argument("--stream", action="store_true", help="streams of 50 chunks")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--top", type=int, default=40, help="lines in each list")
    parser.add_argument("--save", type=Path, help="write the stacks (flamegraph.pl's and speedscope's text)")
    arguments = parser.parse_args()
    program = py_spy()
    plan = (stream if arguments.stream else chat)(arguments.seconds + 2.0, connections=arguments.connections)
    with Stage() as stage:
        subject = stage.shared if arguments.shared else stage.gateway
        load(subject, {**plan, "seconds": 2.0})
        stacks = arguments.save or stage.folder / "stacks.txt"
        running = spawn(subject, plan)
        command = [
            *pin(LOAD_CORE), str(program), "record", "--pid", str(subject.pid), "--duration", str(arguments.seconds),
            "--rate", str(_RATE), "--format", "raw", "--threads", "--function", "--output", str(stacks),
        ]  # fmt: skip
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        counted = finished(subject, running, plan)
        print(f"{counted['rps']:.0f} requests/s while sampled")
        print(report(read(stacks.read_text(encoding="utf-8").splitlines()), arguments.top))
    return 0


def py_spy() -> Path:
    """Return the program, installed on first use."""
    folder = _ROOT / "build" / "bench" / "py-spy"
    program = folder / "bin" / "py-spy"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        environ = {"PIP_CACHE_DIR": str(_ROOT / "build/cache/pip"), **os.environ}
        pip = [
            folder / "bin/python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            _PY_SPY,
        ]
        subprocess.run(pip, check=True, env=environ)
    return program


def read(lines: Iterable[str]) -> Profile:
    """Add up py-spy's raw lines: `thread …;function (file);… COUNT`."""
    profile = Profile()
    for line in lines:
        stack, _, number = line.rpartition(" ")
        count = int(number)
        thread, *frames = stack.split(";")
        if not frames or frames[-1].startswith(_WAITING):
            continue
        profile.total += count
        profile.threads[re.sub(r"^thread \(\w+\): ", "", thread)] += count
        profile.own[frames[-1]] += count
        profile.files[file_of(frames[-1])] += count
        profile.under.update(dict.fromkeys(frames, count))
    return profile


def file_of(frame: str) -> str:
    found = re.search(r"\(([^()]*)\)$", frame)
    return re.sub(r":\d+$", "", found[1]) if found else frame


def report(profile: Profile, top: int) -> str:
    sections = {
        "by thread": profile.threads,
        "by file, own time": profile.files,
        "by function, own time": profile.own,
        "by function, with what it calls": profile.under,
    }
    lines = []
    for title, counts in sections.items():
        lines.append(f"\n{title}")
        lines += [f"{100 * count / profile.total:6.1f} %  {name}" for name, count in counts.most_common(top)]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
