"""A bounded, thread-safe least-recently-used map; values are never copied, so they must not be changed."""

from collections import OrderedDict
from threading import Lock
from typing import Generic, TypeVar

__all__ = ["LRUCache"]

Value = TypeVar("Value")


class LRUCache(Generic[Value]):
    """Holds at most `size` values (0: none); the one unused for longest goes first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[str, Value] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str) -> Value | None:
        """Return the value and mark it as used, or None."""
        with self._lock:
            value = self._entries.get(key)
            if value is not None:
                self._entries.move_to_end(key)
            return value

    def put(self, key: str, value: Value) -> None:
        """Store the value; drops the least recently used one when full."""
        with self._lock:
            self._entries[key] = value
            self._entries.move_to_end(key)
            while len(self._entries) > self._size:
                self._entries.popitem(last=False)

    def __len__(self) -> int:
        return len(self._entries)
