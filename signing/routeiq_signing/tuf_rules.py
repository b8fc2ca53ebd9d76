"""TUF's rules over local files, run by python-tuf: which root follows which, and whether a bundle is the newest.

Pure: bytes and a time in, nothing or a refusal out; no network, no file. Rules (TUF 1.0.31, section 5):
* the first root is signed by its own threshold; who believes it compared its fingerprint;
* root N+1 is signed by the thresholds of N and of N+1, and no number is skipped;
* timestamp, snapshot and targets are signed by the release threshold of the current root, are not expired and are not
  older than those accepted before;
* what was accepted before counts only while the current root's keys still vouch for it: after a compromised key was
  removed, versions that it had pushed up lock nobody out (fast-forward recovery);
* the version of targets is the bundle's sequence, and its only target is this `bundle.json`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
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

from routeiq_signing.errors import DocumentError, VerificationError
from routeiq_signing.tuf_metadata import RELEASE_FILES, Release, RootRole, read_release, read_root

__all__ = ["Offered", "accept_first_root", "accept_next_root", "judge", "recall"]

logging.getLogger("tuf").addHandler(logging.NullHandler())

_EXPIRED_ROOT = "ask the producer for the next root, then `routeiq trust update NEWROOT`"
_EXPIRED = "get a newer bundle, or one whose expiry was renewed; set the clock if it is wrong"


@dataclass(frozen=True, slots=True)
class Offered:
    """A bundle that wants to be believed: its metadata by file name, the raw bundle.json's size and hex digest."""

    files: Mapping[str, bytes]
    sequence: int
    sha256: str
    length: int


def accept_first_root(raw: bytes, what: str) -> RootRole:
    """Return what the root says when its own threshold signed it; raises `VerificationError` otherwise."""
    _, role = _strict_root(raw, what)
    _trusted(raw, what)
    return role


def accept_next_root(current: bytes, new: bytes, what: str) -> RootRole:
    """Return what `new` says when it follows `current`; raises `VerificationError` otherwise."""
    _, old = _strict_root(current, "the current root")
    _, role = _strict_root(new, what)
    if role.version != old.version + 1:
        raise VerificationError(
            f"{what}: is root {role.version}, the next one is {old.version + 1}",
            step=4,
            subject=what,
            hint="give every root in between, in one command",
        )
    trusted = _trusted(current, "the current root")
    try:
        trusted.update_root(new)
    except UnsignedMetadataError as error:
        raise VerificationError(
            f"{what}: not signed by the thresholds of root {old.version} and of itself ({error})",
            step=2,
            subject=what,
            hint="`routeiq trust sign` adds a signature; keep the current root until both thresholds have signed",
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
    try:
        _, release = read_release(offered.files)
    except DocumentError as error:
        raise VerificationError(str(error), step=3, subject=error.subject) from None
    _check_target(release, offered)
    history = before if before is not None and recall(root, before) is not None else None
    if history is not None:
        _check_equivocation(history, release)
    trusted = _trusted(root, "the site's root", now)
    if trusted.root.is_expired(now):
        raise VerificationError(
            f"the site's root {trusted.root.version} expired on {trusted.root.expires:%Y-%m-%d}",
            step=5,
            subject="root",
            hint=_EXPIRED_ROOT,
        )
    try:
        _load(trusted, history, offered.files)
    except UnsignedMetadataError as error:
        raise VerificationError(
            f"{error}, which root {trusted.root.version} does not take",
            step=2,
            subject="targets.json",
            hint="when the producer changed its keys: `routeiq trust update NEWROOT`",
        ) from None
    except ExpiredMetadataError as error:
        raise VerificationError(
            f"expired metadata: {error}", step=5, subject="timestamp.json", hint=_EXPIRED
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


def _check_target(release: Release, offered: Offered) -> None:
    if (release.sha256, release.length) != (offered.sha256, offered.length):
        raise VerificationError(
            f"targets.json: speaks of bundle.json sha256:{release.sha256}, this is sha256:{offered.sha256}",
            step=4,
            subject="targets.json",
            hint="metadata of one bundle was put beside another",
        )
    if release.sequence != offered.sequence:
        raise VerificationError(
            f"targets.json: version {release.sequence}, bundle.json has sequence {offered.sequence}",
            step=4,
            subject="targets.json",
        )


def _check_equivocation(before: Mapping[str, bytes], release: Release) -> None:
    _, accepted = read_release(before)
    if accepted.sequence == release.sequence and accepted.sha256 != release.sha256:
        raise VerificationError(
            f"targets.json: another bundle with sequence {release.sequence} was accepted before",
            step=4,
            subject="targets.json",
            hint="two bundles of one sequence: ask the producer which one is real",
        )


def _strict_root(raw: bytes, what: str) -> tuple[object, RootRole]:
    try:
        return read_root(raw, what)
    except DocumentError as error:
        raise VerificationError(str(error), step=3, subject=what, hint=error.hint) from None


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
