"""DEFLATE in plain Python, so that the same bytes come out whatever zlib the machine has.

Source: RFC 1951. One block with the fixed codes; matches are found greedily among the last places where the same
three bytes stood. For a hundred kilobytes of source text; larger things have `routeiq_images`' pinned compressor.
"""

from __future__ import annotations

__all__ = ["deflate"]

_WINDOW, _SHORTEST, _LONGEST = 32768, 3, 258
_TRIED = 48  # places to compare with, the nearest first
_END = 256
# (first length or distance, extra bits) by code, RFC 1951 section 3.2.5
_LENGTHS = [
    *((3 + code, 0) for code in range(8)),
    *((3 + ((4 + code % 4) << (code // 4 - 1)), code // 4 - 1) for code in range(8, 28)),
    (258, 0),
]
_DISTANCES = [
    *((1 + code, 0) for code in range(4)),
    *((1 + ((2 + code % 2) << (code // 2 - 1)), code // 2 - 1) for code in range(4, 30)),
]


class _Bits:
    """Packs bits into bytes, least significant first."""

    def __init__(self) -> None:
        self.out = bytearray()
        self._held = self._count = 0

    def number(self, value: int, bits: int) -> None:
        self._held |= value << self._count
        self._count += bits
        while self._count >= 8:
            self.out.append(self._held & 255)
            self._held >>= 8
            self._count -= 8

    def code(self, value: int, bits: int) -> None:
        """Huffman codes go most significant bit first."""
        self.number(int(f"{value:0{bits}b}"[::-1], 2), bits)

    def symbol(self, value: int) -> None:
        """Write a literal, a length code or the end in the fixed code (RFC 1951 section 3.2.6)."""
        if value < 144:
            self.code(0x30 + value, 8)
        elif value < 256:
            self.code(0x190 + value - 144, 9)
        elif value < 280:
            self.code(value - 256, 7)
        else:
            self.code(0xC0 + value - 280, 8)

    def finish(self) -> bytes:
        self.number(0, -self._count % 8)
        return bytes(self.out)


def deflate(data: bytes) -> bytes:
    """Return `data` compressed; `zlib.decompressobj(-15)` gives it back."""
    bits = _Bits()
    bits.number(0b011, 3)  # last block, fixed codes
    places: dict[bytes, list[int]] = {}
    at = 0
    while at < len(data):
        length, distance = _match(data, at, places.get(data[at : at + _SHORTEST], []))
        if length:
            code = next(code for code in range(28, -1, -1) if _LENGTHS[code][0] <= length)
            bits.symbol(257 + code)
            bits.number(length - _LENGTHS[code][0], _LENGTHS[code][1])
            code = next(code for code in range(29, -1, -1) if _DISTANCES[code][0] <= distance)
            bits.code(code, 5)
            bits.number(distance - _DISTANCES[code][0], _DISTANCES[code][1])
        else:
            bits.symbol(data[at])
            length = 1
        for place in range(at, at + length):
            places.setdefault(data[place : place + _SHORTEST], []).append(place)
        at += length
    bits.symbol(_END)
    return bits.finish()


def _match(data: bytes, at: int, places: list[int]) -> tuple[int, int]:
    """Return (length, distance) of the longest match at `at`, the nearest of equals; (0, 0) for none."""
    best = (0, 0)
    most = min(_LONGEST, len(data) - at)
    if most < _SHORTEST:
        return best
    for place in reversed(places[-_TRIED:]):
        if at - place > _WINDOW:
            break
        length = _SHORTEST
        while length < most and data[place + length] == data[at + length]:
            length += 1
        if length > best[0]:
            best = (length, at - place)
    return best
