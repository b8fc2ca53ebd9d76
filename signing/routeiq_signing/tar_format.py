"""The one tar that a list of files has: ustar, every header field and every byte of padding decided here.

A reader need not interpret a header: it computes the only one allowed for the member that must come next and
compares 512 bytes (POSIX.1-1988 ustar). Standard library only, Python 3.9: part of `verify.pyz`.
"""

from __future__ import annotations

from routeiq_signing.errors import DocumentError
from routeiq_signing.limits import LIMITS

__all__ = ["BLOCK", "END_ALIGNMENT", "MAX_NAME", "end_padding", "header", "padding", "tar_size"]

BLOCK = 512
END_ALIGNMENT = 10240  # the record size that every tar writes by default
MAX_NAME = 100  # ustar's name field; the prefix field stays empty so that there is one spelling


def header(name: str, size: int) -> bytes:
    """Return the 512 bytes before the content of a regular file of `size` bytes.

    Mode 0644, owner 0:0 without names, time 0. Raises `DocumentError` for a name or size that ustar cannot hold.
    """
    raw_name = name.encode("ascii", "strict") if name.isascii() else b""
    if not raw_name or len(raw_name) > MAX_NAME:
        raise DocumentError(f"{name}: a tar member's name has 1 to {MAX_NAME} ASCII characters", subject=name)
    if not 0 <= size <= LIMITS.member:
        raise DocumentError(f"{name}: {size} bytes is more than a ustar member holds", subject=name)
    before = b"".join(
        (
            raw_name.ljust(100, b"\0"),
            b"0000644\0",
            b"0000000\0",
            b"0000000\0",
            b"%011o\0" % size,
            b"%011o\0" % 0,
        )
    )
    after = b"".join((b"0", bytes(100), b"ustar\x0000", bytes(64), b"0000000\0", b"0000000\0", bytes(167)))
    checksum = sum(before) + sum(after) + 8 * ord(" ")
    return before + b"%06o\0 " % checksum + after


def padding(size: int) -> int:
    """Return how many zero bytes follow a content of `size` bytes."""
    return -size % BLOCK


def end_padding(offset: int) -> int:
    """Return how many zero bytes end a tar whose last member ends at `offset`: two blocks, then to a record."""
    return 2 * BLOCK + -(offset + 2 * BLOCK) % END_ALIGNMENT


def tar_size(sizes: list[int]) -> int:
    """Return the length of the tar of members with these sizes."""
    offset = sum(BLOCK + size + padding(size) for size in sizes)
    return offset + end_padding(offset)
