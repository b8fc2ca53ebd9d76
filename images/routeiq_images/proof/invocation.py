"""Notes what only this run of a build knows: who builds, when it began, from which commit. For the provenance only."""

import platform
import subprocess
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from routeiq_images.proof.provenance import BUILDER, Invocation

__all__ = ["start_invocation"]


def start_invocation(root: Path, environ: Mapping[str, str], *, strict: bool, offline: bool) -> Invocation:
    """Return the invocation that begins now; `ROUTEIQ_BUILDER` (a URI) names the builder, say a CI's runner."""
    return Invocation(
        builder=environ.get("ROUTEIQ_BUILDER") or BUILDER,
        identifier=f"urn:uuid:{uuid.uuid4()}",
        started=datetime.now(UTC),
        strict=strict,
        offline=offline,
        commit=_commit(root),
        tools={"python": platform.python_version(), "routeiq-images": version("routeiq-images")},
    )


def _commit(root: Path) -> str:
    """Return the commit of a clean checkout; nothing where there is no git or files of its own differ from it."""
    git = ["git", "-C", str(root)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run([*git, "status", "--porcelain", "--untracked-files=no"], capture_output=True,
                                 text=True, check=True)  # fmt: skip
    except (FileNotFoundError, subprocess.CalledProcessError):
        return ""
    return "" if changed.stdout.strip() else head.stdout.strip()
