"""A producer with keys and roots, and a site that remembers: what the tests of trust are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from tests.signing.conftest import NOW, SmallBundle, sha256
from tests.signing.pyz_twin import by_both

from routeiq_signing.bundle_file import verify_bundle_file
from routeiq_signing.keys import PrivateKey
from routeiq_signing.progress import QuietProgress
from routeiq_signing.trust.admin import fingerprint, initialise
from routeiq_signing.trust.attach import with_metadata
from routeiq_signing.trust.document import TrustState
from routeiq_signing.trust.metadata import RELEASE_FILES, Release, RootRole, Signers, release_file, root_file
from routeiq_signing.trust.site import SiteTrust
from routeiq_signing.trust.state import StateFolder
from routeiq_signing.verify.bundle import Verified
from routeiq_signing.verify.report import Report

FAR = "2099-01-01T00:00:00Z"
Keys = Sequence[PrivateKey]


class Producer:
    """Three root keys of which two must sign, two release keys of which one must."""

    def __init__(self) -> None:
        self.root_keys = [PrivateKey.generate() for _ in range(3)]
        self.release_keys = [PrivateKey.generate() for _ in range(2)]

    def root(
        self,
        version: int = 1,
        *,
        keys: Keys | None = None,
        threshold: int = 2,
        release: Keys | None = None,
        release_threshold: int = 1,
        signed_by: Keys | None = None,
        expires: str = FAR,
    ) -> bytes:
        keys = self.root_keys if keys is None else keys
        release = self.release_keys if release is None else release
        file = root_file(
            RootRole(
                version,
                expires,
                Signers.of([key.public for key in keys], threshold),
                Signers.of([key.public for key in release], release_threshold),
            )
        )
        for key in keys[:threshold] if signed_by is None else signed_by:
            file = file.signed_by(key)
        return file.to_bytes()

    def metadata(
        self,
        bundle: SmallBundle,
        *,
        signed_by: Keys | None = None,
        expires: str = FAR,
        renewal: int = 0,
        sequence: int | None = None,
    ) -> dict[str, bytes]:
        identity = bundle.manifest.to_bytes()
        release = Release(
            sequence or bundle.manifest.sequence, renewal, expires, sha256(identity), len(identity)
        )
        files = {}
        for name in RELEASE_FILES:
            file = release_file(name, release)
            for key in self.release_keys[:1] if signed_by is None else signed_by:
                file = file.signed_by(key)
            files[name] = file.to_bytes()
        return files


def carrying(bundle: SmallBundle, metadata: Mapping[str, bytes], key: PrivateKey) -> SmallBundle:
    """Return the bundle with metadata attached, signed by `key`."""
    attachments, blobs = with_metadata(bundle.attachments, metadata)
    return replace(bundle, attachments=attachments, files={**bundle.files, **blobs}, key=key)


class Site:
    """A site's folder of trust and the tars that reach it, judged by the command's code and by `verify.pyz` alike."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = StateFolder(path / "trust")

    def init(self, root: bytes, *channels: str, now: datetime = NOW) -> TrustState:
        return initialise(self.folder, root, "1.root.json", fingerprint(root), channels, now)

    def receive(self, bundle: SmallBundle, name: str = "carried.tar") -> Path:
        return bundle.write(self.path / name)

    def verify(
        self, tar: Path, *, now: datetime = NOW, allow_rollback: str | None = None, record: bool = True
    ) -> Report:
        more = [] if allow_rollback is None else ["--allow-rollback", allow_rollback]
        judges: list[SiteTrust] = []

        def judge() -> Verified:
            judges.append(SiteTrust.for_tar(self.folder, tar, now, allow_rollback=allow_rollback))
            return verify_bundle_file(tar, key=judges[0], progress=QuietProgress(), now=now)

        report = by_both(tar, judge, "--root", str(self.folder.path), *more, now=now).report
        if record:
            judges[0].record(self.folder)
        return report

    def at(self, channel: str = "test") -> int:
        """Return the sequence that the site is at."""
        return self.folder.load().channels[channel].sequence
