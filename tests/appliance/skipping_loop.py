"""An event loop whose clock stands still while there is something to do, and then jumps to the next timer.

For code that uses the loop's clock alone: hours pass in no time, in the same order each time.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["run_skipping"]

_T = TypeVar("_T")


def run_skipping(main: Coroutine[Any, Any, _T]) -> _T:
    """Run `main` on such a loop."""
    with asyncio.Runner(loop_factory=_SkippingLoop) as runner:
        return runner.run(main)


class _SkippingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Skipping(self))

    def time(self) -> float:
        return self.now


class _Skipping(selectors.SelectSelector):
    def __init__(self, loop: _SkippingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        self._loop.now += timeout
        return super().select(0)
