"""What a mirror pushes and where: a pure function of a verified bundle.

Images go to PREFIX/<image>, the chart to PREFIX/charts/<chart>, models to PREFIX/models/<name>; an SBOM or a
signature goes into the repository of what it speaks of, as its referrer. What speaks of the whole bundle goes to its
record (`current`).
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import rfc8785

from routeiq_images.blobs import EMPTY_CONFIG, MANIFEST_MEDIA_TYPE
from routeiq_images.errors import ImagesError
from routeiq_images.signatures import (
    BUNDLE_ANNOTATIONS,
    REFERRER_SIGNATURE,
    TAG_SIGNATURE,
    signature_tag,
)
from routeiq_signing.manifest import Attachment, Attachments, BundleManifest

__all__ = ["Artifact", "plan_mirror", "referrers_index"]


@dataclass(frozen=True)
class Artifact:
    """A manifest to push: its repository, raw bytes, tag if it has one, blobs (digest → size), subject if any."""

    kind: str
    repository: str
    digest: str
    raw: bytes
    tag: str | None
    blobs: dict[str, int]
    subject: str | None

    @property
    def artifact_type(self) -> str:
        """The OCI artifactType, or the configuration's media type where there is none (image-spec 1.1)."""
        document = json.loads(self.raw)
        return str(document.get("artifactType") or document["config"]["mediaType"])

    @property
    def annotations(self) -> dict[str, str]:
        """The manifest's annotations, which a list of referrers repeats (distribution-spec)."""
        found: dict[str, str] = json.loads(self.raw).get("annotations", {})
        return found


def plan_mirror(
    manifest: BundleManifest,
    attachments: Attachments,
    prefix: str,
    read: Callable[[str], bytes],
    record: Artifact,
) -> list[Artifact]:
    """Return what to push, subjects before what refers to them; `read` gives the bytes of a manifest by digest.

    What is attached to the bundle itself refers to its `record`; the TUF metadata is in that already.
    """
    repositories: dict[str, str] = {}
    artifacts: list[Artifact] = [record]

    def add(kind: str, repository: str, digest: str, tag: str | None) -> None:
        repositories[digest] = repository
        artifacts.append(_artifact(kind, repository, read(digest), tag))

    for image in manifest.images:
        add("image", f"{prefix}{image.name}", image.digest, manifest.version)
    for image in manifest.images:
        add("sbom", f"{prefix}{image.name}", image.sbom, None)
    for model in manifest.models:
        # Repositories are lower case (distribution-spec, "pulling manifests").
        add("model", f"{prefix}models/{model.name.lower()}", model.digest, manifest.version)
    add("chart", f"{prefix}charts/{manifest.chart.name}", manifest.chart.digest, manifest.chart.version)
    for item in attachments.attachments:
        if item.kind == TAG_SIGNATURE:
            tag = signature_tag(item.subject)
            artifacts.append(_artifact(item.kind, repositories[item.subject], read(item.digest), tag))
            continue
        if item.subject == attachments.bundle:
            if item.kind != "tuf-metadata":
                raw = _signature_manifest(item, record.digest, len(record.raw))
                artifacts.append(_artifact(item.kind, record.repository, raw, None))
            continue
        raw = _signature_manifest(item, item.subject, len(read(item.subject)))
        artifacts.append(_artifact(item.kind, repositories[item.subject], raw, None))
    return artifacts


def referrers_index(present: bytes | None, artifact: Artifact) -> bytes:
    """Return the fallback index of a subject's referrers with `artifact` in it (distribution-spec, "referrers tag").

    For registries without the referrers API. An index that is there keeps its other entries; what is there and is no
    index is an `ImagesError`: somebody's tag, not ours to replace.
    """
    try:
        entries = {entry["digest"]: entry for entry in json.loads(present)["manifests"]} if present else {}
        if not all(isinstance(digest, str) for digest in entries):
            raise TypeError("a digest is no text")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ImagesError(
            f"{artifact.repository}: the index of referrers in the registry is not one",
            subject=artifact.repository,
            hint=f"delete the tag {str(artifact.subject).replace(':', '-')} and run it again",
        ) from error
    entries[artifact.digest] = {
        "mediaType": MANIFEST_MEDIA_TYPE,
        "artifactType": artifact.artifact_type,
        "digest": artifact.digest,
        "size": len(artifact.raw),
        **({"annotations": artifact.annotations} if artifact.annotations else {}),
    }
    return rfc8785.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [entries[digest] for digest in sorted(entries)],
        }
    )


def _artifact(kind: str, repository: str, raw: bytes, tag: str | None) -> Artifact:
    document = json.loads(raw)
    subject = document.get("subject", {}).get("digest")
    blobs = {part["digest"]: part["size"] for part in _parts(document)}
    return Artifact(kind, repository, f"sha256:{hashlib.sha256(raw).hexdigest()}", raw, tag, blobs, subject)


def _parts(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield document["config"]
    yield from document["layers"]


def _signature_manifest(item: Attachment, subject: str, subject_size: int) -> bytes:
    """Return a manifest that makes the attachment a referrer of its subject."""
    return rfc8785.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_MEDIA_TYPE,
            "artifactType": item.media_type,
            "config": {
                "mediaType": EMPTY_CONFIG,
                "digest": f"sha256:{hashlib.sha256(b'{}').hexdigest()}",
                "size": 2,
            },
            "layers": [{"mediaType": item.media_type, "digest": item.digest, "size": item.size}],
            **({"annotations": BUNDLE_ANNOTATIONS} if item.kind == REFERRER_SIGNATURE else {}),
            "subject": {"mediaType": MANIFEST_MEDIA_TYPE, "digest": subject, "size": subject_size},
        }
    )
