"""What processes cost (CPU, memory, of a process and all that it started), and what machine this is. Reads /proc."""

import os
import platform
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["LOAD_CORE", "SUBJECT_CORE", "Others", "cpu_seconds", "describe", "memory_mb", "pin", "tree"]

_TICK = os.sysconf("SC_CLK_TCK")
_CORES = sorted(os.sched_getaffinity(0))
SUBJECT_CORE, LOAD_CORE = _CORES[0], _CORES[-1]
"""The subject has a core of its own; load, upstream and backends share the other."""


def tree(pid: int) -> list[int]:
    """Return `pid` and every living process below it."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (fields := _stat(int(folder.name))):
            parents[int(folder.name)] = int(fields[1])
    found = [pid]
    for known in found:
        found += [child for child, parent in parents.items() if parent == known]
    return found


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process, of those below it, and of those it has waited for."""
    total = 0
    for member in tree(pid):
        if fields := _stat(member):
            total += sum(int(field) for field in fields[11:15])
    return total / _TICK


def _stat(pid: int) -> list[str]:
    """Return the fields after the name: state, parent …; none when it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


class Others:
    """CPU that everybody but this run takes, as a share of one core since it was made: who measures alone reads 0."""

    def __init__(self) -> None:
        self._started, self._cpu = time.monotonic(), self._seconds()

    def share(self) -> float:
        passed = max(time.monotonic() - self._started, 1e-3)
        return round(max(0.0, self._seconds() - self._cpu) / passed, 3)

    @staticmethod
    def _seconds() -> float:
        # user, nice, system and steal; interrupts are nobody's.
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
        busy = sum(int(fields[index]) for index in (0, 1, 2, 7)) / _TICK
        return busy - cpu_seconds(os.getpid())


def memory_mb(pid: int) -> dict[str, float]:
    """Return resident and proportional memory of a process and all below it, in MB (10^6 bytes)."""
    total = {"rss": 0, "pss": 0}
    for member in tree(pid):
        try:
            lines = Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()[1:]
        except (FileNotFoundError, ProcessLookupError):
            continue
        for line in lines:
            name, kilobytes = line.split()[:2]
            if (key := name.rstrip(":").lower()) in total:
                total[key] += int(kilobytes) * 1024
    return {name: round(value / 1e6, 2) for name, value in total.items()}


def pin(core: int) -> list[str]:
    """Return what to put before a command so that it stays on one core, with all that it starts."""
    return ["taskset", "--cpu-list", str(core)]


def describe() -> dict[str, Any]:
    """Return CPU, cores, memory, date and the versions that matter."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    names = ("aiohttp", "uvloop", "httptools", "uvicorn", "psycopg", "litellm", "routeiq-appliance")
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "kernel": platform.release(),
        "versions": {"python": sys.version.split()[0], **{name: _version(name) for name in names}},
        "load_average_before": round(os.getloadavg()[0], 2),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
