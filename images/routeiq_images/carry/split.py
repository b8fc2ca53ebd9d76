"""What a folder of parts says of itself, and what follows from it. Pure: plain data in and out.

`parts.json` is error detection, not trust: it is unsigned, and whoever carries the parts could have written it. What
is joined counts for what its own signature says. So the list holds nothing that could lead anywhere: the names of the
parts follow from the one name in it, which has no separator, and no size is larger than the list itself implies.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from routeiq_images.errors import ImagesError
from routeiq_signing import strict_json
from routeiq_signing.errors import DocumentError

__all__ = ["LIST_NAME", "MAX_LIST", "MAX_WITH_PARITY", "PARITY_CODE", "PartsList", "check_plan", "parse_size"]

LIST_NAME = "parts.json"
SCHEMA = "routeiq.parts/v1"
PARITY_CODE = "isa_l_rs_cauchy"  # ISA-L's Reed-Solomon over GF(2^8) with a Cauchy matrix
MAX_LIST = 1 << 20  # bytes; 70 a part
MAX_PARTS = 9999
MAX_WITH_PARITY = 32  # data and parity parts together: liberasurecode's limit
MAX_SIZE = 1 << 44  # bytes of the whole
MIN_PART = 4096
PARITY_ALIGNMENT = 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,149}\Z")
_HEX = re.compile(r"[0-9a-f]{64}\Z")
_SIZE = re.compile(r"([1-9][0-9]{0,14})([KMG]?)B?\Z")
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}  # as media are sold


@dataclass(frozen=True, slots=True)
class PartsList:
    """A file `name` of `size` bytes, cut every `part_size`; digests (hex SHA-256) of the whole, parts and parity."""

    name: str
    size: int
    sha256: str
    part_size: int
    parts: tuple[str, ...]
    parity: tuple[str, ...] = ()

    def part_name(self, index: int) -> str:
        """Return the file name of data part `index`, from 0."""
        return f"{self.name}.part-{index + 1:04}"

    def parity_name(self, index: int) -> str:
        """Return the file name of parity part `index`, from 0."""
        return f"{self.name}.parity-{index + 1:02}"

    def part_span(self, index: int) -> tuple[int, int]:
        """Return (offset, length) of data part `index` in the whole."""
        offset = index * self.part_size
        return offset, min(self.part_size, self.size - offset)

    @property
    def parity_size(self) -> int:
        """Bytes of each parity part: those of the longest part, rounded up."""
        longest = min(self.part_size, self.size)
        return longest + -longest % PARITY_ALIGNMENT

    def expected(self) -> dict[str, tuple[int, str]]:
        """Return file name → (size, hex SHA-256) of every part and parity part."""
        files = {self.part_name(i): (self.part_span(i)[1], digest) for i, digest in enumerate(self.parts)}
        return files | {
            self.parity_name(i): (self.parity_size, digest) for i, digest in enumerate(self.parity)
        }

    def to_bytes(self) -> bytes:
        """Return `parts.json` (RFC 8785)."""
        document: dict[str, Any] = {
            "schema": SCHEMA,
            "name": self.name,
            "size": self.size,
            "sha256": self.sha256,
            "part_size": self.part_size,
            "parts": list(self.parts),
        }
        if self.parity:
            document |= {"parity": list(self.parity), "parity_code": PARITY_CODE}
        return strict_json.dumps(document)

    @classmethod
    def from_bytes(cls, raw: bytes, what: str) -> "PartsList":
        """Read `parts.json`, called `what` in errors; raises `ImagesError` for anything but its one spelling."""
        try:
            document = strict_json.loads(raw, what, limit=MAX_LIST)
        except DocumentError as error:
            raise ImagesError(str(error), subject=what) from None
        if document.get("schema") != SCHEMA:
            raise ImagesError(f"{what}: not of the schema {SCHEMA}", subject=what)
        fault = _fault(document)
        if fault is not None:
            raise ImagesError(f"{what}: {fault}", subject=what, hint="copy parts.json again")
        return cls(
            document["name"],
            document["size"],
            document["sha256"],
            document["part_size"],
            tuple(document["parts"]),
            tuple(document.get("parity", ())),
        )


def check_plan(name: str, size: int, part_size: int, parity: int) -> None:
    """Raise `ImagesError` unless a file of this name and size may be cut so."""
    if not _NAME.match(name):
        raise ImagesError(
            f"{name}: a name for parts has letters, digits, '.', '_' and '-', at most 150", subject=name
        )
    if not 1 <= size <= MAX_SIZE:
        raise ImagesError(f"{name}: {size} bytes cannot be split", subject=name)
    if part_size < MIN_PART:
        raise ImagesError(f"--size {part_size}: a part has at least {MIN_PART} bytes")
    count = -(-size // part_size)
    if count > MAX_PARTS:
        raise ImagesError(f"--size {part_size}: {count} parts, at most {MAX_PARTS} are allowed")
    if parity and count + parity > MAX_WITH_PARITY:
        raise ImagesError(
            f"--parity {parity}: with {count} parts that is more than {MAX_WITH_PARITY} in all",
            hint=f"--size {-(-size // (MAX_WITH_PARITY - parity))} or larger"
            if parity < MAX_WITH_PARITY
            else None,
        )


def parse_size(text: str) -> int:
    """Return the bytes that `text` says: a number with K, M or G (powers of 1000) or none."""
    match = _SIZE.match(text.upper())
    if match is None:
        raise ImagesError(f"{text}: not a size", hint="a number with K, M or G: 700M, 4G, 25G")
    return int(match[1]) * _UNITS[match[2]]


def _fault(document: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the fields of a list, or None."""
    fields = {"schema", "name", "size", "sha256", "part_size", "parts"}
    if set(document) not in (fields, fields | {"parity", "parity_code"}):
        return "its fields are not those of a list of parts"
    name, size, part_size = document["name"], document["size"], document["part_size"]
    parts, parity = document["parts"], document.get("parity", [])
    if not isinstance(name, str) or not _NAME.match(name):
        return "its name is not a plain file name"
    if not _is_int(size, 1, MAX_SIZE) or not _is_int(part_size, MIN_PART, MAX_SIZE):
        return "a size is out of range"
    if not all(_is_digest(item) for item in (document["sha256"], *_items(parts), *_items(parity))):
        return "a digest is not a SHA-256"
    return _shape_fault(document, len(parts), len(parity), -(-size // part_size))


def _shape_fault(document: Mapping[str, Any], parts: int, parity: int, wanted: int) -> str | None:
    if parts > MAX_PARTS or parts != wanted:
        return f"{parts} parts, its sizes make {wanted}"
    if "parity" in document and document["parity_code"] != PARITY_CODE:
        return "its parity is of another kind than this routeiq knows"
    if "parity" in document and not 1 <= parity <= MAX_WITH_PARITY - parts:
        return f"{parity} parity parts for {parts} parts"
    return None


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [None]


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and bool(_HEX.match(value))


def _is_int(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
