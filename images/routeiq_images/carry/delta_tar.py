"""Reads bundles and deltas forward without believing them: every header compared, no size taken on trust.

Signatures and digests are the verifier's; this refuses what is not in the one form that a writer of ours gives.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from routeiq_images.carry.carried_file import CHUNK, NamedFile
from routeiq_images.carry.delta import DELTA_MEMBER, MAX_DOCUMENT, Delta, is_head_member
from routeiq_images.errors import ImagesError
from routeiq_signing.errors import DocumentError
from routeiq_signing.limits import LIMITS
from routeiq_signing.manifest import Attachments, BundleManifest, FileEntry
from routeiq_signing.tar_format import BLOCK, end_padding, header, padding
from routeiq_signing.verify.order import body_entries

__all__ = ["Head", "TarReader", "head_members", "is_delta", "list_files", "read_delta", "read_head"]

_MAX_HEAD = 64  # members; a signer more is one or two more


@dataclass(frozen=True, slots=True)
class Head:
    """A bundle's signed head, unverified: its members in order, and the listed files that come after."""

    members: dict[str, bytes]
    entries: tuple[FileEntry, ...]
    digest: str


class TarReader:
    """Reads `file` from its start; `offset` is the byte at which the next header starts."""

    def __init__(self, file: NamedFile) -> None:
        file.seek(0)
        self.offset = 0
        self._file = file
        self._ahead: bytes | None = None

    def peek(self) -> str:
        """Return the name in the next header; empty at the end."""
        if self._ahead is None:
            self._ahead = self._read(BLOCK)
        return self._ahead[:100].split(b"\0", 1)[0].decode("ascii", "backslashreplace")

    def small_member(self, limit: int) -> tuple[str, bytes]:
        """Return name and content of the next member, of at most `limit` bytes."""
        name = self.peek()
        block, self._ahead = self._ahead or b"", None
        try:
            size = int(block[124:135], 8)
            right = header(name, size) == block
        except (ValueError, DocumentError):
            right, size = False, 0
        if not right:
            self._refuse(f"{name or 'its start'}: not a member of a bundle or a delta")
        if size > limit:
            self._refuse(f"{name}: {size} bytes, more than the {limit} allowed")
        content = self._read(size)
        self._end_member(size)
        return name, content

    def member(self, entry: FileEntry) -> Iterator[memoryview]:
        """Yield the content of the next member, which must be `entry`; a piece is valid until the next one."""
        found = self.peek()
        block, self._ahead = self._ahead, None
        if block != header(entry.path, entry.size):
            self._refuse(f"{found or 'the end'}: found where {entry.path} ({entry.size} bytes) must come")
        buffer = memoryview(bytearray(CHUNK))
        left = entry.size
        while left:
            count = self._file.readinto(buffer[: min(left, CHUNK)])
            if not count:
                self._refuse(f"{entry.path}: cut off")
            left -= count
            yield buffer[:count]
        self._end_member(entry.size)

    def seek(self, offset: int) -> None:
        """Continue at the header that starts at `offset`."""
        self._ahead = None
        self._file.seek(offset)
        self.offset = offset

    def end(self) -> None:
        """Check that the tar ends here."""
        self.peek()
        ahead, self._ahead = self._ahead or b"", None
        rest = end_padding(self.offset) - BLOCK
        if any(ahead):
            name = ahead[:100].split(b"\0", 1)[0].decode("ascii", "backslashreplace")
            self._refuse(f"{name}: more than belongs in it")
        if self._read(rest) != bytes(rest) or self._file.read(1):
            self._refuse("does not end as a tar of ours does")

    def _end_member(self, size: int) -> None:
        count = padding(size)
        if self._read(count) != bytes(count):
            self._refuse("the padding after a member is not zero")
        self.offset += BLOCK + size + count

    def _read(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            more = self._file.read(min(count - len(data), CHUNK))
            if not more:
                self._refuse("cut off", "the copy is not complete; copy it again")
            data += more
        return bytes(data)

    def _refuse(self, fault: str, hint: str | None = None) -> NoReturn:
        path = str(self._file.path)
        raise ImagesError(f"{path}: {fault}", subject=path, hint=hint)


def is_delta(file: NamedFile) -> bool:
    """Tell whether `file` begins as a delta does."""
    file.seek(0)
    return file.read(len(DELTA_MEMBER) + 1) == DELTA_MEMBER.encode() + b"\0"


def read_delta(reader: TarReader, what: str) -> Delta:
    """Return `delta.json`, the first member."""
    if reader.peek() != DELTA_MEMBER:
        raise ImagesError(f"{what}: not a delta", subject=what)
    return Delta.from_bytes(reader.small_member(MAX_DOCUMENT)[1], what)


def head_members(reader: TarReader) -> Iterator[tuple[str, bytes]]:
    """Yield the members of the signed head one by one."""
    for _ in range(_MAX_HEAD):
        if not is_head_member(reader.peek()):
            return
        yield reader.small_member(LIMITS.manifest)


def list_files(members: dict[str, bytes], what: str) -> tuple[FileEntry, ...]:
    """Return what the documents in a head list, in the tar's order; raises `ImagesError`."""
    try:
        manifest = BundleManifest.from_bytes(members["bundle.json"])
        attachments = Attachments.from_bytes(members["attachments.json"])
        return tuple(body_entries(manifest, attachments))
    except KeyError as error:
        raise ImagesError(f"{what}: has no {error.args[0]}, so it is no bundle", subject=what) from None
    except DocumentError as error:
        raise ImagesError(f"{what}: {error}", subject=what) from None


def read_head(reader: TarReader, what: str) -> Head:
    """Return the head of a whole bundle."""
    if reader.peek() == DELTA_MEMBER:
        raise ImagesError(
            f"{what}: is a delta, and a whole bundle is wanted",
            subject=what,
            hint="`routeiq bundle apply` makes one",
        )
    members = dict(head_members(reader))
    entries = list_files(members, what)
    return Head(members, entries, f"sha256:{hashlib.sha256(members['bundle.json']).hexdigest()}")
