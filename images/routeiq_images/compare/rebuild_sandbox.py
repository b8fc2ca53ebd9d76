"""Runs the tools and the source of a bundle's inputs in child processes, without a network or this host's settings.

The network is cut off by a namespace of the kernel (`unshare -rn`, or `unshare -n` for root). Where the kernel gives
none, the tools are only told to stay offline, and `Sandbox.network` says so; nothing here pretends otherwise. What runs
is the producer's code with the rights of whoever calls: it is believed for its signature, nothing confines its files.
"""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from routeiq_images.errors import ImagesError
from routeiq_signing.progress import Progress

__all__ = ["ISOLATED", "NOT_ISOLATED", "Sandbox", "build_from_inputs", "find_python"]

ISOLATED = "none: the build ran in a network namespace of its own"
NOT_ISOLATED = (
    "NOT CUT OFF: this kernel gives no network namespace (`unshare -rn`); the tools were told to stay offline,"
    " which nothing enforced"
)
_OURS = ("signing", "vendor", "images", "router", "appliance")
_KEPT = ("LANG", "LC_ALL", "TZ")  # the auditor's own: a build must not depend on them
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Sandbox:
    """How children are started: `prefix` cuts the network off, `environment` is all that they see of the host."""

    prefix: tuple[str, ...]
    environment: Mapping[str, str]

    @classmethod
    def find(cls, scratch: Path, environ: Mapping[str, str]) -> "Sandbox":
        """Try what the kernel allows; `scratch` is the children's home."""
        kept = {name: environ[name] for name in _KEPT if name in environ}
        environment = {
            **kept,
            "PATH": _PATH,
            "HOME": str(scratch),
            "TMPDIR": str(scratch),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "GIT_CEILING_DIRECTORIES": str(
                scratch
            ),  # the source is what the inputs hold, not a checkout around them
        }
        program = shutil.which("unshare", path=_PATH)
        for options in ("-rn", "-n") if program else ():
            prefix = (str(program), options)
            tried = subprocess.run([*prefix, "true"], env=environment, capture_output=True, check=False)
            if tried.returncode == 0:
                return cls(prefix, environment)
        return cls((), environment)

    @property
    def network(self) -> str:
        """Say for the report what the children could reach."""
        return ISOLATED if self.prefix else NOT_ISOLATED

    def run(self, what: str, command: Sequence[str], cwd: Path, **more: str) -> None:
        """Run a command; its words go to our stderr. Raises `ImagesError` naming `what`."""
        done = subprocess.run(
            [*self.prefix, *command],
            cwd=cwd,
            env={**self.environment, **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode != 0:
            raise ImagesError(
                f"{what}: exit {done.returncode}", subject=what, hint="what it said stands above"
            )


def find_python() -> str:
    """Return a Python 3.11, this one if it is; raises `ImagesError` where there is none."""
    if platform.python_version().startswith("3.11."):
        return sys.executable
    found = shutil.which("python3.11")
    if found is None:
        raise ImagesError("python3.11: not found", hint="the build tools of a bundle run on Python 3.11")
    return found


def build_from_inputs(
    sandbox: Sandbox,
    scratch: Path,
    source: Path,
    wheels: Path,
    pool: Path,
    progress: Progress,
    *,
    epoch: int,
    strict: bool,
) -> Path:
    """Make an environment of the inputs' build tools, build the inputs' source with it; return the folder of results.

    `strict` refuses Debian packages other than the lock's, which a bundle with drift was made of.
    """
    out = scratch / "out"
    python = _environment(sandbox, scratch, source, wheels, progress)
    command = [python, "-m", "routeiq_appliance.cli", "bundle", "create", "--offline", "--out", str(out)]
    sandbox.run(
        "build the bundle",
        [*command, "--strict"] if strict else command,
        source,
        SOURCE_DATE_EPOCH=str(epoch),
        ROUTEIQ_POOL=str(pool),
    )
    return out


def _environment(sandbox: Sandbox, scratch: Path, source: Path, wheels: Path, progress: Progress) -> str:
    """Return the Python of an environment with the inputs' build tools and our packages as they lie in `source`."""
    lock = source / "vendor" / "locks" / "build.txt"
    pips = sorted(wheels.glob("pip-*.whl"))
    if not lock.is_file() or not pips:
        raise ImagesError(
            "the inputs hold no build tools: vendor/locks/build.txt or the wheel of pip is missing",
            subject="inputs.json",
        )
    home = scratch / "venv"
    python = str(home / "bin" / "python")
    install = ["install", "--quiet", "--no-index", "--no-deps", "--no-cache-dir"]
    locked = ["--require-hashes", "--only-binary", ":all:", "--no-compile", "--find-links", str(wheels)]
    ours = [argument for name in _OURS for argument in ("--editable", str(source / name))]
    steps = {
        "make the environment": [find_python(), "-I", "-m", "venv", "--without-pip", str(home)],
        "install the build tools": [python, f"{pips[-1]}/pip", *install, *locked, "--requirement", str(lock)],
        "install our packages": [python, "-m", "pip", *install, "--no-build-isolation", *ours],
    }
    with progress.task("install the inputs' build tools", len(steps), "step") as advance:
        for what, command in steps.items():
            sandbox.run(what, command, scratch)
            advance(1)
    return python
