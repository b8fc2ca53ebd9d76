"""What a delta says and how a new bundle is pieced together from it and an old one. Pure: plain data in and out.

A delta is a tar of the form that bundles have (`signing/tar_format`): `delta.json`, then the whole signed head of NEW,
then those files of NEW whose digest OLD does not list, in NEW's order. It holds nothing that is not in NEW's tar and
needs no signature of its own: what comes out is NEW, byte for byte, or nothing, and NEW's own signature says so.
`delta.json` names the two bundles only so that the wrong OLD is refused at once and in words.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from routeiq_images.errors import ImagesError
from routeiq_signing import strict_json
from routeiq_signing.errors import DocumentError
from routeiq_signing.manifest import FileEntry
from routeiq_signing.tar_format import header, padding

__all__ = ["DELTA_MEMBER", "DELTA_SCHEMA", "Delta", "Held", "held_by", "is_head_member", "missing_from"]

DELTA_MEMBER = "delta.json"
DELTA_SCHEMA = "routeiq.delta/v1"
MAX_DOCUMENT = 4 << 10  # bytes; it has four short fields
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_HEAD = ("bundle.json", "attachments.json", "SHA256SUMS")


@dataclass(frozen=True, slots=True)
class Delta:
    """`old` and `new` are the digests (`sha256:<hex>`) of the two bundles' bundle.json."""

    old: str
    new: str

    def to_bytes(self) -> bytes:
        """Return `delta.json` (RFC 8785)."""
        return strict_json.dumps({"schema": DELTA_SCHEMA, "old": self.old, "new": self.new})

    @classmethod
    def from_bytes(cls, raw: bytes, what: str) -> "Delta":
        """Read `delta.json` of the file `what`; raises `ImagesError` for anything but its one spelling."""
        try:
            document = strict_json.loads(raw, DELTA_MEMBER, limit=MAX_DOCUMENT)
        except DocumentError as error:
            raise ImagesError(f"{what}: {error}", subject=what) from None
        if document.get("schema") != DELTA_SCHEMA:
            raise ImagesError(
                f"{what}: {DELTA_MEMBER} is not of the schema {DELTA_SCHEMA}",
                subject=what,
                hint="use the routeiq that made it, or a newer one",
            )
        old, new = document.get("old"), document.get("new")
        for digest in (old, new):
            if not isinstance(digest, str) or not _DIGEST.match(digest):
                raise ImagesError(f"{what}: {DELTA_MEMBER} names no two bundles", subject=what)
        if len(document) != 3:
            raise ImagesError(f"{what}: {DELTA_MEMBER} has fields that it must not have", subject=what)
        return cls(str(old), str(new))


@dataclass(frozen=True, slots=True)
class Held:
    """Where a content lies in a tar: the member's `path`, and the byte at which its header starts."""

    path: str
    offset: int


def is_head_member(name: str) -> bool:
    """Tell whether the member `name` belongs to the signed head, which comes before every listed file."""
    return name.startswith(_HEAD)


def held_by(entries: Iterable[FileEntry], start: int) -> Mapping[tuple[str, int], Held]:
    """Return (hex digest, size) → place of every listed file of a bundle whose body starts at byte `start`."""
    held: dict[tuple[str, int], Held] = {}
    offset = start
    for entry in entries:
        held.setdefault((entry.sha256, entry.size), Held(entry.path, offset))
        offset += len(header(entry.path, entry.size)) + entry.size + padding(entry.size)
    return held


def missing_from(held: Mapping[tuple[str, int], Held], entries: Iterable[FileEntry]) -> list[FileEntry]:
    """Return those of `entries`, in their order, whose content is not `held`."""
    return [entry for entry in entries if (entry.sha256, entry.size) not in held]
