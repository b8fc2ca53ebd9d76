"""Reads a bundle's tar for a comparison. Nobody may have vouched for it, so nothing that it says is believed.

Every read is capped (`DiffLimits`), nothing is written, and every member is hashed, so that what the tar says of itself
can be compared with what is there. Raises `ImagesError` naming the tar and what is wrong with it.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from routeiq_images.errors import ImagesError
from routeiq_signing.errors import DocumentError
from routeiq_signing.limits import LIMITS
from routeiq_signing.progress import Progress
from routeiq_signing.tar_format import BLOCK, header, padding

__all__ = ["CHUNK", "DIFF_LIMITS", "BundleTar", "DiffLimits"]

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class DiffLimits:
    """Sizes are bytes."""

    unpacked: int = 8 << 30  # a layer without its compression; the largest of ours has 0.4 GB
    entries: int = 200_000  # files in a layer; the largest of ours has 12,000
    extended: int = 1 << 20  # one pax or GNU header
    text: int = 64 << 10  # a file whose lines are compared
    lines: int = 40  # of one file's difference
    texts: int = 50  # files of one layer whose lines are compared
    changes: int = 2_000  # of the whole report


DIFF_LIMITS = DiffLimits()


class BundleTar:
    """A bundle's tar as a file: its members by name, each hashed once."""

    def __init__(self, path: Path, progress: Progress) -> None:
        self.path = path
        self._places: dict[str, tuple[int, int]] = {}
        self.digests: dict[str, str] = {}
        if not path.is_file():
            raise ImagesError(f"{path}: no such file", subject=str(path))
        with path.open("rb") as file, progress.task(f"read {path.name}", path.stat().st_size) as advance:
            self._index(file, advance)

    def _index(self, file: BinaryIO, advance: Callable[[int], object]) -> None:
        while (block := file.read(BLOCK)) and block != bytes(BLOCK):
            name = block[:100].rstrip(b"\0").decode("ascii", "replace")
            try:
                size = int(block[124:135], 8)
                right = header(name, size) == block
            except (ValueError, DocumentError):
                right = False
            if not right or name in self._places or len(self._places) > 2 * LIMITS.files:
                raise ImagesError(
                    f"{self.path}: not a bundle's tar (at byte {file.tell() - len(block)})",
                    subject=str(self.path),
                )
            self._places[name] = (file.tell(), size)
            digest, left = hashlib.sha256(), size
            while left:
                chunk = file.read(min(left, CHUNK))
                if not chunk:
                    raise ImagesError(f"{self.path}: {name}: cut off", subject=name)
                digest.update(chunk)
                left -= len(chunk)
            self.digests[name] = digest.hexdigest()
            file.read(padding(size))
            advance(BLOCK + size + padding(size))

    def __contains__(self, name: str) -> bool:
        """Tell whether there is a member `name`."""
        return name in self._places

    def size(self, name: str) -> int:
        """Return the length of a member; 0 when there is none."""
        return self._places.get(name, (0, 0))[1]

    def read(self, name: str, limit: int = LIMITS.manifest) -> bytes:
        """Return a member's bytes, when it is there and within `limit`."""
        if name not in self._places:
            raise ImagesError(f"{self.path}: has no {name}", subject=name)
        offset, size = self._places[name]
        if size > limit:
            raise ImagesError(
                f"{self.path}: {name}: {size} bytes, more than the {limit} allowed", subject=name
            )
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def document(self, name: str) -> dict[str, Any]:
        """Return a member's JSON object."""
        try:
            value = json.loads(self.read(name))
        except (ValueError, RecursionError):
            raise ImagesError(f"{self.path}: {name}: not JSON", subject=name) from None
        if not isinstance(value, dict):
            raise ImagesError(f"{self.path}: {name}: not a JSON object", subject=name)
        return value

    @contextmanager
    def section(self, name: str) -> Iterator[io.BufferedReader]:
        """Open a member to be read forward."""
        if name not in self._places:
            raise ImagesError(f"{self.path}: has no {name}", subject=name)
        offset, size = self._places[name]
        with self.path.open("rb") as file:
            file.seek(offset)
            yield io.BufferedReader(_Section(file, size), CHUNK)


class _Section(io.RawIOBase):
    """The next `left` bytes of a file."""

    def __init__(self, file: BinaryIO, left: int) -> None:
        self._file = file
        self._left = left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        data = self._file.read(min(len(view), self._left))
        view[: len(data)] = data
        self._left -= len(data)
        return len(data)
