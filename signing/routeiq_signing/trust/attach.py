"""Puts TUF metadata into a bundle that is built already: its identity stays, what is said about it grows.

The producer's side. The metadata is judged by its root before a byte is written, so a ceremony that lacks a signature
ends here and not at a site.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from routeiq_signing.bundle_file import verify_bundle_file
from routeiq_signing.bundle_tar import sign_head, write_bundle_tar
from routeiq_signing.errors import SigningError
from routeiq_signing.keyring.signer import Signer
from routeiq_signing.manifest import Attachment, Attachments, FileEntry, blob_path
from routeiq_signing.progress import Progress
from routeiq_signing.trust.metadata import RELEASE_FILES, read_root
from routeiq_signing.trust.rules import Offered, judge
from routeiq_signing.trust.site import ATTACHMENT_KIND, MEDIA_TYPE
from routeiq_signing.verify.order import body_entries, signer_of

__all__ = ["attach_metadata", "with_metadata"]


def attach_metadata(
    tar: Path,
    root: bytes,
    metadata: Mapping[str, bytes],
    key: Signer,
    now: datetime,
    progress: Progress,
) -> str:
    """Rewrite `tar` with `metadata` (file name → bytes) in place of what it had; return the bundle's digest.

    Other signers' signatures of bundle.json stay; `bundle sign` adds theirs of the new attachments.

    `key` is the release key that signed the bundle. Raises `VerificationError` when tar or metadata would be refused.
    Needs room for two more copies beside the tar.
    """
    _, role = read_root(root)
    if key.public.keyid not in role.release.keys:
        raise SigningError(
            f"key {key.public.keyid[:16]}… is no release key of root {role.version}",
            hint="sign the bundle with a key that the root names: make bundle KEY=FILE",
        )
    with tempfile.TemporaryDirectory(dir=tar.parent, prefix=f".{tar.name}.attach-") as folder:
        copy = Path(folder)
        verified = verify_bundle_file(tar, key=key.public, progress=progress, now=now, copy_to=copy)
        sha256 = verified.report.digest.removeprefix("sha256:")
        offered = Offered(metadata, verified.manifest.sequence, sha256, len(verified.identity))
        judge(root, None, offered, now)
        before = verified.attachments
        attachments, blobs = with_metadata(before, metadata)
        kept = {entry.path for entry in body_entries(verified.manifest, attachments)} - blobs.keys()
        signed = sign_head(verified.manifest, attachments, key)
        # What others signed of the identity still holds; what they signed of the attachments is of another text now.
        others = {
            path.name: path.read_bytes() for path in copy.iterdir() if signer_of(path.name, "bundle.json")
        }
        head = replace(signed, members={**others, **signed.members})
        write_bundle_tar(tar, head, {**{path: copy / path for path in kept}, **blobs}, progress)
    return verified.report.digest


def with_metadata(said: Attachments, metadata: Mapping[str, bytes]) -> tuple[Attachments, dict[str, bytes]]:
    """Return `said` with `metadata` in place of any that it named, and the new blobs by path."""
    others = [item for item in said.attachments if item.kind != ATTACHMENT_KIND]
    used = {blob_path(item.digest) for item in others}
    dropped = {blob_path(item.digest) for item in said.attachments} - used
    files = {entry.path: entry for entry in said.files if entry.path not in dropped}
    blobs: dict[str, bytes] = {}
    for name in RELEASE_FILES:
        raw = metadata[name]
        sha256 = hashlib.sha256(raw).hexdigest()
        path = blob_path(f"sha256:{sha256}")
        blobs[path], files[path] = raw, FileEntry(path, sha256, len(raw))
        others.append(
            Attachment(ATTACHMENT_KIND, name, said.bundle, MEDIA_TYPE, f"sha256:{sha256}", len(raw))
        )
    listed = tuple(files[path] for path in sorted(files))
    return replace(said, attachments=tuple(others), files=listed), blobs
