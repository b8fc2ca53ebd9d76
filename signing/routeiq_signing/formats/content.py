"""What a format reads: bytes that are in memory, or a file that is too large to be."""

import os
from typing import Protocol

from routeiq_signing.errors import FormatError

__all__ = ["Content", "FileContent"]


class Content(Protocol):
    """Something with a length of which parts can be taken: `bytes`, a `memoryview`, a `FileContent`."""

    def __len__(self) -> int:
        """Return how many bytes there are."""

    def __getitem__(self, part: slice, /) -> bytes | memoryview:
        """Return the bytes `part`; its ends are as for `bytes`, its step is 1."""


class FileContent:
    """An open file of `size` bytes, read in parts; memory stays that of the part that was asked for.

    Reading raises `FormatError` when the file has become shorter.
    """

    def __init__(self, descriptor: int, size: int, name: str) -> None:
        self._descriptor = descriptor
        self._size = size
        self._name = name

    def __len__(self) -> int:
        """Return the size that the file had when it was opened."""
        return self._size

    def __getitem__(self, part: slice, /) -> bytes:
        """Return the bytes `part` of the file."""
        start, stop, _ = part.indices(self._size)
        raw = b""
        while len(raw) < stop - start:
            more = os.pread(self._descriptor, stop - start - len(raw), start + len(raw))
            if not more:
                raise FormatError(f"{self._name}: became shorter while it was read", subject=self._name)
            raw = raw + more if raw else more
        return raw
