"""The registry's current bundle: a record at PREFIX/bundles/<name>, under the channel's name as its tag.

The record is an OCI manifest that carries `bundle.json`, its signature and its TUF metadata within itself (image-spec
1.1, descriptor property `data`), so that one request reads it and nobody need follow a redirect. The tag moves last,
when all else is in the registry. What a record says counts only when who is trusted here signed it: a registry that
others wrote to can hide a record, never invent a newer bundle.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rfc8785

from routeiq_images.blobs import EMPTY_CONFIG, MANIFEST_MEDIA_TYPE
from routeiq_images.site.mirror_plan import Artifact
from routeiq_images.site.registry import Registry
from routeiq_signing.errors import SigningError, VerificationError
from routeiq_signing.limits import LIMITS
from routeiq_signing.manifest import Attachments, BundleManifest, blob_path
from routeiq_signing.sigstore_bundle import MEDIA_TYPE as SIGNATURE_MEDIA_TYPE
from routeiq_signing.sigstore_bundle import read_message_bundle
from routeiq_signing.trust.site import ATTACHMENT_KIND, SiteTrust
from routeiq_signing.verify.order import signature_name
from routeiq_signing.verify.trust import PinnedKey

__all__ = ["RECORD_TYPE", "check_current", "make_record", "record_repository"]

RECORD_TYPE = "application/vnd.routeiq.bundle.v1+json"
_TITLE = "org.opencontainers.image.title"


def record_repository(manifest: BundleManifest, prefix: str) -> str:
    """Return the repository of the bundle's record."""
    return f"{prefix}bundles/{manifest.name.lower()}"


def make_record(
    copy: Path,
    manifest: BundleManifest,
    attachments: Attachments,
    keyid: str,
    prefix: str,
    reason: str | None,
) -> Artifact:
    """Return the record of the verified bundle in `copy`, without its tag; its blobs are put into `copy`.

    `reason` is why an older bundle was allowed; it stays in the record.
    """
    signature = signature_name("bundle.json", keyid)
    parts = {
        "bundle.json": (RECORD_TYPE, (copy / "bundle.json").read_bytes()),
        signature: (SIGNATURE_MEDIA_TYPE, (copy / signature).read_bytes()),
    }
    for item in attachments.attachments:
        if item.kind == ATTACHMENT_KIND:
            parts[item.name] = (item.media_type, (copy / blob_path(item.digest)).read_bytes())
    layers = [
        {
            **_descriptor(copy, media_type, raw),
            "annotations": {_TITLE: name},
            "data": base64.b64encode(raw).decode(),
        }
        for name, (media_type, raw) in parts.items()
    ]
    annotations = {"io.routeiq.channel": manifest.channel, "io.routeiq.sequence": str(manifest.sequence)}
    if reason:
        annotations["io.routeiq.rollback"] = reason
    raw = rfc8785.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_MEDIA_TYPE,
            "artifactType": RECORD_TYPE,
            "config": _descriptor(copy, EMPTY_CONFIG, b"{}"),
            "layers": layers,
            "annotations": annotations,
        }
    )
    blobs = {part["digest"]: part["size"] for part in (_descriptor(copy, EMPTY_CONFIG, b"{}"), *layers)}
    digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
    return Artifact("bundle", record_repository(manifest, prefix), digest, raw, None, blobs, None)


def check_current(
    registry: Registry,
    manifest: BundleManifest,
    prefix: str,
    trust: PinnedKey | SiteTrust,
    *,
    allow_rollback: str | None,
) -> list[str]:
    """Return warnings; raises `VerificationError` when the registry's current bundle is newer than `manifest`."""
    repository = record_repository(manifest, prefix)
    raw = registry.get_manifest(repository, manifest.channel)
    if raw is None:
        return []
    where = f"{registry.host}/{repository}:{manifest.channel}"
    try:
        sequence = _sequence(_parts(raw), manifest, trust)
    except (SigningError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        sequence = None
    if sequence is None:
        return [f"{where}: signed by nobody who is trusted here; it does not count"]
    if sequence <= manifest.sequence:
        return []
    if allow_rollback:
        return [f"older than sequence {sequence}, which the registry holds; allowed: {allow_rollback}"]
    raise VerificationError(
        f"bundle.json: sequence {manifest.sequence} is older than {sequence}, which {where} holds",
        step=4,
        subject="bundle.json",
        hint="to go back on purpose: --allow-rollback REASON, which is logged",
    )


def _sequence(
    parts: Mapping[str, bytes], manifest: BundleManifest, trust: PinnedKey | SiteTrust
) -> int | None:
    """Return the sequence that the record's signers vouch for, or None when they are not trusted."""
    identity = parts["bundle.json"]
    if isinstance(trust, SiteTrust):
        if not trust.vouches(identity, parts):
            return None
    else:
        name = signature_name("bundle.json", trust.keyid)
        signature = read_message_bundle(parts[name], name, keyid=trust.keyid, message=identity)
        if not trust.verifies(signature, identity):
            return None
    held = BundleManifest.from_bytes(identity)
    # A record of another channel under this tag is somebody's mistake or an attempt to freeze the site.
    return held.sequence if (held.name, held.channel) == (manifest.name, manifest.channel) else None


def _parts(raw: bytes) -> dict[str, bytes]:
    """Return title → content of the record's layers; raises `ValueError`, `KeyError` or `TypeError` for no record."""
    parts: dict[str, bytes] = {}
    for layer in json.loads(raw)["layers"]:
        try:
            content = base64.b64decode(layer["data"], validate=True)
        except binascii.Error as error:
            raise ValueError(str(error)) from None
        if len(content) > LIMITS.manifest:
            raise ValueError("larger than a document may be")
        parts[layer["annotations"][_TITLE]] = content
    return parts


def _descriptor(copy: Path, media_type: str, raw: bytes) -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
    path = copy / blob_path(digest)
    if not path.exists():
        path.write_bytes(raw)
    return {"mediaType": media_type, "digest": digest, "size": len(raw)}
