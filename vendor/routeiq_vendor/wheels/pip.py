"""Runs pip to download wheels for the target, and turns what it prints into our progress.

pip brings the host's configuration (index, proxy, certificates) and the cache under `PIP_CACHE_DIR`;
nothing of that is known here. Hashes are checked by pip and again by the pool.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from routeiq_signing.progress import Advance, Progress
from routeiq_vendor.errors import DownloadError
from routeiq_vendor.wheels.lock import PLATFORMS, TARGET_PYTHON, Pin

__all__ = ["download", "relay"]

_START = re.compile(r"\s*Downloading (?P<name>\S+?)(?: \((?P<size>[\d.]+) (?P<unit>bytes|[kMG]?B)\))?$")
_LOCAL = re.compile(r"\s*(?:Using cached|Processing) (?P<name>\S+)")
_STEP = re.compile(r"Progress (?P<done>\d+) of (?P<total>\d+)")
_SILENT = 512 * 1024  # pip reports no steps of a file that is not larger
_UNITS = {"bytes": 1, "B": 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3}


class _File:
    """The one file that pip is downloading: opens the task when its exact size is known, closes it whole."""

    def __init__(self, progress: Progress, filename: str, size: int) -> None:
        self._stack = ExitStack()
        self._progress = progress
        self._what = " ".join(filename.rsplit("/", 1)[-1].split("-")[:2])
        self._size = size
        self._done = 0
        self._advance: Advance | None = None
        if size <= _SILENT:
            self._begin()

    def _begin(self) -> Advance:
        self._advance = self._stack.enter_context(self._progress.task(self._what, self._size))
        return self._advance

    def step(self, done: int, total: int) -> None:
        """Note that `done` of `total` bytes have come."""
        self._size = total
        (self._advance or self._begin())(done - self._done)
        self._done = done

    def end(self) -> None:
        """Note that pip went on to something else."""
        with self._stack:
            (self._advance or self._begin())(max(self._size - self._done, 0))


def relay(lines: Iterable[str], progress: Progress) -> list[str]:
    """Draw one task per file that pip (`--progress-bar raw`) reports; return its last lines that are neither."""
    rest: deque[str] = deque(maxlen=20)
    file: _File | None = None
    for line in lines:
        if step := _STEP.match(line):
            if file:
                file.step(int(step["done"]), int(step["total"]))
            continue
        if file:
            file.end()
            file = None
        if start := _START.match(line):
            file = _File(
                progress, start["name"], int(float(start["size"] or 0) * _UNITS[start["unit"] or "B"])
            )
        elif not _LOCAL.match(line) and line.strip():
            rest.append(line.rstrip())
    if file:
        file.end()
    return list(rest)


def download(pins: Sequence[Pin], into: Path, progress: Progress, *, extra_index: str | None = None) -> None:
    """Fetch one wheel per pin into the folder; `DownloadError` with pip's own words when one is not served.

    `extra_index` is asked besides the configured places: a hash decides in the end what is taken. Pins without
    hashes are taken as the index serves them (only for making locks).
    """
    into.mkdir(parents=True, exist_ok=True)
    targets = [f"--platform={platform}" for platform in PLATFORMS]
    targets += [f"--abi={abi}" for abi in ("cp311", "abi3", "none")]
    targets += ["--implementation=cp", f"--python-version={TARGET_PYTHON}"]
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--disable-pip-version-check",
        "--progress-bar=raw",
        "--no-color",
    ]
    command += ["--no-deps", "--only-binary=:all:", *targets, f"--dest={into}"]
    if all(pin.hashes for pin in pins):
        command.append("--require-hashes")
    if extra_index:
        command.append(f"--extra-index-url={extra_index}")
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as requirements:
        requirements.write("\n".join(pin.line for pin in pins) + "\n")
        requirements.flush()
        command.append(f"--requirement={requirements.name}")
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        ) as pip:
            said = relay(pip.stdout or (), progress)
    if pip.returncode != 0:
        reason = next((line for line in reversed(said) if line.startswith("ERROR:")), "pip failed")
        raise DownloadError(
            f"{', '.join(map(str, pins[:5]))}{' …' if len(pins) > 5 else ''}: {reason.removeprefix('ERROR: ')}",
            subject=pins[0].name,
            hint="check pip's configured index (`pip config list`) and the network; `make lock` renews the locks",
        )
