"""Verifies a bundle in one pass over its tar, hashing while it reads and copying where it is asked to.

The steps are `report.STEPS`:
1. nothing is read beyond its cap (`limits`);
2. the signature over the raw bytes of `bundle.json` is checked before a byte of it is parsed;
3. it is parsed strictly;
4. the sequence is judged by what the caller trusts (`trust`): a site's root refuses an older bundle, one pinned key
   cannot, and the report says so;
5. it is not expired at `now`, or at the last time that a site's state has seen;
6. each header must be the one that the signed list allows next, each content must have its digest, and after the
   last member comes the one allowed end;
7. attachments and SHA256SUMS are signed by one key that may sign and agree; an attached provenance is about this
   bundle (`provenance`);
8. the OCI documents inside agree with `bundle.json`.

The check of a signature is handed in: `cryptography` in the command, plain Python in `verify.pyz`. Standard library
only, Python 3.9.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
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
from routeiq_signing.verify.provenance import Provenance, check_provenance, provenance_path
from routeiq_signing.verify.report import Report
from routeiq_signing.verify.stream import TarStream
from routeiq_signing.verify.trust import OneKey, PinnedKey, Trust

__all__ = ["PinnedKey", "Verified", "read_identity", "read_manifest", "verify_bundle"]

_T = TypeVar("_T")
_KEYID = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True)
class Verified:
    """An accepted bundle: its parsed documents, the raw `identity` (bundle.json) and the report.

    `provenance` is None where none is attached, `envelope` its raw bytes; `kept` the files that were asked for.
    """

    manifest: BundleManifest
    attachments: Attachments
    report: Report
    identity: bytes = b""
    provenance: Provenance | None = None
    envelope: bytes = b""
    kept: Mapping[str, bytes] = field(default_factory=dict)


def verify_bundle(
    tar: BinaryIO,
    *,
    key: PinnedKey | Trust,
    now: datetime,
    progress: Progress,
    copy_to: Path | None = None,
    keep: Collection[str] = (),
) -> Verified:
    """Verify the bundle in `tar`, read once from its start to its end; `key` is what it is judged by.

    With `copy_to` (an empty, private folder) every member is written there while it is hashed; what is in it
    counts for nothing unless this returns. `keep` names files to return the bytes of, where the bundle has them (each
    at most `LIMITS.oci_document`). Raises `VerificationError` naming the step and the member.
    """
    trust = OneKey(key) if isinstance(key, PinnedKey) else key
    stream = TarStream(tar, copy_to)
    identity, signer = _signed_document(stream, "bundle.json", trust.keys(), step=2)
    manifest = _strict(lambda: BundleManifest.from_bytes(identity), step=3)
    trust.begin(manifest, identity)
    _check_expiry(manifest, trust.clock(now))
    digest = f"sha256:{hashlib.sha256(identity).hexdigest()}"

    said, attacher = _signed_document(stream, "attachments.json", trust.keys(), step=7)
    attachments = _strict(lambda: Attachments.from_bytes(said), step=7)
    if attachments.bundle != digest:
        raise VerificationError(
            f"attachments.json: speaks of {attachments.bundle}, not of this bundle",
            step=7,
            subject="attachments.json",
        )
    entries = _strict(lambda: body_entries(manifest, attachments), step=7)
    _check_sums(stream, sums_text(identity, manifest, said, attachments), attacher)

    trusted = trust.wanted(attachments)
    origin = provenance_path(attachments)
    wanted = {"oci-layout", "index.json", "manifest.json", *documents_of(manifest), *trusted.values(), *keep}
    wanted |= {origin} if origin else set()
    documents = {}
    with progress.task("verify", tar_size([entry.size for entry in entries])) as advance:
        for entry in entries:
            content = stream.member(entry, keep=entry.path in wanted, advance=advance)
            if content is not None:
                documents[entry.path] = content
        stream.end()
    check_layout(manifest, documents)
    envelope = documents[origin] if origin else b""
    provenance = check_provenance(envelope, origin, trust.keys(), manifest, digest) if origin else None
    told = trust.finish(manifest, identity, {name: documents[path] for name, path in trusted.items()})

    report = Report(
        digest=digest,
        keyid=signer.keyid,
        name=manifest.name,
        version=manifest.version,
        channel=manifest.channel,
        sequence=manifest.sequence,
        created=manifest.created,
        expires=manifest.expires,
        files=len(entries),
        bytes=stream.offset,
        accepted=True,
        trust=told.basis,
        root=told.root,
        lacks=list(told.lacks),
        provenance=provenance.to_json() if provenance else {},
        notes=list(told.notes),
        warnings=list(told.warnings),
    )
    if told.lacks:
        report.warnings.append(f"{told.basis}: {', '.join(told.lacks)}")
    if manifest.drift:
        report.warnings.append(
            f"built from packages that are not those of the lock: {', '.join(manifest.drift)}"
        )
    kept = {name: documents[name] for name in keep if name in documents}
    return Verified(manifest, attachments, report, identity, provenance, envelope, kept)


def read_manifest(tar: BinaryIO) -> tuple[BundleManifest, str]:
    """Return the *unverified* manifest at the head of `tar` and its digest, for a person to look at."""
    identity = read_identity(tar)
    return _strict(lambda: BundleManifest.from_bytes(identity), step=3), hashlib.sha256(identity).hexdigest()


def read_identity(tar: BinaryIO) -> bytes:
    """Return the *unverified* raw bytes of bundle.json at the head of `tar`."""
    return TarStream(tar, None).head_member("bundle.json", LIMITS.manifest)


def _signed_document(
    stream: TarStream, name: str, keys: Mapping[str, PinnedKey], *, step: int
) -> tuple[bytes, PinnedKey]:
    """Return the raw document and which of our keys signed it; a signature by any other key is something extra."""
    raw = stream.head_member(name, LIMITS.manifest)
    found = stream.peek_name() or ""
    keyid = found[len(name) + 1 : len(name) + 65]
    key = keys.get(keyid) if _KEYID.match(keyid) else None
    if key is None or found != signature_name(name, key.keyid):
        ours = [keyid[:16] + "…" for keyid in sorted(keys)]
        whose = f"the pinned key {ours[0]}" if len(ours) == 1 else f"any of the keys {', '.join(ours)}"
        raise VerificationError(
            f"{name}: not signed by {whose}",
            step=step,
            subject=name,
            hint="compare the key with the one you were given by a second channel",
        )
    bundle = stream.head_member(found, LIMITS.signature)
    signature = _strict(lambda: read_message_bundle(bundle, found, keyid=key.keyid, message=raw), step=step)
    if not key.verifies(signature, raw):
        raise VerificationError(f"{name}: the signature is not of these bytes", step=step, subject=name)
    return raw, key


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
