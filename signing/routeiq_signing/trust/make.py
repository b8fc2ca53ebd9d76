"""The producer's side of a root: made, signed by several people in several places, used to say which bundle is newest.

Files pass from hand to hand, so each step reads a file, adds to it, and tells how many signatures it still lacks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tuf.api.metadata import Metadata

from routeiq_signing.bundle_file import verify_bundle_file
from routeiq_signing.errors import SigningError
from routeiq_signing.files import read_capped, write_atomic
from routeiq_signing.keyring.signer import Signer
from routeiq_signing.keys import PublicKey
from routeiq_signing.limits import LIMITS
from routeiq_signing.progress import Progress
from routeiq_signing.strict_json import loads
from routeiq_signing.trust.metadata import (
    RELEASE_FILES,
    Release,
    RootRole,
    Signers,
    TufFile,
    read_release,
    read_root,
    release_file,
    root_file,
)
from routeiq_signing.trust.state import from_text

__all__ = ["MadeRelease", "MadeRoot", "SignedFile", "add_signature", "make_release", "make_root"]


@dataclass(frozen=True, slots=True)
class MadeRoot:
    """A root without signatures."""

    file: TufFile
    version: int
    expires: str
    wants: str

    def write(self, path: Path) -> None:
        """Write it to `path`, which must not exist."""
        write_atomic(path, self.file.to_bytes(), replace=False)


@dataclass(frozen=True, slots=True)
class SignedFile:
    """What a file says and which signatures it has: `signed` counts valid ones, `wants` is the threshold."""

    path: str
    says: str
    signed: int
    wants: str
    fingerprint: str

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class MadeRelease:
    """Metadata of one bundle, signed by one key."""

    sequence: int
    expires: str
    wants: str


def make_root(
    *,
    root_keys: Sequence[PublicKey],
    threshold: int,
    release_keys: Sequence[PublicKey],
    release_threshold: int,
    previous: bytes | None,
    expires: str,
) -> MadeRoot:
    """Return the next root; raises `SigningError` for thresholds that cannot be met or a key in both roles."""
    root, release = Signers.of(root_keys, threshold), Signers.of(release_keys, release_threshold)
    both = sorted(root.keys.keys() & release.keys.keys())
    if both:
        raise SigningError(
            f"key {both[0][:16]}… is a root key and a release key",
            hint="root keys stay offline: whoever builds must not be able to name new builders",
        )
    version = 1 if previous is None else read_root(previous, "the previous root")[1].version + 1
    wants = f"{threshold} that it needs"
    if previous is not None:
        wants += f", and {read_root(previous)[1].root.threshold} of root {version - 1}"
    return MadeRoot(root_file(RootRole(version, expires, root, release)), version, expires, wants)


def add_signature(path: Path, key: Signer, by: bytes | None) -> SignedFile:
    """Add a signature by `key` to the file at `path`, in place.

    `by` is the root that names the keys: the previous one for a root, the current one for a bundle's metadata. Raises
    `SigningError` for a key that neither it nor the file gives a say.
    """
    raw = read_capped(path, LIMITS.tuf_metadata)
    role = loads(raw, str(path), limit=LIMITS.tuf_metadata).get("signed")
    kind = role.get("_type") if isinstance(role, dict) else None
    file, may, says, wants = _root(raw, path, by) if kind == "root" else _release(raw, path, by)
    if key.public.keyid not in may:
        raise SigningError(
            f"{path}: key {key.public.keyid[:16]}… has no say in it",
            subject=str(path),
            hint="for a root that follows another, name that one with --previous" if by is None else None,
        )
    signed = file.signed_by(key)
    write_atomic(path, signed.to_bytes())
    valid = _valid(signed, may)
    return SignedFile(str(path), says, valid, wants, hashlib.sha256(signed.to_bytes()).hexdigest())


def make_release(
    tar: Path,
    root: bytes,
    key: Signer,
    folder: Path,
    *,
    expires: str | None,
    renewal: int,
    now: datetime,
    progress: Progress,
) -> MadeRelease:
    """Verify `tar` and write its three metadata files into `folder`, each signed by `key`, a release key of `root`."""
    _, role = read_root(root, "root")
    if key.public.keyid not in role.release.keys:
        raise SigningError(
            f"key {key.public.keyid[:16]}… is no release key of root {role.version}",
            hint="`routeiq key show KEY.pub` shows a key's id; a new root names new keys",
        )
    verified = verify_bundle_file(tar, key=key.public, progress=progress, now=now)
    until = expires or verified.manifest.expires
    from_text(until, "--expires")
    release = Release(
        sequence=verified.manifest.sequence,
        renewal=renewal,
        expires=until,
        sha256=verified.report.digest.removeprefix("sha256:"),
        length=len(verified.identity),
    )
    for name in RELEASE_FILES:
        write_atomic(folder / name, release_file(name, release).signed_by(key).to_bytes())
    return MadeRelease(release.sequence, until, f"{role.release.threshold} that it needs")


def _root(raw: bytes, path: Path, by: bytes | None) -> tuple[TufFile, Mapping[str, PublicKey], str, str]:
    file, role = read_root(raw, str(path))
    may, wants = dict(role.root.keys), f"{role.root.threshold} that it needs"
    if by is not None:
        _, previous = read_root(by, "the previous root")
        may |= previous.root.keys
        wants += f", and {previous.root.threshold} of root {previous.version}"
    says = (
        f"root {role.version}, expires {role.expires}, root keys {role.root.threshold} of {len(role.root.keys)},"
        f" release keys {role.release.threshold} of {len(role.release.keys)}"
    )
    return file, may, says, wants


def _release(raw: bytes, path: Path, by: bytes | None) -> tuple[TufFile, Mapping[str, PublicKey], str, str]:
    if by is None:
        raise SigningError(f"{path}: whose keys may sign it?", hint="name the current root with --root")
    if path.name not in RELEASE_FILES:
        raise SigningError(f"{path}: is called {', '.join(RELEASE_FILES)}", subject=str(path))
    others = {name: read_capped(path.with_name(name), LIMITS.tuf_metadata) for name in RELEASE_FILES}
    files, release = read_release({**others, path.name: raw})
    _, role = read_root(by, "root")
    says = f"{path.name} for sequence {release.sequence}, sha256:{release.sha256}, expires {release.expires}"
    return files[path.name], role.release.keys, says, f"{role.release.threshold} that it needs"


def _valid(file: TufFile, keys: Mapping[str, PublicKey]) -> int:
    message = Metadata[Any].from_bytes(file.to_bytes()).signed_bytes
    signatures = file.signatures.items()
    return sum(
        keyid in keys and keys[keyid].verifies(bytes.fromhex(sig), message) for keyid, sig in signatures
    )
