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
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO, TypeVar

from routeiq_signing._recover import recover_public_key
from routeiq_signing.errors import DocumentError, VerificationError
from routeiq_signing.limits import LIMITS
from routeiq_signing.manifest import Attachments, BundleManifest
from routeiq_signing.progress import Progress
from routeiq_signing.sigstore_bundle import read_message_bundle
from routeiq_signing.tar_format import tar_size
from routeiq_signing.verify.layout import check_layout, documents_of
from routeiq_signing.verify.order import (
    body_entries,
    signature_name,
    signer_of,
    sums_signature_name,
    sums_text,
)
from routeiq_signing.verify.provenance import Provenance, check_provenance, provenance_path
from routeiq_signing.verify.report import Report
from routeiq_signing.verify.stream import TarStream
from routeiq_signing.verify.trust import OneKey, PinnedKey, Trust

__all__ = ["PinnedKey", "Verified", "read_identity", "read_manifest", "verify_bundle"]

_T = TypeVar("_T")


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
    signed = _signed_document(stream, "bundle.json", trust.keys(), step=2, required=trust.required())
    identity = signed.raw
    manifest = _strict(lambda: BundleManifest.from_bytes(identity), step=3)
    trust.begin(manifest, identity)
    _check_expiry(manifest, trust.clock(now))
    digest = f"sha256:{hashlib.sha256(identity).hexdigest()}"

    attached = _signed_document(stream, "attachments.json", trust.keys(), step=7)
    said = attached.raw
    attachments = _strict(lambda: Attachments.from_bytes(said), step=7)
    if attachments.bundle != digest:
        raise VerificationError(
            f"attachments.json: speaks of {attachments.bundle}, not of this bundle",
            step=7,
            subject="attachments.json",
        )
    entries = _strict(lambda: body_entries(manifest, attachments), step=7)
    _check_sums(stream, sums_text(identity, manifest, said, attachments), attached)

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
    provenance = None
    if origin:
        provenance = check_provenance(
            envelope, origin, trust.keys(), manifest, digest, others=attached.others
        )
    told = trust.finish(manifest, identity, {name: documents[path] for name, path in trusted.items()})

    report = Report(
        digest=digest,
        keyid=signed.signers[0].keyid,
        signers=[key.keyid for key in signed.signers],
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
        notes=[
            *told.notes,
            *(f"signed by {keyid} too, which is not trusted here" for keyid in signed.others),
            *(["its provenance is by a signer who is not trusted here"] if origin and not provenance else []),
        ],
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


@dataclass(frozen=True)
class _Signed:
    """A document, which of our keys signed it, and which others did: theirs proves itself and counts for nothing."""

    raw: bytes
    signers: list[PinnedKey]
    others: list[str]


def _signed_document(
    stream: TarStream, name: str, keys: Mapping[str, PinnedKey], *, step: int, required: int = 1
) -> _Signed:
    """Return the raw document and who signed it.

    A signature by a key that is not ours must still be one, by the key that its name says: anything else is something
    extra. So a bundle has no room for bytes that nobody stands for.
    """
    raw = stream.head_member(name, LIMITS.manifest)
    found = _Signed(raw, [], [])
    last = ""
    while (keyid := signer_of(stream.peek_name(), name)) is not None:
        if keyid <= last or len(found.signers) + len(found.others) == LIMITS.signers:
            raise VerificationError(f"{name}: too many signatures, or out of order", step=step, subject=name)
        last = keyid
        member = signature_name(name, keyid)
        bundle = stream.head_member(member, LIMITS.signature)
        signature = _strict(
            lambda: read_message_bundle(bundle, member, keyid=keyid, message=raw),  # noqa: B023  called at once
            step=step,
        )
        if keyid in keys:
            if not keys[keyid].verifies(signature, raw):
                raise VerificationError(
                    f"{name}: the signature is not of these bytes", step=step, subject=name
                )
            found.signers.append(keys[keyid])
        elif recover_public_key(signature, raw, keyid) is None:
            raise VerificationError(f"{member}: is no signature by this key", step=step, subject=member)
        else:
            found.others.append(keyid)
    if len(found.signers) < required:
        raise _unsigned(name, keys, len(found.signers), required, step)
    return found


def _unsigned(
    name: str, keys: Mapping[str, PinnedKey], count: int, required: int, step: int
) -> VerificationError:
    ours = [keyid[:16] + "…" for keyid in sorted(keys)]
    whose = f"the pinned key {ours[0]}" if len(ours) == 1 else f"any of the keys {', '.join(ours)}"
    if count:
        said = f"signed by {count} of the {required} keys that are required, of {', '.join(ours)}"
    else:
        said = f"not signed by {whose}"
    return VerificationError(
        f"{name}: {said}",
        step=step,
        subject=name,
        hint="compare the key with the one you were given by a second channel",
    )


def _check_sums(stream: TarStream, expected: bytes, attached: _Signed) -> None:
    """SHA256SUMS says what the signed lists say, and each of its signatures is by a signer of attachments.json."""
    sums = stream.head_member("SHA256SUMS", LIMITS.sums)
    if sums != expected:
        raise VerificationError(
            "SHA256SUMS: does not say what bundle.json says", step=7, subject="SHA256SUMS"
        )
    ours = {key.keyid: key for key in attached.signers}

    def right(signature: bytes, keyid: str) -> bool:
        if keyid in ours:
            return ours[keyid].verifies(signature, sums)
        return recover_public_key(signature, sums, keyid) is not None

    everybody = [*ours, *attached.others]
    first = stream.head_member("SHA256SUMS.sig", LIMITS.signature)
    signed = [any(right(first, keyid) for keyid in everybody)]
    name, last = "SHA256SUMS.sig", ""
    while signed[-1] and (keyid := signer_of(stream.peek_name(), "SHA256SUMS")) is not None:
        name = sums_signature_name(keyid)
        signature = stream.head_member(name, LIMITS.signature)
        signed.append(keyid > last and keyid in everybody and right(signature, keyid))
        last = keyid
    if not all(signed):
        raise VerificationError(f"{name}: not a signature of SHA256SUMS", step=7, subject=name)


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
