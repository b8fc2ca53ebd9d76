"""How long work reports itself, without knowing who listens.

Library code receives a `Progress` and opens one task per piece of long work; the command line draws
bars, tests pass `QuietProgress`. Standard library only, Python 3.9: part of `verify.pyz`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

__all__ = ["Advance", "Progress", "QuietProgress"]

Advance = Callable[[int], object]
"""Called with the amount of work done since the last call, in the task's unit."""


class Progress(Protocol):
    """Opens tasks; implementations must allow one task at a time and nothing else."""

    def task(self, what: str, total: int | None, unit: str = "B") -> AbstractContextManager[Advance]:
        """Open a task of `total` units (None: unknown); yields the function that advances it."""


class QuietProgress:
    """Reports nothing."""

    @contextmanager
    def task(self, what: str, total: int | None, unit: str = "B") -> Iterator[Advance]:  # noqa: ARG002
        """See `Progress.task`."""
        yield lambda _amount: None
