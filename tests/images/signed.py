"""A small bundle whose image and model signatures are real: what a mirror asks for."""

from dataclasses import replace

from tests.signing.conftest import SmallBundle, sha256

from routeiq_images.signatures import sign_images, sign_models
from routeiq_signing.keys import PrivateKey
from routeiq_signing.manifest import Attachment, BundleManifest, FileEntry

__all__ = ["signatures", "with_signatures"]


def signatures(manifest: BundleManifest, key: PrivateKey) -> tuple[list[Attachment], dict[str, bytes]]:
    """Return what `bundle create` attaches for the images and models of `manifest`, and the blobs by path."""
    said, blobs = sign_images(manifest.images, [key])
    models, more = sign_models(manifest.models, [key])
    return [*said, *models], {**blobs, **more}


def with_signatures(bundle: SmallBundle, key: PrivateKey) -> SmallBundle:
    """Return `bundle` with these attached in place of what it had, signed by `key`."""
    said, blobs = signatures(bundle.manifest, key)
    listed = tuple(FileEntry(path, sha256(raw), len(raw)) for path, raw in sorted(blobs.items()))
    kept = {entry.path: bundle.files[entry.path] for entry in bundle.manifest.files}
    attachments = replace(bundle.attachments, attachments=tuple(said), files=listed)
    return replace(bundle, attachments=attachments, files={**kept, **blobs}, key=key)
