"""What a bundle offers as its TUF metadata, and the rules over it that need no signature.

Pure. Both judges use it: `trust.rules`, which hands signatures, versions and expiry to python-tuf, and
`verify.small_tuf`, which stands in its place in `verify.pyz`. Standard library only, Python 3.9.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from routeiq_signing.errors import DocumentError, VerificationError
from routeiq_signing.trust.metadata import Release, RootRole, TufFile, read_release, read_root

__all__ = [
    "EXPIRED_METADATA_HINT",
    "EXPIRED_ROOT_HINT",
    "MISSING_ROOT_HINT",
    "UNSIGNED_METADATA_HINT",
    "UNSIGNED_ROOT_HINT",
    "Offered",
    "check_equivocation",
    "check_offer",
    "strict_next_root",
    "strict_root",
]

EXPIRED_ROOT_HINT = "ask the producer for the next root, then `routeiq trust update NEWROOT`"
EXPIRED_METADATA_HINT = "get a newer bundle, or one whose expiry was renewed; set the clock if it is wrong"
UNSIGNED_METADATA_HINT = "when the producer changed its keys: `routeiq trust update NEWROOT`"
UNSIGNED_ROOT_HINT = (
    "`routeiq trust sign` adds a signature; keep the current root until both thresholds have signed"
)
MISSING_ROOT_HINT = "give every root in between, in one command"


@dataclass(frozen=True)
class Offered:
    """A bundle that wants to be believed: its metadata by file name, the raw bundle.json's size and hex digest."""

    files: Mapping[str, bytes]
    sequence: int
    sha256: str
    length: int


def check_offer(offered: Offered) -> Release:
    """Return what the metadata says when it is of this bundle.json; raises `VerificationError`, steps 3 and 4."""
    try:
        _, release = read_release(offered.files)
    except DocumentError as error:
        raise VerificationError(str(error), step=3, subject=error.subject) from None
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
    return release


def check_equivocation(before: Mapping[str, bytes], release: Release) -> None:
    """Refuse another bundle of the sequence that was accepted before."""
    _, accepted = read_release(before)
    if accepted.sequence == release.sequence and accepted.sha256 != release.sha256:
        raise VerificationError(
            f"targets.json: another bundle with sequence {release.sequence} was accepted before",
            step=4,
            subject="targets.json",
            hint="two bundles of one sequence: ask the producer which one is real",
        )


def strict_root(raw: bytes, what: str) -> tuple[TufFile, RootRole]:
    """Return a root in its one form; raises `VerificationError`, step 3."""
    try:
        return read_root(raw, what)
    except DocumentError as error:
        raise VerificationError(str(error), step=3, subject=what, hint=error.hint) from None


def strict_next_root(current: bytes, new: bytes, what: str) -> tuple[RootRole, TufFile, RootRole]:
    """Return what `current` says, and the root `new` whose number must follow; raises `VerificationError`."""
    _, old = strict_root(current, "the current root")
    file, role = strict_root(new, what)
    if role.version != old.version + 1:
        raise VerificationError(
            f"{what}: is root {role.version}, the next one is {old.version + 1}",
            step=4,
            subject=what,
            hint=MISSING_ROOT_HINT,
        )
    return old, file, role
