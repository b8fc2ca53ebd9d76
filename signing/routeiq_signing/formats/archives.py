"""Opens archives and compressed streams a little way, to name what is inside. Decides nothing, writes nothing.

Names, sizes and flags are the archive's own claims, so they are not relied on: a member's bytes are taken from behind
its local header whatever the flags say, and what is unpacked is cut off. Nested archives are the caller's to follow.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator

from routeiq_signing.formats.limits import FORMAT_LIMITS

__all__ = ["has_tar_header", "parts"]

_ZIP_MEMBER = b"PK\x03\x04"
_BLOCK = 512
_XZ_MEMORY = 64 << 20
_MOST = FORMAT_LIMITS.archive_part


def parts(head: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield (name, first bytes) of what the archive that starts with `head` holds; a stream's name is empty."""
    unpack: dict[bytes, Callable[[bytes], bytes]] = {
        b"\x1f\x8b": _inflate,
        b"BZh": lambda raw: bz2.BZ2Decompressor().decompress(raw, _MOST),
        b"\xfd7zXZ\x00": lambda raw: lzma.LZMADecompressor(memlimit=_XZ_MEMORY).decompress(raw, _MOST),
        b"\x5d\x00\x00": lambda raw: lzma.LZMADecompressor(memlimit=_XZ_MEMORY).decompress(raw, _MOST),
        b"x\x01": _inflate,
        b"x^": _inflate,
        b"x\x9c": _inflate,
        b"x\xda": _inflate,
    }
    if head.startswith(_ZIP_MEMBER):
        yield from _zip_members(head)
        return
    if has_tar_header(head):
        yield from _tar_members(head)
        return
    for magic, function in unpack.items():
        if head.startswith(magic):
            try:
                yield "", function(head)
            except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError):
                return


def has_tar_header(head: bytes) -> bool:
    """Tell whether `head` starts with the header of a tar member: one whose checksum is right."""
    block = head[:_BLOCK]
    claimed = block[148:156].strip(b" \0")
    if len(block) < _BLOCK or not claimed or not all(byte in b"01234567" for byte in claimed):
        return False
    return int(claimed, 8) == sum(block[:148]) + 8 * 0x20 + sum(block[156:])


def _inflate(raw: bytes) -> bytes:
    return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(raw, _MOST)


def _zip_members(head: bytes) -> Iterator[tuple[str, bytes]]:
    at = 0
    for _ in range(FORMAT_LIMITS.archive_parts):
        at = head.find(_ZIP_MEMBER, at)
        if at < 0 or at + 30 > len(head):
            return
        method = int.from_bytes(head[at + 8 : at + 10], "little")
        name_size = int.from_bytes(head[at + 26 : at + 28], "little")
        start = at + 30 + name_size + int.from_bytes(head[at + 28 : at + 30], "little")
        name = head[at + 30 : at + 30 + name_size].decode("utf-8", "replace")
        raw = head[start : start + _MOST]
        try:
            yield name, zlib.decompressobj(-zlib.MAX_WBITS).decompress(raw, _MOST) if method == 8 else raw
        except zlib.error:
            yield name, raw
        at = min(start, at + 30 + 2 * name_size)


def _tar_members(head: bytes) -> Iterator[tuple[str, bytes]]:
    at = 0
    for _ in range(FORMAT_LIMITS.archive_parts):
        block = head[at : at + _BLOCK]
        if not has_tar_header(block):
            return
        digits = block[124:136].strip(b" \0")
        size = int(digits, 8) if digits and all(byte in b"01234567" for byte in digits) else 0
        name = block[:100].split(b"\0")[0].decode("utf-8", "replace")
        yield name, head[at + _BLOCK : at + _BLOCK + min(size, _MOST)]
        at += _BLOCK + (size + _BLOCK - 1) // _BLOCK * _BLOCK
