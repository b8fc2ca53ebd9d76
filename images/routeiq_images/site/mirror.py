"""Puts a bundle into the site's registry: verified into a private copy, pushed from that copy, checked at the end."""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from routeiq_images.blobs import MANIFEST_MEDIA_TYPE
from routeiq_images.errors import ImagesError
from routeiq_images.signatures import check_signatures
from routeiq_images.site.credentials import find_credentials
from routeiq_images.site.current import check_current, make_record
from routeiq_images.site.mirror_plan import Artifact, plan_mirror, referrers_index
from routeiq_images.site.registry import Registry
from routeiq_signing.bundle_file import pinned, verify_bundle_file
from routeiq_signing.keys import PublicKey
from routeiq_signing.manifest import blob_path
from routeiq_signing.progress import Advance, Progress
from routeiq_signing.trust.site import SiteTrust
from routeiq_signing.verify.trust import PinnedKey

__all__ = ["MirrorReport", "mirror", "split_target"]

_INDEX_MEDIA_TYPE = "application/vnd.oci.image.index.v1+json"
_TARGET = re.compile(
    r"(?P<host>[a-z0-9.-]+(?::\d{1,5})?)(?:/(?P<prefix>[a-z0-9._-]+(?:/[a-z0-9._-]+)*))?/?\Z"
)


@dataclass
class MirrorReport:
    """What a mirror did. `artifacts` maps references by digest to their kind, `signatures` kinds to how many."""

    bundle: str
    target: str
    artifacts: dict[str, str] = field(default_factory=dict)
    signatures: dict[str, int] = field(default_factory=dict)
    blobs_sent: int = 0
    blobs_present: int = 0
    bytes_sent: int = 0
    warnings: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return asdict(self)

    def to_text(self) -> str:
        """Return the report for people."""
        lines = [f"  {kind:<16} {reference}" for reference, kind in self.artifacts.items()]
        lines.append("signed    " + ", ".join(f"{count} {kind}" for kind, count in self.signatures.items()))
        lines.append(
            f"{self.blobs_sent} blobs sent ({self.bytes_sent / 1e6:.1f} MB), {self.blobs_present} were there already"
        )
        lines += [f"warning   {text}" for text in self.warnings]
        lines.append(
            f"mirrored  {self.bundle} to {self.target}: {len(self.artifacts)} artifacts, digests unchanged"
        )
        return "\n".join(lines)


def split_target(target: str) -> tuple[str, str]:
    """Return (host, prefix with a slash at its end, or empty) of HOST:PORT/PREFIX; raises `ImagesError`."""
    match = _TARGET.match(target)
    if not match or int(match["host"].partition(":")[2] or 1) not in range(1, 1 << 16):
        raise ImagesError(
            f"{target}: no HOST:PORT/PREFIX of a registry", subject=target, hint="leave out http(s)://"
        )
    prefix = match["prefix"]
    return match["host"], f"{prefix}/" if prefix else ""


def mirror(
    tar: Path,
    target: str,
    *,
    key: PublicKey | SiteTrust,
    environ: Mapping[str, str],
    progress: Progress,
    plain_http: bool = False,
    ca_file: Path | None = None,
    work_dir: Path | None = None,
    allow_rollback: str | None = None,
) -> MirrorReport:
    """Verify `tar` with `key` and push everything in it below `target`; what is there already is not sent.

    A bundle older than the registry's current one needs the reason `allow_rollback`. With a site's trust, recording
    what was accepted is left to the caller, who does it last. Raises `VerificationError` before anything is sent,
    `ImagesError` when the registry refuses or, at the end, holds another digest than was sent.
    """
    host, prefix = split_target(target)
    with (
        tempfile.TemporaryDirectory(prefix="routeiq-mirror-", dir=work_dir) as folder,
        Registry(
            host, credentials=find_credentials(host, environ), plain_http=plain_http, ca_file=ca_file
        ) as registry,
    ):
        registry.ping()
        copy = Path(folder)

        def read(digest: str) -> bytes:
            return (copy / blob_path(digest)).read_bytes()

        verified = verify_bundle_file(tar, key=key, progress=progress, copy_to=copy)
        report = MirrorReport(verified.report.digest, target, warnings=list(verified.report.warnings))
        trust = pinned(key) if isinstance(key, PublicKey) else key
        report.warnings += check_current(
            registry, verified.manifest, prefix, trust, allow_rollback=allow_rollback
        )
        keyid, said = verified.report.keyid, verified.attachments
        record = make_record(copy, verified.manifest, said, keyid, prefix, allow_rollback)
        keys = {trust.keyid: trust} if isinstance(trust, PinnedKey) else trust.keys()
        report.signatures = check_signatures(verified.manifest, said, keys, read)
        artifacts = plan_mirror(verified.manifest, said, prefix, read, record)
        total = sum(sum(artifact.blobs.values()) for artifact in artifacts)
        with progress.task(f"push to {host}", total) as advance:
            pusher = _Pusher(registry, copy, report, advance)
            for artifact in artifacts:
                pusher.push(artifact)
        _check(registry, artifacts)
        # Last: the record becomes the registry's current bundle when all that it stands for is there.
        registry.put_manifest(record.repository, verified.manifest.channel, record.raw, MANIFEST_MEDIA_TYPE)
    return report


class _Pusher:
    """Pushes artifacts one after the other; remembers where in the registry a blob is, to mount it from there."""

    def __init__(self, registry: Registry, copy: Path, report: MirrorReport, advance: Advance) -> None:
        self._registry = registry
        self._copy = copy
        self._report = report
        self._advance = advance
        self._where: dict[str, str] = {}

    def push(self, artifact: Artifact) -> None:
        """Push blobs, then the manifest by its digest, then the tag: a tag never names what is not all there."""
        for digest, size in artifact.blobs.items():
            self._push_blob(artifact.repository, digest, size)
        registry, repository = self._registry, artifact.repository
        indexed = registry.put_manifest(repository, artifact.digest, artifact.raw, MANIFEST_MEDIA_TYPE)
        if artifact.tag:
            registry.put_manifest(repository, artifact.tag, artifact.raw, MANIFEST_MEDIA_TYPE)
        if artifact.subject and not indexed:
            fallback = artifact.subject.replace(":", "-")
            index = referrers_index(registry.get_manifest(repository, fallback), artifact)
            registry.put_manifest(repository, fallback, index, _INDEX_MEDIA_TYPE)
        self._report.artifacts[f"{registry.host}/{repository}@{artifact.digest}"] = artifact.kind

    def _push_blob(self, repository: str, digest: str, size: int) -> None:
        if self._registry.has_blob(repository, digest):
            self._report.blobs_present += 1
            self._advance(size)
        else:
            file = self._copy / blob_path(digest)
            mount = self._where.get(digest)
            if self._registry.put_blob(repository, digest, file, self._advance, mount=mount):
                self._report.blobs_sent += 1
                self._report.bytes_sent += size
            else:
                self._report.blobs_present += 1
        self._where[digest] = repository


def _check(registry: Registry, artifacts: list[Artifact]) -> None:
    for artifact in artifacts:
        for reference in filter(None, (artifact.digest, artifact.tag)):
            found = registry.has_manifest(artifact.repository, reference)
            if found != artifact.digest:
                raise ImagesError(
                    f"{registry.host}/{artifact.repository}: {reference} is {found or 'missing'},"
                    f" sent was {artifact.digest}",
                    subject=artifact.repository,
                )
