"""What the bundle is called and when it was made: from `release.toml` and the commit, never from the clock."""

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from routeiq_images.errors import ImagesError
from routeiq_vendor.documents import Document, read_document
from routeiq_vendor.errors import LockError

__all__ = ["Release", "commit_time", "load_release"]


class Release(Document):
    """`images/release.toml`."""

    name: str
    version: str
    channel: str
    sequence: int
    valid_days: int

    def file_name(self, kind: str = "") -> str:
        """Return the name of the tar; `kind` is empty for the bundle, `-inputs` for its inputs."""
        return f"{self.name}-{self.version}-linux-amd64{kind}.tar"

    def times(self, created: datetime) -> tuple[str, str]:
        """Return (created, expires) as bundle.json spells them."""
        expires = created + timedelta(days=self.valid_days)
        return created.strftime("%Y-%m-%dT%H:%M:%SZ"), expires.strftime("%Y-%m-%dT%H:%M:%SZ")


def load_release(path: Path) -> Release:
    """Read `release.toml`; raises `ImagesError` naming the field at fault."""
    try:
        return read_document(path, Release)
    except LockError as error:
        raise ImagesError(str(error), subject=error.subject) from error


def commit_time(root: Path, environ: Mapping[str, str]) -> datetime:
    """Return SOURCE_DATE_EPOCH (reproducible-builds.org), else the time of git's last commit."""
    epoch = environ.get("SOURCE_DATE_EPOCH")
    if not epoch:
        git = ["git", "-C", str(root), "log", "-1", "--format=%ct"]
        epoch = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    if not epoch.isdecimal():
        raise ImagesError(
            f"{root}: not a git checkout", hint="set SOURCE_DATE_EPOCH to the release's time in seconds"
        )
    return datetime.fromtimestamp(int(epoch), UTC)
