"""Renews the locks of wheels with pip-compile, under the target's own interpreter.

Markers (`python_full_version < "3.11.3"`) are evaluated by the Python that runs pip-compile, and the images carry
Debian 12's, so another patch version would lock another set. All locks are made in a scratch folder and moved
into place together: a failure in the last leaves the first as it was.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from routeiq_signing.files import write_atomic
from routeiq_signing.progress import Progress
from routeiq_vendor.environment import ensure_environment
from routeiq_vendor.errors import LockError
from routeiq_vendor.pool import digest_of
from routeiq_vendor.wheels.lock import TARGET_PYTHON, moved
from routeiq_vendor.wheels.store import WheelStore, load_lock

__all__ = ["LOCKS", "LockCompiler"]

LOCKS = ("gateway", "build", "test", "demo", "export", "node")
"""In the order in which they constrain each other."""

_TOOLS = frozenset(
    {"build", "click", "packaging", "pip", "pip-tools", "pyproject-hooks", "setuptools", "wheel"}
)
_FLAGS = (
    "--generate-hashes",
    "--allow-unsafe",
    "--strip-extras",
    "--no-header",
    "--quiet",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--no-emit-trusted-host",
)  # fmt: skip - no host of an index in a lock


@dataclass(frozen=True)
class LockCompiler:
    """`locks` holds the `.in` and `.txt` files; `python` is the target's interpreter on this host."""

    locks: Path
    build: Path
    wheels: WheelStore
    torch_index: str
    python: str = "/usr/bin/python3"

    def renew(
        self, progress: Progress, *, only: Collection[str] = ()
    ) -> Mapping[str, list[tuple[str, str, str]]]:
        """Upgrade every lock (`only`: just these distributions) and return what moved in each.

        Raises `LockError` when the interpreter is not the target's or when pip finds no solution.
        """
        compiler = self._environment(progress)
        scratch = Path(tempfile.mkdtemp(dir=self.build, prefix="locks-"))
        try:
            for path in self.locks.iterdir():
                if path.suffix in {".in", ".txt"}:
                    shutil.copy(path, scratch)
            with progress.task("resolve the wheels", len(LOCKS), "lock") as advance:
                for name in LOCKS:
                    self._compile(compiler, scratch, name, only)
                    advance(1)
            changes = {}
            for name in LOCKS:
                old, new = self.locks / f"{name}.txt", scratch / f"{name}.txt"
                changes[name] = moved(load_lock(old) if old.exists() else (), load_lock(new))
            for name in LOCKS:
                write_atomic(self.locks / f"{name}.txt", (scratch / f"{name}.txt").read_bytes())
            return changes
        finally:
            shutil.rmtree(scratch)

    def _compile(self, compiler: Path, scratch: Path, name: str, only: Collection[str]) -> None:
        flags = [flag for package in only for flag in ("--upgrade-package", package)] or ["--upgrade"]
        command = [str(compiler), *_FLAGS, *flags, "--output-file", f"{name}.txt", f"{name}.in"]
        done = self._call(command, scratch)
        if done.returncode != 0 and name == "export":
            # torch's CPU build: the configured places first, then PyTorch's own index.
            done = self._call([*command, "--extra-index-url", self.torch_index], scratch)
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no output"])[-1]
            raise LockError(f"{name}.in: {last}", subject=f"{name}.in")

    def _environment(self, progress: Progress) -> Path:
        version = self._call([self.python, "-c", "import platform; print(platform.python_version())"], None)
        if version.stdout.strip() != TARGET_PYTHON:
            raise LockError(
                f"{self.python}: is Python {version.stdout.strip() or 'unknown'}, the images carry {TARGET_PYTHON}",
                subject=self.python,
                hint="renew the locks on Debian 12: markers are evaluated by the running Python",
            )
        lock = self.locks / "build.txt"
        pins = [pin for pin in load_lock(lock) if pin.name in _TOOLS]
        wheels = self.wheels.fetch(pins, lock.name, progress, offline=False)
        home = self.build / "venvs" / "lock"
        ensure_environment(
            home, wheels, key=digest_of(lock), pool=self.wheels.pool, progress=progress, base=self.python
        )
        return home / "bin" / "pip-compile"

    @staticmethod
    def _call(command: list[str], folder: Path | None) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        return subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
