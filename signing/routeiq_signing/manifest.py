"""What `bundle.json` and `attachments.json` may say, and nothing else.

`bundle.json` is a bundle's identity: everything that two builders reproduce, no signature. `attachments.json` is
what is said *about* it: signatures, provenance, proofs. Both are strict (`strict_json`), every field is required
unless it says otherwise, an unknown field is refused, and lists that name files are sorted by path.

Standard library only, Python 3.9: part of `verify.pyz`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from routeiq_signing.errors import DocumentError
from routeiq_signing.limits import LIMITS
from routeiq_signing.strict_json import dumps, loads

__all__ = [
    "ATTACHMENTS_SCHEMA",
    "BUNDLE_SCHEMA",
    "Attachment",
    "Attachments",
    "BundleManifest",
    "Chart",
    "FileEntry",
    "ImageEntry",
    "InputsEntry",
    "LockEntry",
    "ModelEntry",
    "blob_path",
    "check_path",
]

BUNDLE_SCHEMA = "routeiq.bundle/v1"
ATTACHMENTS_SCHEMA = "routeiq.attachments/v1"

_HEX = re.compile(r"[0-9a-f]{64}\Z")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_SEGMENT = re.compile(r"[A-Za-z0-9._+@=~-]{1,200}\Z")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")


@dataclass(frozen=True)
class FileEntry:
    """A file by its path, bare hex SHA-256 and size in bytes."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class ImageEntry:
    """An image: manifest `digest`, config digest `image_id`, the tag it loads under, its SBOM artifact's digest."""

    name: str
    digest: str
    image_id: str
    tag: str
    sbom: str


@dataclass(frozen=True)
class ModelEntry:
    """A model artifact and where its files lie below the models folder."""

    name: str
    kind: str
    digest: str
    path: str
    files: tuple[FileEntry, ...]


@dataclass(frozen=True)
class Chart:
    """The Helm chart's artifact."""

    name: str
    version: str
    digest: str


@dataclass(frozen=True)
class InputsEntry:
    """The second tar, from which this one can be rebuilt."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class LockEntry:
    """A lock file that the bundle was built from."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Attachment:
    """One statement about a thing in the bundle: `subject` and the blob `digest` that holds it are OCI digests."""

    kind: str
    name: str
    subject: str
    media_type: str
    digest: str
    size: int


@dataclass(frozen=True)
class BundleManifest:
    """`bundle.json`. Times are UTC with whole seconds (`2026-01-31T12:00:00Z`)."""

    name: str
    version: str
    channel: str
    sequence: int
    created: str
    expires: str
    platform: str
    images: tuple[ImageEntry, ...]
    models: tuple[ModelEntry, ...]
    chart: Chart
    files: tuple[FileEntry, ...]
    inputs: InputsEntry
    locks: tuple[LockEntry, ...]
    drift: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """Return the RFC 8785 bytes; they parse back to an equal object. `drift` is left out when empty."""
        document = {"schema": BUNDLE_SCHEMA, **asdict(self)}
        if not self.drift:
            del document["drift"]
        raw = dumps(document)
        self.from_bytes(raw)
        return raw

    @classmethod
    def from_bytes(cls, raw: bytes, what: str = "bundle.json") -> BundleManifest:
        """Parse; raises `DocumentError` naming the field at fault."""
        read = _Fields(loads(raw, what, limit=LIMITS.manifest), what)
        read.constant("schema", BUNDLE_SCHEMA)
        manifest = cls(
            name=read.match("name", _NAME),
            version=read.match("version", _NAME),
            channel=read.match("channel", _NAME),
            sequence=read.integer("sequence", 1),
            created=read.match("created", _TIME),
            expires=read.match("expires", _TIME),
            platform=read.text("platform"),
            images=tuple(_image(item) for item in read.objects("images")),
            models=tuple(_model(item) for item in read.objects("models")),
            chart=_chart(read.object("chart")),
            files=_files(read),
            inputs=_inputs(read.object("inputs")),
            locks=tuple(_lock(item) for item in read.objects("locks")),
            drift=read.texts("drift") if "drift" in read.document else (),
        )
        read.done()
        return manifest


@dataclass(frozen=True)
class Attachments:
    """`attachments.json`: `bundle` is the OCI digest of the bundle.json it speaks of."""

    bundle: str
    attachments: tuple[Attachment, ...]
    files: tuple[FileEntry, ...]

    def to_bytes(self) -> bytes:
        """Return the RFC 8785 bytes; they parse back to an equal object."""
        raw = dumps({"schema": ATTACHMENTS_SCHEMA, **asdict(self)})
        self.from_bytes(raw)
        return raw

    @classmethod
    def from_bytes(cls, raw: bytes, what: str = "attachments.json") -> Attachments:
        """Parse; raises `DocumentError` naming the field at fault."""
        read = _Fields(loads(raw, what, limit=LIMITS.manifest), what)
        read.constant("schema", ATTACHMENTS_SCHEMA)
        result = cls(
            bundle=read.match("bundle", _DIGEST),
            attachments=tuple(_attachment(item) for item in read.objects("attachments")),
            files=_files(read),
        )
        read.done()
        known = {entry.path: entry.size for entry in result.files}
        for item in result.attachments:
            if known.get(blob_path(item.digest)) != item.size:
                raise DocumentError(
                    f"{what}: attachment {item.name}: its blob is not among files", subject=what
                )
        return result


def blob_path(digest: str) -> str:
    """Return the path of a blob in an OCI layout (image-spec, image-layout.md)."""
    return "blobs/" + digest.replace(":", "/", 1)


def check_path(path: str, what: str) -> str:
    """Return `path` if it is relative, normalised and plain; raises `DocumentError` otherwise.

    Plain: segments of letters, digits and `._+@=~-`, none of them `.` or `..`; so no traversal, no absolute
    path, no backslash, no control character, no Unicode look-alike, on no file system.
    """
    segments = path.split("/")
    if len(path) > LIMITS.path or not all(
        _SEGMENT.match(part) and part not in {".", ".."} for part in segments
    ):
        raise DocumentError(f"{what}: path {path[:120]!r} is not allowed", subject=what)
    return path


class _Fields:
    """Reads fields of one object with the type they must have, and refuses what was not read."""

    def __init__(self, document: dict[str, Any], what: str) -> None:
        self.document = document
        self.what = what
        self._read: set[str] = set()

    def _take(self, name: str, kind: type) -> Any:
        self._read.add(name)
        if name not in self.document:
            raise DocumentError(f"{self.what}: field {name} is missing", subject=self.what)
        value = self.document[name]
        if type(value) is not kind:
            raise DocumentError(f"{self.what}: field {name} is no {kind.__name__}", subject=self.what)
        return value

    def constant(self, name: str, expected: str) -> None:
        if self._take(name, str) != expected:
            raise DocumentError(
                f"{self.what}: {name} is {self.document[name][:60]!r}, this version reads {expected!r}",
                subject=self.what,
            )

    def text(self, name: str) -> str:
        value: str = self._take(name, str)
        if not 0 < len(value) <= 500 or not value.isprintable():
            raise DocumentError(
                f"{self.what}: field {name} is empty, too long or not printable", subject=self.what
            )
        return value

    def match(self, name: str, pattern: re.Pattern[str]) -> str:
        value: str = self._take(name, str)
        if not pattern.match(value):
            raise DocumentError(f"{self.what}: field {name} has the value {value[:80]!r}", subject=self.what)
        return value

    def integer(self, name: str, least: int) -> int:
        value: int = self._take(name, int)
        if value < least:
            raise DocumentError(f"{self.what}: field {name} is {value}, at least {least}", subject=self.what)
        return value

    def object(self, name: str) -> _Fields:
        return _Fields(self._take(name, dict), f"{self.what}: {name}")

    def objects(self, name: str) -> list[_Fields]:
        items: list[Any] = self._take(name, list)
        if len(items) > LIMITS.files or not all(isinstance(item, dict) for item in items):
            raise DocumentError(f"{self.what}: field {name} is no list of objects", subject=self.what)
        return [_Fields(item, f"{self.what}: {name}[{index}]") for index, item in enumerate(items)]

    def texts(self, name: str) -> tuple[str, ...]:
        items: list[Any] = self._take(name, list)
        if not all(isinstance(item, str) for item in items):
            raise DocumentError(f"{self.what}: field {name} is no list of strings", subject=self.what)
        return tuple(items)

    def path(self, name: str) -> str:
        return check_path(self._take(name, str), self.what)

    def done(self) -> None:
        unknown = sorted(set(self.document) - self._read)
        if unknown:
            raise DocumentError(f"{self.what}: unknown field {unknown[0]}", subject=self.what)


def _file(read: _Fields) -> FileEntry:
    entry = FileEntry(read.path("path"), read.match("sha256", _HEX), read.integer("size", 0))
    read.done()
    return entry


def _files(read: _Fields) -> tuple[FileEntry, ...]:
    entries = tuple(_file(item) for item in read.objects("files"))
    _sorted_unique((entry.path for entry in entries), read.what)
    for entry in entries:
        if entry.path.startswith("blobs/") and entry.path != f"blobs/sha256/{entry.sha256}":
            raise DocumentError(
                f"{read.what}: {entry.path} has the digest {entry.sha256}", subject=entry.path
            )
    return entries


def _sorted_unique(paths: Iterable[str], what: str) -> None:
    """Paths ascend, and no two are one file where case does not count."""
    previous = ""
    folded: set[str] = set()
    for path in paths:
        if path <= previous:
            raise DocumentError(f"{what}: {path} is not in ascending order", subject=path)
        if path.lower() in folded:
            raise DocumentError(f"{what}: {path} stands twice but for case", subject=path)
        folded.add(path.lower())
        previous = path


def _image(read: _Fields) -> ImageEntry:
    entry = ImageEntry(
        name=read.match("name", _NAME),
        digest=read.match("digest", _DIGEST),
        image_id=read.match("image_id", _DIGEST),
        tag=read.text("tag"),
        sbom=read.match("sbom", _DIGEST),
    )
    read.done()
    return entry


def _model(read: _Fields) -> ModelEntry:
    entry = ModelEntry(
        name=read.match("name", _NAME),
        kind=read.match("kind", _NAME),
        digest=read.match("digest", _DIGEST),
        path=read.path("path"),
        files=_files(read),
    )
    read.done()
    return entry


def _chart(read: _Fields) -> Chart:
    entry = Chart(read.match("name", _NAME), read.match("version", _NAME), read.match("digest", _DIGEST))
    read.done()
    return entry


def _inputs(read: _Fields) -> InputsEntry:
    entry = InputsEntry(read.path("path"), read.match("sha256", _HEX), read.integer("size", 0))
    read.done()
    return entry


def _lock(read: _Fields) -> LockEntry:
    entry = LockEntry(read.path("path"), read.match("sha256", _HEX))
    read.done()
    return entry


def _attachment(read: _Fields) -> Attachment:
    entry = Attachment(
        kind=read.match("kind", _NAME),
        name=read.match("name", _NAME),
        subject=read.match("subject", _DIGEST),
        media_type=read.text("media_type"),
        digest=read.match("digest", _DIGEST),
        size=read.integer("size", 0),
    )
    read.done()
    return entry
