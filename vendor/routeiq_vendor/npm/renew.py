"""Makes `ui/package-lock.json` and `ui.lock.json` anew from `ui/package.json`."""

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

from routeiq_signing.files import write_atomic
from routeiq_signing.progress import Progress
from routeiq_vendor.npm.lock import ConsoleLock, Package, tidied, wanted
from routeiq_vendor.npm.node import Node
from routeiq_vendor.npm.store import download
from routeiq_vendor.pool import Pool

__all__ = ["renew_console"]


def renew_console(ui: Path, node: Node, pool: Pool, progress: Progress) -> ConsoleLock:
    """Resolve `ui/package.json`, write `ui/package-lock.json` and return the lock that names its tarballs.

    What `package.json` names is exact; everything below moves to the newest that its ranges allow. Raises `LockError`
    for a licence or a source that is not accepted.
    """
    scratch = Path(tempfile.mkdtemp(dir=pool.root, prefix="npm-lock-"))
    try:
        for name in ("package.json", ".npmrc"):
            shutil.copy(ui / name, scratch)
        node.npm(["install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund"], scratch)
        resolved = tidied(json.loads((scratch / "package-lock.json").read_bytes()))
    finally:
        shutil.rmtree(scratch)
    asked = wanted(resolved)
    digests = download({entry.spec: entry for entry in asked.values()}.values(), pool, node, progress)
    text = json.dumps(resolved, indent=2, ensure_ascii=False).encode() + b"\n"
    packages = {
        place: Package(
            **entry.model_dump(), sha256=digests[entry.integrity], size=pool.size(digests[entry.integrity])
        )
        for place, entry in asked.items()
    }
    write_atomic(ui / "package-lock.json", text)
    return ConsoleLock(npm_lock=hashlib.sha256(text).hexdigest(), packages=packages)
