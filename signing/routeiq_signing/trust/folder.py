"""The producer's folder of roots, `1.root.json`, `2.root.json`…: a build needs it to say that its bundle is the newest.

The root with the highest number counts, when its own threshold has signed it; private keys have no place here. Where
the root asks for one release key, the build attaches the metadata itself; where it asks for more, it signs once and
leaves the files for the others (`routeiq trust sign`, `routeiq trust attach`).
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from routeiq_signing.errors import SigningError
from routeiq_signing.files import read_capped, write_atomic
from routeiq_signing.keyring.signer import Signer
from routeiq_signing.limits import LIMITS
from routeiq_signing.manifest import Attachments, BundleManifest
from routeiq_signing.trust.attach import with_metadata
from routeiq_signing.trust.metadata import RELEASE_FILES, Release, RootRole, release_file
from routeiq_signing.trust.rules import Offered, accept_first_root, judge

__all__ = ["BuildTrust", "write_metadata"]

_ROOT = re.compile(r"([1-9][0-9]{0,8})\.root\.json\Z")


@dataclass(frozen=True, slots=True)
class BuildTrust:
    """The root that a build releases under; `raw` is its file."""

    raw: bytes
    role: RootRole

    @classmethod
    def open(cls, folder: Path, key: Signer) -> "BuildTrust":
        """Return the newest root of `folder`; raises `SigningError` when it has none, or `key` may not release."""
        if not folder.is_dir():
            raise SigningError(f"{folder}: no such folder", subject=str(folder))
        found = {
            int(match.group(1)): path
            for path in folder.iterdir()
            if (match := _ROOT.match(path.name)) is not None
        }
        if not found:
            raise SigningError(
                f"{folder}: holds no root",
                subject=str(folder),
                hint="`routeiq trust new-root` makes 1.root.json (docs/key-ceremony.md)",
            )
        path = found[max(found)]
        raw = read_capped(path, LIMITS.tuf_metadata)
        role = accept_first_root(raw, str(path))
        if key.public.keyid not in role.release.keys:
            raise SigningError(
                f"{path}: key {key.public.keyid[:16]}… is no release key of root {role.version}",
                subject=str(path),
                hint="sign the bundle with a key that the root names: make bundle KEY=FILE",
            )
        return cls(raw, role)

    @property
    def lacking(self) -> int:
        """Return how many release keys must sign besides the build's."""
        return self.role.release.threshold - 1

    def metadata(self, manifest: BundleManifest, key: Signer) -> dict[str, bytes]:
        """Return the three files for the bundle, signed by `key`; they expire with it."""
        identity = manifest.to_bytes()
        sha256 = hashlib.sha256(identity).hexdigest()
        release = Release(manifest.sequence, 0, manifest.expires, sha256, len(identity))
        return {name: release_file(name, release).signed_by(key).to_bytes() for name in RELEASE_FILES}

    def attach(
        self, said: Attachments, manifest: BundleManifest, key: Signer, now: datetime
    ) -> tuple[Attachments, dict[str, bytes]]:
        """Return `said` with the metadata, and its blobs by path; unchanged while signatures lack.

        Raises `VerificationError` when a site that follows the root would refuse it.
        """
        if self.lacking:
            return said, {}
        metadata, identity = self.metadata(manifest, key), manifest.to_bytes()
        sha256 = hashlib.sha256(identity).hexdigest()
        judge(self.raw, None, Offered(metadata, manifest.sequence, sha256, len(identity)), now)
        return with_metadata(said, metadata)


def write_metadata(folder: Path, metadata: Mapping[str, bytes]) -> None:
    """Write the files into `folder`, for the other holders of release keys."""
    for name, raw in metadata.items():
        write_atomic(folder / name, raw)
