"""GGUF (llama.cpp's format), version 2 or 3, read to its last byte: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.

Head, keys with values, tensors with shapes and offsets, then their data: each at its place, aligned, in order, without
overlap or hole but padding, and nothing behind. Little-endian only.
"""

from routeiq_signing.errors import FormatError
from routeiq_signing.formats.content import Content
from routeiq_signing.formats.interface import Format
from routeiq_signing.formats.limits import FORMAT_LIMITS
from routeiq_signing.formats.shown import shown

__all__ = ["GGUF"]

# Bytes of a value, by gguf_type; 8 is a string, 9 an array.
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY, _UINT32 = 8, 9, 4
# (values in a block, bytes of a block), by ggml_type.
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 10: (256, 84),
    11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66), 17: (256, 74),
    18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1),
    25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66),
    39: (32, 17), 40: (64, 36),
}  # fmt: skip
_CHUNK = 1 << 16
_NAME, _DIMENSIONS = 1 << 10, 4  # llama.cpp allows 63 bytes for a tensor's name


class _Reader:
    """Reads numbers and strings from the front; anything beyond the end is refused."""

    def __init__(self, data: Content, name: str) -> None:
        self.data = data
        self.name = name
        self.at = 0
        self.left = FORMAT_LIMITS.gguf_values
        self._chunk = b""
        self._chunk_at = 0

    def refuse(self, fault: str) -> FormatError:
        return FormatError(f"{self.name}: {fault}", subject=self.name)

    def take(self, size: int) -> bytes:
        if size > len(self.data) - self.at:
            raise self.refuse("a GGUF file that ends too early")
        offset = self.at - self._chunk_at
        if offset + size > len(self._chunk):
            self._chunk, self._chunk_at, offset = (
                bytes(self.data[self.at : self.at + max(size, _CHUNK)]),
                self.at,
                0,
            )
        self.at += size
        return self._chunk[offset : offset + size]

    def skip(self, size: int) -> None:
        if size > len(self.data) - self.at:
            raise self.refuse("a GGUF file that ends too early")
        if self.at - self._chunk_at + size > len(self._chunk):
            self._chunk, self._chunk_at = b"", self.at + size
        self.at += size

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def text(self, most: int) -> str:
        size = self.number(8)
        if size > most:
            raise self.refuse(f"a GGUF name of {size} bytes")
        try:
            return self.take(size).decode("utf-8")
        except UnicodeDecodeError:
            raise self.refuse("a GGUF name that is no UTF-8 text") from None

    def value(self, kind: int, depth: int = 0) -> None:
        """Skip one value of `kind`."""
        if kind in _SIZES:
            self.skip(_SIZES[kind])
        elif kind == _STRING:
            self.skip(self.number(8))
        elif kind == _ARRAY:
            inner, count = self.number(4), self.number(8)
            if depth >= FORMAT_LIMITS.gguf_depth:
                raise self.refuse(f"GGUF arrays nested deeper than {FORMAT_LIMITS.gguf_depth}")
            if inner in _SIZES:
                self.skip(_SIZES[inner] * count)
                return
            self.left -= count
            if self.left < 0:
                raise self.refuse(f"more than {FORMAT_LIMITS.gguf_values} GGUF values")
            for _ in range(count):
                self.value(inner, depth + 1)
        else:
            raise self.refuse(f"a GGUF value of the unknown type {kind}")


def _check(data: Content, name: str) -> None:
    read = _Reader(data, name)
    if len(data) < 24 or read.take(4) != b"GGUF" or read.number(4) not in {2, 3}:
        raise read.refuse("no GGUF file of version 2 or 3")
    tensors, keys = read.number(8), read.number(8)
    if tensors > FORMAT_LIMITS.gguf_tensors or keys > FORMAT_LIMITS.gguf_keys:
        raise read.refuse(f"GGUF counts {(tensors, keys)} are out of range")
    alignment = _keys(read, keys)
    spans = _tensors(read, tensors)
    start = _aligned(read.at, alignment)
    _zeros(read, read.at, min(start, len(data)))
    end = 0
    for offset, size, tensor in spans:
        place = _aligned(end, alignment)
        if offset != place:
            raise read.refuse(
                f"GGUF tensor {shown(tensor, 60)} starts at {offset}, not at {place} (overlap or hole)"
            )
        _zeros(read, start + end, start + offset)
        end = offset + size
    if len(data) not in {start + end, start + _aligned(end, alignment)} and not (
        not spans and len(data) == read.at
    ):
        raise read.refuse(f"{len(data) - start - end} bytes stand behind the GGUF tensors")
    _zeros(read, start + end, len(data))


def _keys(read: _Reader, count: int) -> int:
    """Walk the keys and values; return the alignment."""
    alignment, seen = 32, set()
    for _ in range(count):
        key = read.text(_NAME)
        if key in seen:
            raise read.refuse(f"GGUF key {shown(key, 60)} stands twice")
        seen.add(key)
        kind = read.number(4)
        at = read.at
        read.value(kind)
        if key == "general.alignment":
            alignment = int.from_bytes(read.data[at : at + 4], "little") if kind == _UINT32 else 0
            if alignment not in {8 << power for power in range(14)}:
                raise read.refuse("a GGUF alignment that is not allowed")
    return alignment


def _tensors(read: _Reader, count: int) -> list[tuple[int, int, str]]:
    """Return (offset, bytes, name) of each tensor, by offset."""
    spans = []
    seen = set()
    for _ in range(count):
        tensor = read.text(_NAME)
        dimensions = read.number(4)
        if tensor in seen or dimensions > _DIMENSIONS:
            raise read.refuse(f"GGUF tensor {shown(tensor, 60)} stands twice or has {dimensions} dimensions")
        seen.add(tensor)
        shape = [read.number(8) for _ in range(dimensions)]
        kind, offset = read.number(4), read.number(8)
        if kind not in _BLOCKS:
            raise read.refuse(f"GGUF tensor {shown(tensor, 60)} is of the unknown type {kind}")
        values, size = _BLOCKS[kind]
        total = 1
        for number in shape:
            total *= number
        if (shape and shape[0] % values) or total // values * size + offset > len(read.data):
            raise read.refuse(
                f"GGUF tensor {shown(tensor, 60)} goes beyond the file, or its shape fills no blocks"
            )
        spans.append((offset, total // values * size, tensor))
    return sorted(spans)


def _aligned(number: int, alignment: int) -> int:
    return (number + alignment - 1) // alignment * alignment


def _zeros(read: _Reader, start: int, stop: int) -> None:
    """Refuse padding in which something is hidden."""
    if bytes(read.data[start:stop]).strip(b"\0"):
        raise read.refuse("a GGUF file whose padding is not empty")


GGUF = Format("gguf", lambda name: name.endswith(".gguf"), _check)
