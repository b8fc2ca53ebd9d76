"""A small bundle whose image and model signatures are real: what a mirror asks for."""

from dataclasses import replace

from tests.signing.conftest import SmallBundle, digest, sha256

from routeiq_images.signatures import sign_images
from routeiq_signing.keys import PrivateKey
from routeiq_signing.manifest import Attachment, BundleManifest, FileEntry, blob_path
from routeiq_signing.oms import sign_model
from routeiq_signing.sigstore_bundle import MEDIA_TYPE

__all__ = ["signatures", "with_signatures"]


def signatures(manifest: BundleManifest, key: PrivateKey) -> tuple[list[Attachment], dict[str, bytes]]:
    """Return what `bundle create` attaches for the images and models of `manifest`, and the blobs by path."""
    said, blobs = sign_images(manifest.images, [key])
    for model in manifest.models:
        raw = sign_model(model.path, {entry.path: entry.sha256 for entry in model.files}, key)
        said.append(
            Attachment("model-signature", model.name, model.digest, MEDIA_TYPE, digest(raw), len(raw))
        )
        blobs[blob_path(digest(raw))] = raw
    return said, blobs


def with_signatures(bundle: SmallBundle, key: PrivateKey) -> SmallBundle:
    """Return `bundle` with these attached in place of what it had, signed by `key`."""
    said, blobs = signatures(bundle.manifest, key)
    listed = tuple(FileEntry(path, sha256(raw), len(raw)) for path, raw in sorted(blobs.items()))
    kept = {entry.path: bundle.files[entry.path] for entry in bundle.manifest.files}
    attachments = replace(bundle.attachments, attachments=tuple(said), files=listed)
    return replace(bundle, attachments=attachments, files={**kept, **blobs}, key=key)
