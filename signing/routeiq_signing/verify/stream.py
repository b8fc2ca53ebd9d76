"""Reads a bundle's tar forward, once: every header compared, every content hashed, copied where asked.

The only IO of verification. Standard library only, Python 3.9: part of `verify.pyz`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NoReturn

from routeiq_signing.errors import DocumentError, VerificationError
from routeiq_signing.limits import LIMITS
from routeiq_signing.manifest import FileEntry
from routeiq_signing.tar_format import BLOCK, end_padding, header, padding

__all__ = ["TarStream"]

_CHUNK = 1 << 20  # stays in a core's second-level cache between read and hash
_STEP = 6
_TYPES = {b"1": "hard link", b"2": "symbolic link", b"3": "device", b"4": "device", b"5": "directory", b"6": "fifo",
          b"x": "pax header", b"g": "pax header", b"L": "GNU long name", b"K": "GNU long link"}  # fmt: skip


class TarStream:
    """`offset` is how many bytes were read."""

    def __init__(self, tar: BinaryIO, copy_to: Path | None) -> None:
        self.offset = 0
        self._tar = tar
        self._copy_to = copy_to
        self._ahead: bytes | None = None
        self._buffer = bytearray(_CHUNK)

    def peek_name(self) -> str:
        """Return the name in the next header without taking it; the empty string at the end marker."""
        if self._ahead is None:
            self._ahead = self._read(BLOCK, "a header")
        return self._ahead[:100].rstrip(b"\0").decode("ascii", "replace")

    def head_member(self, name: str, limit: int) -> bytes:
        """Return the content of the next member, which must be `name` and within `limit` bytes.

        Its size is the header's own word; the digest is what a signature says of the content later.
        """
        block = self._take_header(name)
        try:
            size = int(block[124:135], 8)
            right = header(name, size) == block
        except (ValueError, DocumentError):
            right = False
        if not right:
            self._refuse_header(block, name)
        if size > limit:
            raise VerificationError(
                f"{name}: {size} bytes, more than the {limit} allowed", step=1, subject=name
            )
        content = self._read(size, name)
        self._skip_padding(name, size)
        if self._copy_to is not None:
            self._target(name).write_bytes(content)
        return content

    def member(self, entry: FileEntry, *, keep: bool, advance: Callable[[int], object]) -> bytes | None:
        """Read the next member, which must be `entry`, to the byte; return its content when `keep` is set."""
        block = self._take_header(entry.path)
        if header(entry.path, entry.size) != block:
            self._refuse_header(block, entry.path)
        if keep and entry.size > LIMITS.oci_document:
            raise VerificationError(
                f"{entry.path}: {entry.size} bytes, more than the {LIMITS.oci_document} allowed",
                step=1,
                subject=entry.path,
            )
        kept = bytearray() if keep else None
        digest = hashlib.sha256()
        view = memoryview(self._buffer)
        left = entry.size
        out = self._target(entry.path).open("xb") if self._copy_to is not None else None
        try:
            while left:
                count = self._tar.readinto(view[: min(left, _CHUNK)])  # type: ignore[attr-defined]
                if not count:
                    self._refuse_short(entry.path)
                digest.update(view[:count])
                if out is not None:
                    out.write(view[:count])
                if kept is not None:
                    kept += view[:count]
                left -= count
                self.offset += count
                advance(count)
        finally:
            if out is not None:
                out.close()
        if digest.hexdigest() != entry.sha256:
            raise VerificationError(
                f"{entry.path}: its content has the digest {digest.hexdigest()}, signed is {entry.sha256}",
                step=_STEP,
                subject=entry.path,
                hint="the file was damaged or changed on the way; copy it again",
            )
        self._skip_padding(entry.path, entry.size)
        advance(BLOCK + padding(entry.size))
        return None if kept is None else bytes(kept)

    def end(self) -> None:
        """Check that the tar ends here, as it must."""
        if self._ahead is None:
            self._ahead = self._read(BLOCK, "the end of the tar")
        block, self._ahead = self._ahead, None
        if block != bytes(BLOCK):
            name = _shown_name(block)
            raise VerificationError(f"{name}: not in the signed list", step=_STEP, subject=name)
        rest = end_padding(self.offset - BLOCK) - BLOCK
        if self._read(rest, "the end of the tar") != bytes(rest):
            raise VerificationError("the end of the tar is not zero", step=_STEP, subject="end")
        if self._tar.read(1):
            raise VerificationError("the tar goes on after its end", step=_STEP, subject="end")

    def _target(self, path: str) -> Path:
        if self._copy_to is None:
            raise AssertionError("only called while copying")
        target = self._copy_to / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def _take_header(self, name: str) -> bytes:
        self.peek_name() if self._ahead is None else None
        block, self._ahead = self._ahead, None
        if block is None or block == bytes(BLOCK):
            raise VerificationError(f"{name}: missing, the tar ends before it", step=_STEP, subject=name)
        return block

    def _skip_padding(self, name: str, size: int) -> None:
        count = padding(size)
        if self._read(count, name) != bytes(count):
            raise VerificationError(f"{name}: the padding after it is not zero", step=_STEP, subject=name)

    def _read(self, count: int, what: str) -> bytes:
        data = b""
        while len(data) < count:
            more = self._tar.read(count - len(data))  # an unbuffered file may give less than was asked for
            if not more:
                self._refuse_short(what)
            data += more
            self.offset += len(more)
        return data

    def _refuse_short(self, what: str) -> NoReturn:
        raise VerificationError(
            f"{what}: the tar is cut off at byte {self.offset}",
            step=_STEP,
            subject=what,
            hint="the copy is not complete; copy it again",
        )

    def _refuse_header(self, block: bytes, expected: str) -> NoReturn:
        if block[257:262] != b"ustar":
            raise VerificationError(
                f"{expected}: no tar's header where it must come", step=_STEP, subject=expected
            )
        found = _shown_name(block)
        kind = _TYPES.get(block[156:157])
        if kind is not None:
            raise VerificationError(f"{found}: a {kind} has no place in a bundle", step=_STEP, subject=found)
        if found != expected:
            raise VerificationError(
                f"{found}: found where {expected} must come (extra, missing, twice or out of order)",
                step=_STEP,
                subject=found,
            )
        raise VerificationError(
            f"{found}: its header is not the one that the signed list gives it", step=_STEP, subject=found
        )


def _shown_name(block: bytes) -> str:
    """Return the name in a header for a message, on one line whatever it holds."""
    name = block[:100].split(b"\0", 1)[0].decode("ascii", "backslashreplace")
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in name)
