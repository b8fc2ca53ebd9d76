"""Builds the console: `npm ci --offline` from the pool's tarballs, then Vite, in a scratch folder.

The output depends on the locks and on what lies in `ui/`; it is kept under their joint digest, and while that stays the
same nothing runs. The names of its files are fixed, no path of this machine is in it.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path

from routeiq_signing.progress import Progress
from routeiq_vendor.errors import VendorError
from routeiq_vendor.npm.lock import placed
from routeiq_vendor.npm.node import Node
from routeiq_vendor.npm.store import Tarball
from routeiq_vendor.pool import Pool

__all__ = ["build_console", "console_sources", "inputs_digest"]

_FILES = (".npmrc", "index.html", "package-lock.json", "package.json", "tsconfig.json", "vite.config.ts")


def console_sources(ui: Path) -> dict[str, Path]:
    """Return path → file of all that a build reads of `ui/`."""
    files = [ui / name for name in _FILES]
    files += [path for path in (ui / "src").rglob("*") if path.is_file()]
    return {path.relative_to(ui).as_posix(): path for path in sorted(files)}


def inputs_digest(locks: Collection[Path], sources: dict[str, Path]) -> str:
    """Return the hex digest of all that the output depends on."""
    digest = hashlib.sha256()
    for name, path in [*((path.name, path) for path in locks), *sources.items()]:
        digest.update(hashlib.sha256(name.encode()).digest() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def build_console(
    ui: Path,
    tarballs: Collection[Tarball],
    node: Node,
    pool: Pool,
    into: Path,
    progress: Progress,
    *,
    check: bool = False,
) -> Path:
    """Build into `into`, whole or not at all; returns it. With `check`, the types are checked before.

    Raises `DownloadError` when npm wants something that the lock does not name, `VendorError` with what a tool said.
    """
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=".console-") as folder:
        scratch = Path(folder)
        work = scratch / "ui"
        for name, path in console_sources(ui).items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, work / name)
        names = {tarball.place: f"tarballs/{tarball.sha256}.tgz" for tarball in tarballs}
        pool.view(scratch, {names[tarball.place]: tarball.sha256 for tarball in tarballs})
        lock = json.loads((work / "package-lock.json").read_bytes())
        files = {place: str(scratch / name) for place, name in names.items()}
        (work / "package-lock.json").write_text(json.dumps(placed(lock, files)), encoding="utf-8")
        with progress.task("build the console", 2 + check, "step") as advance:
            node.npm(
                ["ci", "--offline", "--ignore-scripts", "--no-audit", "--no-fund"], work, scratch=scratch
            )
            advance(1)
            if check:
                node.run("node_modules/typescript/bin/tsc", ["--noEmit"], work, scratch=scratch)
                advance(1)
            node.run("node_modules/vite/bin/vite.js", ["build", "--logLevel=warn"], work, scratch=scratch)
            advance(1)
        output = work / "dist"
        if not (output / "index.html").is_file():
            raise VendorError("ui: the build made no index.html", subject="ui")
        for path in output.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        output.chmod(0o755)
        if into.is_dir():
            shutil.rmtree(into)
        output.rename(into)
    return into
