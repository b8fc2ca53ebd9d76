"""A small bundle, made by the product's own writer, and the ways to spoil it."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from routeiq_signing.bundle_tar import sign_head, write_bundle_tar
from routeiq_signing.keys import PrivateKey
from routeiq_signing.manifest import (
    Attachment,
    Attachments,
    BundleManifest,
    Chart,
    FileEntry,
    ImageEntry,
    InputsEntry,
    LockEntry,
    ModelEntry,
    blob_path,
)
from routeiq_signing.progress import QuietProgress
from routeiq_signing.pyz import build_pyz
from routeiq_signing.strict_json import dumps

if TYPE_CHECKING:
    from tests.signing.trust_parts import Producer

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def producer() -> "Producer":
    from tests.signing.trust_parts import Producer

    return Producer()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def digest(data: bytes) -> str:
    return f"sha256:{sha256(data)}"


@dataclass(frozen=True)
class SmallBundle:
    manifest: BundleManifest
    attachments: Attachments
    files: dict[str, bytes]
    key: PrivateKey

    def signed_by(self, key: PrivateKey) -> "SmallBundle":
        return replace(self, key=key)

    def with_manifest(self, **changes: object) -> "SmallBundle":
        manifest = replace(self.manifest, **changes)
        attachments = replace(self.attachments, bundle=digest(manifest.to_bytes()))
        return replace(self, manifest=manifest, attachments=attachments)

    def write(self, path: Path) -> Path:
        head = sign_head(self.manifest, self.attachments, self.key)
        write_bundle_tar(path, head, self.files, QuietProgress())
        return path


def artifact(blobs: dict[str, bytes], config: bytes, layers: list[bytes]) -> str:
    """Put a manifest and its parts among `blobs`; return the manifest's digest."""
    parts = [
        {"digest": digest(part), "mediaType": "application/octet-stream", "size": len(part)}
        for part in layers
    ]
    document = dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"digest": digest(config), "mediaType": "application/json", "size": len(config)},
            "layers": parts,
        }
    )
    for part in (config, *layers, document):
        blobs[blob_path(digest(part))] = part
    return digest(document)


@pytest.fixture(scope="session")
def key() -> PrivateKey:
    return PrivateKey.generate()


@pytest.fixture(scope="session")
def small_bundle(key: PrivateKey) -> SmallBundle:
    return make_bundle(key, layer=bytes(range(256)) * 700, program=build_pyz())


def make_bundle(key: PrivateKey, *, layer: bytes, program: bytes) -> SmallBundle:
    """Return a bundle with an image of one `layer`, a model, a chart and `program` as its verify.pyz."""
    blobs: dict[str, bytes] = {}
    config = b'{"architecture":"amd64","os":"linux"}'
    image = artifact(blobs, config, [layer])
    sbom = artifact(blobs, b"{}", [b'{"bomFormat":"CycloneDX"}'])
    weights = b"weights" * 100
    model = artifact(blobs, b"{}", [weights])
    chart = artifact(blobs, b'{"name":"c"}', [b"chart"])
    tag = "routeiq.local/routeiq-gateway:0.1.0"
    files = {
        **blobs,
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": json.dumps(
            {
                "schemaVersion": 2,
                "manifests": [
                    {"mediaType": "m", "digest": item, "size": len(blobs[blob_path(item)])}
                    for item in (image, sbom, model, chart)
                ],
            }
        ).encode(),
        "manifest.json": json.dumps(
            [{"Config": blob_path(digest(config)), "RepoTags": [tag], "Layers": [blob_path(digest(layer))]}]
        ).encode(),
        "verify.pyz": program,
        "README.txt": b"read me\n",
    }
    signature = b'{"signed":"model"}'
    manifest = BundleManifest(
        name="routeiq",
        version="0.1.0",
        channel="test",
        sequence=7,
        created="2026-01-01T00:00:00Z",
        expires="2099-01-01T00:00:00Z",
        platform="linux/amd64",
        images=(ImageEntry("routeiq-gateway", image, digest(config), tag, sbom),),
        models=(
            ModelEntry(
                "m", "router", model, "routers/m", (FileEntry("w.bin", sha256(weights), len(weights)),)
            ),
        ),
        chart=Chart("routeiq-gateway", "0.1.0", chart),
        files=tuple(FileEntry(name, sha256(data), len(data)) for name, data in sorted(files.items())),
        inputs=InputsEntry("routeiq-0.1.0-linux-amd64-inputs.tar", "0" * 64, 10),
        locks=(LockEntry("vendor/locks/gateway.txt", "1" * 64),),
    )
    attachments = Attachments(
        bundle=digest(manifest.to_bytes()),
        attachments=(
            Attachment("model-signature", "m", model, "application/json", digest(signature), len(signature)),
        ),
        files=(FileEntry(blob_path(digest(signature)), sha256(signature), len(signature)),),
    )
    return SmallBundle(manifest, attachments, {**files, blob_path(digest(signature)): signature}, key)


@pytest.fixture
def bundle_tar(small_bundle: SmallBundle, tmp_path: Path) -> Path:
    return small_bundle.write(tmp_path / "carried" / "bundle.tar")


@pytest.fixture
def public_key_file(key: PrivateKey, tmp_path: Path) -> Path:
    path = tmp_path / "pinned.pem"
    path.write_bytes(key.public.pem)
    return path


Spoil = Callable[[bytes], bytes]
