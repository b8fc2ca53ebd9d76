"""Signs a bundle and what is in it anew, by other keys: after a rotation, or to drop a signer. Its digest stays.

The head, each image in both forms, each model and the provenance are signed again; a provenance bears one signature,
the first key's. The root's metadata stays: it is signed by the root's rules, not by who signs the bundle.
"""

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from routeiq_images.blobs import MANIFEST_MEDIA_TYPE
from routeiq_images.proof.provenance import renew_provenance, with_provenance
from routeiq_images.signatures import (
    MODEL_SIGNATURE,
    REFERRER_SIGNATURE,
    TAG_SIGNATURE,
    sign_images,
    sign_models,
)
from routeiq_signing.bundle_file import verify_bundle_file
from routeiq_signing.bundle_tar import sign_head, write_bundle_tar
from routeiq_signing.keyring.signer import Signer
from routeiq_signing.keys import PublicKey
from routeiq_signing.manifest import Attachment, Attachments, BundleManifest, FileEntry, blob_path
from routeiq_signing.progress import Progress
from routeiq_signing.verify.order import body_entries
from routeiq_signing.verify.trust import Trust

__all__ = ["resign_bundle"]

_RENEWED = frozenset({REFERRER_SIGNATURE, TAG_SIGNATURE, MODEL_SIGNATURE})


def resign_bundle(
    tar: Path, keys: Sequence[Signer], *, trust: PublicKey | Trust, now: datetime, progress: Progress
) -> str:
    """Verify `tar` by `trust` and rewrite it signed by `keys` and nobody else; return the bundle's digest.

    Raises `VerificationError` for a tar that would be refused. Needs room for two more copies beside the tar.
    """
    with tempfile.TemporaryDirectory(dir=tar.parent, prefix=f".{tar.name}.sign-") as folder:
        copy = Path(folder)
        verified = verify_bundle_file(tar, key=trust, progress=progress, now=now, copy_to=copy)
        attachments, blobs = _renewed(verified.manifest, verified.attachments, keys, copy)
        if verified.provenance is not None:
            attachments, more = with_provenance(attachments, renew_provenance(verified.envelope, keys[0]))
            blobs |= more
        head = sign_head(verified.manifest, attachments, *keys)
        kept = {entry.path for entry in body_entries(verified.manifest, attachments)} - blobs.keys()
        write_bundle_tar(tar, head, {**{path: copy / path for path in kept}, **blobs}, progress)
    return head.digest


def _renewed(
    manifest: BundleManifest, said: Attachments, keys: Sequence[Signer], copy: Path
) -> tuple[Attachments, dict[str, bytes]]:
    """Return `said` with the signatures of images and models by `keys` in place of any it had, and the new blobs."""
    others = [item for item in said.attachments if item.kind not in _RENEWED]
    used = {path for item in others for path in _blobs_of(item, copy)}
    dropped = {path for item in said.attachments if item.kind in _RENEWED for path in _blobs_of(item, copy)}
    images, blobs = sign_images(manifest.images, keys)
    models, more = sign_models(manifest.models, keys)
    blobs |= more
    files = {entry.path: entry for entry in said.files if entry.path not in dropped - used}
    for path, raw in blobs.items():
        files[path] = FileEntry(path, hashlib.sha256(raw).hexdigest(), len(raw))
    listed = tuple(files[path] for path in sorted(files))
    return replace(said, attachments=(*images, *models, *others), files=listed), blobs


def _blobs_of(item: Attachment, copy: Path) -> set[str]:
    """Return the paths of an attachment's blob and, where that is a manifest, of its parts."""
    paths = {blob_path(item.digest)}
    if item.media_type == MANIFEST_MEDIA_TYPE:
        document = json.loads((copy / blob_path(item.digest)).read_bytes())
        paths |= {blob_path(part["digest"]) for part in (document["config"], *document["layers"])}
    return paths
