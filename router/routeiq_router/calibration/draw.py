"""Draws that are the same in every release of Python and numpy: SHA-256 in counter mode. Not for secrets."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

__all__ = ["Draw"]

_Any = TypeVar("_Any")
_BITS = 64


class Draw:
    """A stream of draws that `seed` alone decides."""

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode()
        self._count = 0

    def below(self, bound: int) -> int:
        """Return a whole number from 0 to `bound` - 1; the bias of 64 bits is of no matter here."""
        digest = hashlib.sha256(self._seed + self._count.to_bytes(8, "big")).digest()
        self._count += 1
        return int.from_bytes(digest[: _BITS // 8], "big") % bound

    def between(self, low: int, high: int) -> int:
        """Return a whole number from `low` to `high`, both included."""
        return low + self.below(high - low + 1)

    def pick(self, values: Sequence[_Any]) -> _Any:
        """Return one of `values`."""
        return values[self.below(len(values))]

    def some(self, values: Sequence[_Any], count: int) -> list[_Any]:
        """Return `count` different ones of `values`, in drawn order."""
        rest = list(values)
        return [rest.pop(self.below(len(rest))) for _ in range(count)]
