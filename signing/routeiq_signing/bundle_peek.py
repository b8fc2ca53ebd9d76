"""Looks into a bundle for a person: its identity, its provenance and its bill of materials, verified or not.

With a key or a site's trust everything that is returned was verified in one pass, from the bytes that were hashed.
Without, it is what the tar says of itself, read member by member within caps; nothing of it may decide anything.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from routeiq_signing.bundle_file import inspect_bundle_file, verify_bundle_file
from routeiq_signing.errors import DocumentError, SigningError
from routeiq_signing.keys import PublicKey
from routeiq_signing.limits import LIMITS
from routeiq_signing.manifest import Attachments, BundleManifest
from routeiq_signing.progress import Progress
from routeiq_signing.tar_format import BLOCK, header, padding
from routeiq_signing.verify.provenance import Provenance, provenance_path, read_provenance
from routeiq_signing.verify.trust import Trust

__all__ = ["SBOM_NAME", "Look", "look_into"]

SBOM_NAME = "sbom.cdx.json"
"""The bundle's bill of materials, a file at the root of its tar."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was found: `provenance` is None and `envelope`, `sbom` are empty where the bundle has none."""

    manifest: BundleManifest
    digest: str
    verified: bool
    provenance: Provenance | None
    envelope: bytes
    sbom: bytes


def look_into(path: Path, trust: PublicKey | Trust | None, progress: Progress) -> Look:
    """Return what the tar at `path` holds; raises `VerificationError` when `trust` is given and refuses it.

    Without `trust` raises `SigningError` for what is no bundle.
    """
    if trust is not None:
        verified = verify_bundle_file(path, key=trust, progress=progress, keep=(SBOM_NAME,))
        sbom = verified.kept.get(SBOM_NAME, b"")
        digest = verified.report.digest
        return Look(verified.manifest, digest, True, verified.provenance, verified.envelope, sbom)
    manifest, hexadecimal = inspect_bundle_file(path)
    first = _members(path, {"attachments.json", SBOM_NAME})
    place = provenance_path(Attachments.from_bytes(first.get("attachments.json", b"")))
    envelope = _members(path, {place}).get(place, b"") if place else b""
    said = read_provenance(envelope, str(place)) if envelope else None
    return Look(manifest, f"sha256:{hexadecimal}", False, said, envelope, first.get(SBOM_NAME, b""))


def _members(path: Path, names: Collection[str]) -> dict[str, bytes]:
    """Return the contents of the named members; what is larger than a document may be is refused."""
    found: dict[str, bytes] = {}
    with path.open("rb") as tar:
        for _ in range(LIMITS.files):
            block = tar.read(BLOCK)
            if len(block) < BLOCK or block == bytes(BLOCK):
                break
            name = block[:100].rstrip(b"\0").decode("ascii", "replace")
            try:
                size = int(block[124:135], 8)
                right = header(name, size) == block  # a size below zero would read all there is
            except (ValueError, DocumentError):
                right, size = False, 0
            if not right:
                raise SigningError(f"{path}: not a bundle's tar at {name[:60]!r}", subject=str(path))
            if name in names and name not in found:
                if size > LIMITS.manifest:
                    raise SigningError(f"{name}: {size} bytes, more than the {LIMITS.manifest} allowed")
                found[name] = tar.read(size)
                size -= len(found[name])
                tar.seek(padding(len(found[name])) + max(size, 0), 1)
            else:
                tar.seek(size + padding(size), 1)
    return found
