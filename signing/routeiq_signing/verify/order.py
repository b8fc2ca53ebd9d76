"""Which members a bundle has and in which order: the signed head, the documents, then blobs by name.

Pure. With the order fixed, a reader knows each header before it comes; "extra", "missing", "twice" and
"out of order" are one comparison.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from routeiq_signing.errors import DocumentError
from routeiq_signing.manifest import Attachments, BundleManifest, FileEntry

__all__ = [
    "HEAD",
    "body_entries",
    "is_signature",
    "member_order",
    "signature_name",
    "signer_of",
    "sums_signature_name",
    "sums_text",
]

HEAD = ("bundle.json", "attachments.json", "SHA256SUMS", "SHA256SUMS.sig")
_DOCUMENTS = ("oci-layout", "index.json", "manifest.json", "verify.pyz", "README.txt")
_SIGNATURE = re.compile(r"(bundle|attachments)\.json\.([0-9a-f]{64})\.sigstore\.json\Z")
_SUMS_SIGNATURE = re.compile(r"SHA256SUMS\.([0-9a-f]{64})\.sig\Z")


def signature_name(document: str, keyid: str) -> str:
    """Return the member that holds the signature of `document` by the key `keyid`."""
    return f"{document}.{keyid}.sigstore.json"


def sums_signature_name(keyid: str) -> str:
    """Return the member that holds the signature of SHA256SUMS by a further signer; the first has `SHA256SUMS.sig`."""
    return f"SHA256SUMS.{keyid}.sig"


def signer_of(name: str, document: str) -> str | None:
    """Return the keyid in `name` when that is a signature of `document` (or of SHA256SUMS by a further signer)."""
    match = (_SUMS_SIGNATURE if document == "SHA256SUMS" else _SIGNATURE).match(name)
    return match.group(match.lastindex or 0) if match and name.startswith(document + ".") else None


def is_signature(name: str, document: str) -> bool:
    """Tell whether `name` is a signature of `document` (or of SHA256SUMS by a further signer) by some key."""
    return signer_of(name, document) is not None


def member_order(names: Iterable[str]) -> list[str]:
    """Return `names` as they stand in the tar."""
    return sorted(names, key=_rank)


def _rank(name: str) -> tuple[int, str]:
    if _SUMS_SIGNATURE.match(name):
        return (9, name)  # after SHA256SUMS.sig, the first signer's
    for rank, document in enumerate(HEAD):
        if name == document:
            return (rank * 2, name)
        if is_signature(name, document):
            return (rank * 2 + 1, name)
    if name in _DOCUMENTS:
        return (10 + _DOCUMENTS.index(name), name)
    return (20, name)


def body_entries(manifest: BundleManifest, attachments: Attachments) -> list[FileEntry]:
    """Return every file after the head in the tar's order; raises `DocumentError` when the two lists overlap."""
    entries = {entry.path.lower(): entry for entry in manifest.files}
    for entry in attachments.files:
        if entry.path.lower() in entries or not entry.path.startswith("blobs/"):
            raise DocumentError(f"attachments.json: {entry.path} may not be attached", subject=entry.path)
        entries[entry.path.lower()] = entry
    for entry in entries.values():
        if entry.path in HEAD or _SIGNATURE.match(entry.path) or _SUMS_SIGNATURE.match(entry.path):
            raise DocumentError(f"bundle.json: {entry.path} may not be listed", subject=entry.path)
    by_path = {entry.path: entry for entry in entries.values()}
    return [by_path[path] for path in member_order(by_path)]


def sums_text(identity: bytes, manifest: BundleManifest, said: bytes, attachments: Attachments) -> bytes:
    """Return `SHA256SUMS`: what `sha256sum -c` reads, for both documents and all files they list, by path."""
    sums = {entry.path: entry.sha256 for entry in body_entries(manifest, attachments)}
    sums["bundle.json"] = hashlib.sha256(identity).hexdigest()
    sums["attachments.json"] = hashlib.sha256(said).hexdigest()
    return "".join(f"{sums[path]}  {path}\n" for path in sorted(sums)).encode("ascii")
