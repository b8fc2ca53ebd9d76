"""The first level: answers in this process, the least recently used go first. Bounded by bytes, count and age."""

from collections import OrderedDict

from routeiq_appliance.cache.entry import Entry

__all__ = ["MemoryLevel"]

_EACH = 600
"""Bytes that an entry takes beside its payload: objects, key, table (measured)."""
_MAX_ENTRIES = 100_000


class MemoryLevel:
    """One per worker; nothing in it waits."""

    def __init__(self, max_bytes: int, *, max_entries: int = _MAX_ENTRIES) -> None:
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes, now: float) -> Entry | None:
        """Return the entry, if it holds at `now` (Unix seconds)."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.until <= now:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry

    def put(self, key: bytes, entry: Entry) -> None:
        """Keep the entry in the place of an older one; what is larger than the whole room is not kept."""
        if key in self._entries:
            self._drop(key)
        size = _size(entry)
        if size > self._max_bytes:
            return
        self._entries[key] = entry
        self.bytes += size
        while self.bytes > self._max_bytes or len(self._entries) > self._max_entries:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: bytes) -> None:
        self.bytes -= _size(self._entries.pop(key))


def _size(entry: Entry) -> int:
    return len(entry.payload) + _EACH
