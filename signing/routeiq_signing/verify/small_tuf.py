"""The rules of `trust.rules` without python-tuf: stands as `routeiq_signing/trust/rules.py` in `verify.pyz`.

Only what our strict metadata leaves open (`trust.metadata`: ECDSA P-256, four roles, one target): who signed, which
version, how old. Steps in TUF's order (TUF 1.0.31, sections 5.3 to 5.6):
1. the root is signed by its own threshold; root N+1 by the thresholds of N and of N+1;
2. the root is not expired;
3. timestamp, snapshot, targets, each: signed by the release threshold, then not older than accepted, then not expired;
4. what was accepted before counts while the root's present keys vouch for it.

Pure; a test runs both judges over the same cases. Standard library only, Python 3.9.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Optional

from routeiq_signing.errors import VerificationError
from routeiq_signing.trust.metadata import (
    RELEASE_FILES,
    Release,
    RootRole,
    Signers,
    TufFile,
    read_release,
)
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


def accept_first_root(raw: bytes, what: str) -> RootRole:
    """Return what the root says when its own threshold signed it; raises `VerificationError` otherwise."""
    file, role = strict_root(raw, what)
    signed = _count(file, role.root)
    if signed < role.root.threshold:
        raise VerificationError(
            f"{what}: root was signed by {signed}/{role.root.threshold} keys, its own threshold",
            step=2,
            subject=what,
        )
    return role


def accept_next_root(current: bytes, new: bytes, what: str) -> RootRole:
    """Return what `new` says when it follows `current`; raises `VerificationError` otherwise."""
    old, file, role = strict_next_root(current, new, what)
    accept_first_root(current, "the current root")
    for signers in (old.root, role.root):
        signed = _count(file, signers)
        if signed < signers.threshold:
            raise VerificationError(
                f"{what}: not signed by the thresholds of root {old.version} and of itself"
                f" (root was signed by {signed}/{signers.threshold} keys)",
                step=2,
                subject=what,
                hint=UNSIGNED_ROOT_HINT,
            )
    return role


def recall(root: bytes, files: Mapping[str, bytes]) -> Optional[Release]:
    """Return what was accepted before, or None when keys of the current root no longer vouch for it."""
    _, role = strict_root(root, "the site's root")
    parsed, release = read_release(files)
    vouched = all(_count(parsed[name], role.release) >= role.release.threshold for name in RELEASE_FILES)
    return release if vouched else None


def judge(root: bytes, before: Optional[Mapping[str, bytes]], offered: Offered, now: datetime) -> Release:
    """Judge `offered` under `root` after what was accepted `before`; return what its metadata says.

    Raises `VerificationError`: step 2 signatures, 3 form, 4 age and mixing, 5 expiry.
    """
    release = check_offer(offered)
    history = before if before is not None and recall(root, before) is not None else None
    if history is not None:
        check_equivocation(history, release)
    role = accept_first_root(root, "the site's root")
    if now >= _time(role.expires):
        raise VerificationError(
            f"the site's root {role.version} expired on {role.expires[:10]}",
            step=5,
            subject="root",
            hint=EXPIRED_ROOT_HINT,
        )
    files, _ = read_release(offered.files)
    held = read_release(history)[0] if history is not None else {}
    for name in RELEASE_FILES:
        _check_signed(files[name], role)
        if name in held:
            _check_version(held[name], files[name])
        if now >= _time(str(files[name].signed["expires"])):
            raise VerificationError(
                f"expired metadata: {name} is expired",
                step=5,
                subject="timestamp.json",
                hint=EXPIRED_METADATA_HINT,
            )
    return release


def _check_signed(file: TufFile, role: RootRole) -> None:
    signed = _count(file, role.release)
    if signed < role.release.threshold:
        raise VerificationError(
            f"{file.role} was signed by {signed}/{role.release.threshold} keys,"
            f" which root {role.version} does not take",
            step=2,
            subject="targets.json",
            hint=UNSIGNED_METADATA_HINT,
        )


def _check_version(held: TufFile, file: TufFile) -> None:
    old, new = held.signed["version"], file.signed["version"]
    if new < old:
        fault = f"{file.role} version {new} must be >= {old}"
    elif new == old and file.role == "timestamp" and file.signed_bytes != held.signed_bytes:
        fault = "a timestamp of the same version says other things"
    else:
        return
    raise VerificationError(f"older than what was accepted: {fault}", step=4, subject="timestamp.json")


def _count(file: TufFile, signers: Signers) -> int:
    """Return how many of the keys have signed: each key once, whatever else is listed."""
    message = file.signed_bytes
    return sum(
        keyid in file.signatures and key.verifies(bytes.fromhex(file.signatures[keyid]), message)
        for keyid, key in signers.keys.items()
    )


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
