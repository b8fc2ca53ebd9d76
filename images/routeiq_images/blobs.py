"""The blobs of an OCI layout while it is being built: a folder of files named by digest."""

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import rfc8785

__all__ = ["EMPTY_CONFIG", "MANIFEST_MEDIA_TYPE", "BlobStore"]

MANIFEST_MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
EMPTY_CONFIG = "application/vnd.oci.empty.v1+json"  # image-spec 1.1, "guidance for an empty descriptor"
_CHUNK = 1 << 20


class BlobStore:
    """Blobs by OCI digest (`sha256:<hex>`) below `root`/blobs/sha256, as an OCI layout has them."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "blobs" / "sha256"
        self._folder.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Return the file of the blob `digest`."""
        return self._folder / digest.removeprefix("sha256:")

    def all(self) -> Mapping[str, Path]:
        """Return every blob: its path in the layout → its file."""
        return {f"blobs/sha256/{path.name}": path for path in sorted(self._folder.iterdir())}

    @contextmanager
    def new(self) -> Iterator[BinaryIO]:
        """Yield a file to write a blob into; it vanishes unless `keep` is called on it."""
        descriptor, name = tempfile.mkstemp(dir=self._folder.parent, prefix="new-")
        try:
            os.close(descriptor)
            with Path(name).open("w+b") as file:
                yield file
        finally:
            Path(name).unlink(missing_ok=True)

    def keep(self, file: BinaryIO) -> tuple[str, int]:
        """Make the whole content of `file` (from `new`) a blob; return its digest and size."""
        file.flush()
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        size = file.seek(0, os.SEEK_END)
        target = self._folder / digest
        if not target.exists():
            os.link(file.name, target)
            target.chmod(0o644)
        return f"sha256:{digest}", size

    def add(self, data: bytes) -> str:
        """Make `data` a blob and return its digest."""
        with self.new() as file:
            file.write(data)
            return self.keep(file)[0]

    def add_file(self, path: Path) -> tuple[str, int]:
        """Copy a file in; return its digest and size."""
        with self.new() as file, path.open("rb") as source:
            while block := source.read(_CHUNK):
                file.write(block)
            return self.keep(file)

    def add_json(self, document: Mapping[str, Any]) -> str:
        """Make the RFC 8785 bytes of `document` a blob and return its digest."""
        return self.add(rfc8785.dumps(dict(document)))

    def descriptor(self, digest: str, media_type: str, **more: Any) -> dict[str, Any]:
        """Return the OCI descriptor of a blob that is here."""
        return {"mediaType": media_type, "digest": digest, "size": self.path(digest).stat().st_size, **more}
