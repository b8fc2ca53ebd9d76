"""TUF's rules over local files, run by python-tuf: which root follows which, and whether a bundle is the newest.

Pure: bytes and a time in, nothing or a refusal out; no network, no file. Rules (TUF 1.0.31, section 5):
* the first root is signed by its own threshold; who believes it compared its fingerprint;
* root N+1 is signed by the thresholds of N and of N+1, and no number is skipped;
* timestamp, snapshot and targets are signed by the release threshold of the current root, are not expired and are not
  older than those accepted before;
* what was accepted before counts only while the current root's keys still vouch for it: after a compromised key was
  removed, versions that it had pushed up lock nobody out (fast-forward recovery);
* the version of targets is the bundle's sequence, and its only target is this `bundle.json` (`trust.offered`).

`verify.pyz` has `verify.small_tuf` in this module's place; a test runs both over the same cases.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from tuf.api.exceptions import (
    BadVersionNumberError,
    EqualVersionNumberError,
    ExpiredMetadataError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import Metadata

# The rules have no public door that takes a time; the lock pins the version, and tests hold each rule.
from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet
from tuf.ngclient.config import EnvelopeType

from routeiq_signing.errors import VerificationError
from routeiq_signing.trust.metadata import RELEASE_FILES, Release, RootRole, read_release
from routeiq_signing.trust.offered import (
    EXPIRED_METADATA_HINT,
    EXPIRED_ROOT_HINT,
    UNSIGNED_METADATA_HINT,
    UNSIGNED_ROOT_HINT,
    Offered,
    check_equivocation,
    check_offer,
    strict_next_root,
    strict_root,
)

__all__ = ["Offered", "accept_first_root", "accept_next_root", "judge", "recall"]

logging.getLogger("tuf").addHandler(logging.NullHandler())


def accept_first_root(raw: bytes, what: str) -> RootRole:
    """Return what the root says when its own threshold signed it; raises `VerificationError` otherwise."""
    _, role = strict_root(raw, what)
    _trusted(raw, what)
    return role


def accept_next_root(current: bytes, new: bytes, what: str) -> RootRole:
    """Return what `new` says when it follows `current`; raises `VerificationError` otherwise."""
    old, _, role = strict_next_root(current, new, what)
    trusted = _trusted(current, "the current root")
    try:
        trusted.update_root(new)
    except UnsignedMetadataError as error:
        raise VerificationError(
            f"{what}: not signed by the thresholds of root {old.version} and of itself ({error})",
            step=2,
            subject=what,
            hint=UNSIGNED_ROOT_HINT,
        ) from None
    except RepositoryError as error:
        raise VerificationError(f"{what}: {error}", step=2, subject=what) from None
    return role


def recall(root: bytes, files: Mapping[str, bytes]) -> Release | None:
    """Return what was accepted before, or None when keys of the current root no longer vouch for it."""
    signed = Metadata[Any].from_bytes(root).signed
    _, release = read_release(files)
    for name in RELEASE_FILES:
        metadata: Metadata[Any] = Metadata.from_bytes(files[name])
        result = signed.get_verification_result(
            name.removesuffix(".json"), metadata.signed_bytes, metadata.signatures
        )
        if not result:
            return None
    return release


def judge(root: bytes, before: Mapping[str, bytes] | None, offered: Offered, now: datetime) -> Release:
    """Judge `offered` under `root` after what was accepted `before`; return what its metadata says.

    Raises `VerificationError`: step 2 signatures, 3 form, 4 age and mixing, 5 expiry.
    """
    release = check_offer(offered)
    history = before if before is not None and recall(root, before) is not None else None
    if history is not None:
        check_equivocation(history, release)
    trusted = _trusted(root, "the site's root", now)
    if trusted.root.is_expired(now):
        raise VerificationError(
            f"the site's root {trusted.root.version} expired on {trusted.root.expires:%Y-%m-%d}",
            step=5,
            subject="root",
            hint=EXPIRED_ROOT_HINT,
        )
    try:
        _load(trusted, history, offered.files)
    except UnsignedMetadataError as error:
        raise VerificationError(
            f"{error}, which root {trusted.root.version} does not take",
            step=2,
            subject="targets.json",
            hint=UNSIGNED_METADATA_HINT,
        ) from None
    except ExpiredMetadataError as error:
        raise VerificationError(
            f"expired metadata: {error}", step=5, subject="timestamp.json", hint=EXPIRED_METADATA_HINT
        ) from None
    except BadVersionNumberError as error:
        raise VerificationError(
            f"older than what was accepted: {error}", step=4, subject="timestamp.json"
        ) from None
    except RepositoryError as error:
        raise VerificationError(f"metadata refused: {error}", step=4, subject="targets.json") from None
    return release


def _load(
    trusted: TrustedMetadataSet, before: Mapping[str, bytes] | None, files: Mapping[str, bytes]
) -> None:
    """Load in TUF's order. What was accepted before may be expired: it serves to compare versions only."""
    if before is not None:
        with suppress(ExpiredMetadataError):
            trusted.update_timestamp(before["timestamp.json"])
    try:
        trusted.update_timestamp(files["timestamp.json"])
    except EqualVersionNumberError:
        if before is None or _signed(before["timestamp.json"]) != _signed(files["timestamp.json"]):
            raise BadVersionNumberError("a timestamp of the same version says other things") from None
    if before is not None:
        with suppress(ExpiredMetadataError, BadVersionNumberError):
            trusted.update_snapshot(before["snapshot.json"], trusted=True)
    trusted.update_snapshot(files["snapshot.json"])
    trusted.update_targets(files["targets.json"])


def _trusted(root: bytes, what: str, now: datetime | None = None) -> TrustedMetadataSet:
    try:
        trusted = TrustedMetadataSet(root, EnvelopeType.METADATA)
    except UnsignedMetadataError as error:
        raise VerificationError(f"{what}: {error}, its own threshold", step=2, subject=what) from None
    except RepositoryError as error:
        raise VerificationError(f"{what}: {error}", step=3, subject=what) from None
    if now is not None:
        trusted.reference_time = now
    return trusted


def _signed(raw: bytes) -> object:
    return Metadata[Any].from_bytes(raw).signed
