"""Verifies a bundle in one pass over its tar, hashing while it reads and copying where it is asked to.

The steps are `report.STEPS`:
1. nothing is read beyond its cap (`limits`);
2. the signature over the raw bytes of `bundle.json` is checked before a byte of it is parsed;
3. it is parsed strictly;
4. the sequence is reported; one pinned key gives no protection against an older bundle, and the report says so;
5. it is not expired at `now`, which is the caller's clock;
6. each header must be the one that the signed list allows next, each content must have its digest, and after the
   last member comes the one allowed end;
7. attachments and SHA256SUMS are signed by the same key and agree;
8. the OCI documents inside agree with `bundle.json`.

The check of a signature is handed in: `cryptography` in the command, plain Python in `verify.pyz`. Standard library
only, Python 3.9.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO, TypeVar

from routeiq_signing.errors import DocumentError, VerificationError
from routeiq_signing.limits import LIMITS
from routeiq_signing.manifest import Attachments, BundleManifest
from routeiq_signing.progress import Progress
from routeiq_signing.sigstore_bundle import read_message_bundle
from routeiq_signing.tar_format import tar_size
from routeiq_signing.verify.layout import check_layout, documents_of
from routeiq_signing.verify.order import body_entries, signature_name, sums_text
from routeiq_signing.verify.report import Report
from routeiq_signing.verify.stream import TarStream

__all__ = ["PinnedKey", "Verified", "read_manifest", "verify_bundle"]

_T = TypeVar("_T")


@dataclass(frozen=True)
class PinnedKey:
    """The one key that must have signed: its `keyid`, and a check of (DER signature, message)."""

    keyid: str
    verifies: Callable[[bytes, bytes], bool]


@dataclass(frozen=True)
class Verified:
    """An accepted bundle: its parsed documents and the report."""

    manifest: BundleManifest
    attachments: Attachments
    report: Report


def verify_bundle(
    tar: BinaryIO, *, key: PinnedKey, now: datetime, progress: Progress, copy_to: Path | None = None
) -> Verified:
    """Verify the bundle in `tar`, read once from its start to its end.

    With `copy_to` (an empty, private folder) every member is written there while it is hashed; what is in it
    counts for nothing unless this returns. Raises `VerificationError` naming the step and the member.
    """
    stream = TarStream(tar, copy_to)
    identity = _signed_document(stream, "bundle.json", key, step=2)
    manifest = _strict(lambda: BundleManifest.from_bytes(identity), step=3)
    _check_expiry(manifest, now)
    digest = f"sha256:{hashlib.sha256(identity).hexdigest()}"

    said = _signed_document(stream, "attachments.json", key, step=7)
    attachments = _strict(lambda: Attachments.from_bytes(said), step=7)
    if attachments.bundle != digest:
        raise VerificationError(
            f"attachments.json: speaks of {attachments.bundle}, not of this bundle",
            step=7,
            subject="attachments.json",
        )
    entries = _strict(lambda: body_entries(manifest, attachments), step=7)
    _check_sums(stream, sums_text(identity, manifest, said, attachments), key)

    wanted = {"oci-layout", "index.json", "manifest.json", *documents_of(manifest)}
    documents = {}
    with progress.task("verify", tar_size([entry.size for entry in entries])) as advance:
        for entry in entries:
            content = stream.member(entry, keep=entry.path in wanted, advance=advance)
            if content is not None:
                documents[entry.path] = content
        stream.end()
    check_layout(manifest, documents)

    report = Report(
        digest=digest,
        keyid=key.keyid,
        name=manifest.name,
        version=manifest.version,
        channel=manifest.channel,
        sequence=manifest.sequence,
        created=manifest.created,
        expires=manifest.expires,
        files=len(entries),
        bytes=stream.offset,
        accepted=True,
        warnings=["one pinned key: no protection against being given an older bundle (rollback)"],
    )
    if manifest.drift:
        report.warnings.append(
            f"built from packages that are not those of the lock: {', '.join(manifest.drift)}"
        )
    return Verified(manifest, attachments, report)


def read_manifest(tar: BinaryIO) -> tuple[BundleManifest, str]:
    """Return the *unverified* manifest at the head of `tar` and its digest, for a person to look at."""
    stream = TarStream(tar, None)
    identity = stream.head_member("bundle.json", LIMITS.manifest)
    return _strict(lambda: BundleManifest.from_bytes(identity), step=3), hashlib.sha256(identity).hexdigest()


def _signed_document(stream: TarStream, name: str, key: PinnedKey, *, step: int) -> bytes:
    """Return the raw document, signed by our key; a signature by any other key is something extra."""
    raw = stream.head_member(name, LIMITS.manifest)
    ours = signature_name(name, key.keyid)
    found = stream.peek_name()
    if found != ours:
        raise VerificationError(
            f"{name}: not signed by the pinned key {key.keyid[:16]}…",
            step=step,
            subject=name,
            hint="compare the key with the one you were given by a second channel",
        )
    bundle = stream.head_member(ours, LIMITS.signature)
    signature = _strict(lambda: read_message_bundle(bundle, ours, keyid=key.keyid, message=raw), step=step)
    if not key.verifies(signature, raw):
        raise VerificationError(f"{name}: the signature is not of these bytes", step=step, subject=name)
    return raw


def _check_sums(stream: TarStream, expected: bytes, key: PinnedKey) -> None:
    sums = stream.head_member("SHA256SUMS", LIMITS.sums)
    if sums != expected:
        raise VerificationError(
            "SHA256SUMS: does not say what bundle.json says", step=7, subject="SHA256SUMS"
        )
    if not key.verifies(stream.head_member("SHA256SUMS.sig", LIMITS.signature), sums):
        raise VerificationError(
            "SHA256SUMS.sig: not a signature of SHA256SUMS", step=7, subject="SHA256SUMS.sig"
        )


def _check_expiry(manifest: BundleManifest, now: datetime) -> None:
    try:
        expires = datetime.strptime(manifest.expires, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    except ValueError:
        raise VerificationError(
            f"bundle.json: {manifest.expires} is no time", step=3, subject="bundle.json"
        ) from None
    if now >= expires:
        raise VerificationError(
            f"bundle.json: expired on {manifest.expires}",
            step=5,
            subject="bundle.json",
            hint="get a newer bundle, or set the clock if it is wrong",
        )


def _strict(read: Callable[[], _T], *, step: int) -> _T:
    """Return what `read` does; a broken document is a refusal at `step`."""
    try:
        return read()
    except DocumentError as error:
        raise VerificationError(str(error), step=step, subject=error.subject) from None
