"""A bundle's tar as a file on disk: verified by a pinned public key or a site's trust, or looked into without either.

The adapter between paths, `cryptography` and the rules in `verify`.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

from routeiq_signing.errors import SigningError
from routeiq_signing.keys import PublicKey
from routeiq_signing.manifest import BundleManifest
from routeiq_signing.progress import Progress
from routeiq_signing.verify.bundle import PinnedKey, Verified, read_manifest, verify_bundle
from routeiq_signing.verify.trust import Trust

__all__ = ["inspect_bundle_file", "pinned", "verify_bundle_file"]


def pinned(key: PublicKey) -> PinnedKey:
    """Return `key` as the verifier takes it."""
    return PinnedKey(key.keyid, key.verifies)


def verify_bundle_file(
    path: Path,
    *,
    key: PublicKey | Trust,
    progress: Progress,
    now: datetime | None = None,
    copy_to: Path | None = None,
    keep: Collection[str] = (),
) -> Verified:
    """Verify the tar at `path`; see `verify.bundle.verify_bundle`. `now` is the system's clock unless given."""
    _require_file(path)
    with path.open("rb", buffering=0) as tar:
        trust = pinned(key) if isinstance(key, PublicKey) else key
        verified = verify_bundle(
            tar, key=trust, now=now or datetime.now(UTC), progress=progress, copy_to=copy_to, keep=keep
        )
    beside = [name for name in ("routeiq.pub", "cosign.pub") if (path.parent / name).exists()]
    if beside and isinstance(key, PublicKey):
        verified.report.warnings.append(
            f"{beside[0]} lies beside the tar: use it only if it was compared over a second channel"
        )
    return verified


def inspect_bundle_file(path: Path) -> tuple[BundleManifest, str]:
    """Return what the tar at `path` says of itself, with nothing verified, and the hex digest of its bundle.json."""
    _require_file(path)
    with path.open("rb", buffering=0) as tar:
        return read_manifest(tar)


def _require_file(path: Path) -> None:
    if not path.is_file():
        fault = "not a regular file" if path.exists() else "no such file"
        raise SigningError(f"{path}: {fault}", subject=str(path))
