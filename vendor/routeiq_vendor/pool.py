"""The content-addressed pool: one file per content, `sha256/<hex>`, beside an index of file names.

It decides nothing about what is wanted; it only promises that a file named by a digest has that digest
when it is put in. Files enter whole (written beside, synced, renamed) and read-only, so that an interrupted
fetch leaves nothing half written and a build cannot change its own input.
"""

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from routeiq_vendor.errors import PoolError
from routeiq_vendor.limits import LIMITS

__all__ = ["Pool", "digest_of"]

_HEX = re.compile(r"[0-9a-f]{64}")


def digest_of(path: Path) -> str:
    """Return the hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Pool:
    """A folder of files named by their SHA-256 (64 lower-case hex digits)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._objects = root / "sha256"

    def _where(self, sha256: str) -> Path:
        if not _HEX.fullmatch(sha256):
            raise PoolError(f"{sha256!r}: not a SHA-256 digest", subject=sha256)
        return self._objects / sha256

    def has(self, sha256: str) -> bool:
        """Say whether the pool holds this content."""
        return self._where(sha256).is_file()

    def path(self, sha256: str) -> Path:
        """Return the read-only file of this content; raises `PoolError` when the pool lacks it."""
        path = self._where(sha256)
        if not path.is_file():
            raise PoolError(f"sha256 {sha256}: not in the pool", subject=sha256, hint="run `make fetch`")
        return path

    def size(self, sha256: str) -> int:
        """Return the content's length in bytes."""
        return self.path(sha256).stat().st_size

    def check(self, sha256: str) -> Path:
        """Hash the content again and return its file; a damaged one is removed and refused."""
        path = self.path(sha256)
        got = digest_of(path)
        if got != sha256:
            path.unlink()
            raise PoolError(
                f"sha256 {sha256}: the pool's file has changed (got {got}); removed it",
                subject=sha256,
                hint="run `make fetch` again",
            )
        return path

    def add_file(self, path: Path, *, expect_sha256: str | None = None) -> str:
        """Copy a file into the pool and return its digest; `PoolError` when it is not the expected one."""
        with path.open("rb") as file:
            chunks = iter(lambda: file.read(LIMITS.chunk), b"")
            return self._add(chunks, expect_sha256, what=path.name)

    def add_stream(self, chunks: Iterable[bytes], expect_sha256: str, *, what: str | None = None) -> str:
        """Write a stream into the pool; `PoolError`, and nothing written, when its digest is another."""
        return self._add(chunks, expect_sha256, what=what or f"sha256 {expect_sha256}")

    def add_chunks(self, chunks: Iterable[bytes], *, what: str) -> str:
        """Write a stream of unknown digest into the pool and return its digest (for making locks only)."""
        return self._add(chunks, None, what=what)

    def _add(self, chunks: Iterable[bytes], expect: str | None, *, what: str) -> str:
        self._objects.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        descriptor, name = tempfile.mkstemp(dir=self._objects, prefix=".new-")
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                for chunk in chunks:
                    digest.update(chunk)
                    file.write(chunk)
                file.flush()
                # Readable by all: the same content is bound into containers that run as another user.
                os.fchmod(file.fileno(), 0o444)
                os.fsync(file.fileno())
            got = digest.hexdigest()
            if expect is not None and got != expect:
                raise PoolError(f"{what}: sha256 is {got}, the lock says {expect}", subject=what)
            temporary.replace(self._where(got))
        finally:
            temporary.unlink(missing_ok=True)
        return got

    def view(self, directory: Path, files: Mapping[str, str]) -> Path:
        """Lay contents out under names: `{relative name: sha256}` becomes `directory/<name>`, hard-linked.

        Existing names are replaced. Copies where the file system cannot link.
        """
        for name, sha256 in files.items():
            target = directory / name
            if not target.resolve().is_relative_to(directory.resolve()):
                raise PoolError(f"{name}: leaves the folder {directory}", subject=name)
            source = self.path(sha256)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            try:
                os.link(source, target)
            except OSError:
                shutil.copyfile(source, target)
        return directory

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the pool for one writer; waits for another fetch to end."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
