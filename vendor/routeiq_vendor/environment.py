"""Installs wheels of the pool into a virtual environment; no index is asked, pip's configuration is left aside.

Environments that are made from the pool (the export's, pip-compile's, the tests') cost no second download, whatever
pip's own cache does.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from routeiq_signing.files import write_atomic
from routeiq_signing.progress import Progress
from routeiq_vendor.errors import VendorError
from routeiq_vendor.pool import Pool
from routeiq_vendor.wheels.lock import Pin
from routeiq_vendor.wheels.store import Wheel

__all__ = ["call", "ensure_environment", "install"]

_MARKER = "routeiq-lock"


def call(command: Sequence[str], what: str, error: type[VendorError] = VendorError) -> str:
    """Run a Python tool with a clean environment and return its output; its last line is the error's reason."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "PYTHON"))}
    environment["PIP_CONFIG_FILE"] = os.devnull  # nothing but the pool's wheels: no configured place is asked
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        last = ((done.stderr or done.stdout).strip().splitlines() or ["no output"])[-1]
        raise error(f"{what}: {last}", subject=what)
    return done.stdout


def install(python: Path, wheels: Sequence[Wheel], *, pool: Pool, what: str, progress: Progress) -> None:
    """Install exactly these wheels, by hash, for the given interpreter (which needs no pip of its own)."""
    with (
        progress.task(f"install {what}", len(wheels), "wheel") as advance,
        tempfile.TemporaryDirectory(dir=pool.root, prefix="install-") as scratch,
    ):
        links = Path(scratch) / "wheels"
        pool.view(links, {wheel.filename: wheel.sha256 for wheel in wheels})
        requirements = Path(scratch) / "requirements.txt"
        lines = [Pin(wheel.name, wheel.version, frozenset({wheel.sha256})).line for wheel in wheels]
        requirements.write_text("\n".join(lines) + "\n", encoding="ascii")
        pip = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(python),
            "install",
            "--quiet",
            "--no-cache-dir",
            "--no-deps",
        ]
        pip += [
            "--no-index",
            "--find-links",
            str(links),
            "--require-hashes",
            "--requirement",
            str(requirements),
        ]
        call(pip, what)
        advance(len(wheels))


def ensure_environment(
    home: Path,
    wheels: Sequence[Wheel],
    *,
    key: str,
    pool: Pool,
    progress: Progress,
    base: str = sys.executable,
) -> Path:
    """Have an environment of exactly these wheels at `home`, made by the interpreter `base`; return its Python.

    `key` identifies the set (a lock's digest); while the environment was made for the same key, nothing happens.
    """
    python, marker = home / "bin" / "python", home / _MARKER
    if not (marker.is_file() and marker.read_text(encoding="ascii") == key):
        shutil.rmtree(home, ignore_errors=True)
        call([base, "-m", "venv", "--without-pip", str(home)], str(home))
        install(python, wheels, pool=pool, what=f"the environment {home.name}", progress=progress)
        write_atomic(marker, key.encode("ascii"))
    return python
