"""A medium that gives other bytes at the second reading: what a program read is inverted on the disk right after.

Deterministic, where a second writer would need luck: whoever reads a place twice gets something else the second time.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

__all__ = ["RottingFile", "rot"]

_INVERTED = bytes(byte ^ 0xFF for byte in range(256))


class RottingFile(io.FileIO):
    """A file opened for reading that spoils what it has handed out."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "rb")
        self._spoil = os.open(path, os.O_WRONLY)

    def read(self, size: int | None = -1, /) -> bytes:
        at = self.tell()
        data = super().read(-1 if size is None else size) or b""
        os.pwrite(self._spoil, data.translate(_INVERTED), at)
        return data

    def readinto(self, buffer: Any, /) -> int:
        at = self.tell()
        count = super().readinto(buffer) or 0
        os.pwrite(self._spoil, bytes(memoryview(buffer)[:count]).translate(_INVERTED), at)
        return count

    def close(self) -> None:
        if not self.closed:
            os.close(self._spoil)
        super().close()


def rot(path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Let `path` rot behind whoever opens it; the returned function tells how often it was opened."""
    whole: Any = Path.open
    opened = []

    def rotting(self: Path, mode: str = "r", *more: Any, **options: Any) -> Any:
        if self != path or mode != "rb":
            return whole(self, mode, *more, **options)
        opened.append(self)
        return RottingFile(self)

    monkeypatch.setattr(Path, "open", rotting)
    return lambda: len(opened)
