"""Model folders, SBOMs and the chart as OCI artifacts (image-spec 1.1, "artifact usage")."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from routeiq_images.blobs import EMPTY_CONFIG, MANIFEST_MEDIA_TYPE, BlobStore
from routeiq_images.chart import package_chart
from routeiq_images.layer import LAYER_MTIME
from routeiq_signing.manifest import Chart, FileEntry, ModelEntry

__all__ = ["MODEL_ARTIFACT_TYPE", "SBOM_MEDIA_TYPE", "write_chart", "write_model", "write_sbom"]

MODEL_ARTIFACT_TYPE = "application/vnd.routeiq.model.v1"
SBOM_MEDIA_TYPE = "application/vnd.cyclonedx+json"
_TITLE = "org.opencontainers.image.title"


def write_model(name: str, kind: str, place: str, files: Mapping[str, Path], store: BlobStore) -> ModelEntry:
    """Put a model into `store`: one layer a file, titled with its path; `place` is below the models folder."""
    layers, entries = [], []
    for path, source in sorted(files.items()):
        digest, size = store.add_file(source)
        layers.append(store.descriptor(digest, "application/octet-stream", annotations={_TITLE: path}))
        entries.append(FileEntry(path, digest.removeprefix("sha256:"), size))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_MEDIA_TYPE,
        "artifactType": MODEL_ARTIFACT_TYPE,
        "config": store.descriptor(store.add(b"{}"), EMPTY_CONFIG),
        "layers": layers,
        "annotations": {_TITLE: name, "local.routeiq.model.kind": kind, "local.routeiq.model.path": place},
    }
    return ModelEntry(name, kind, store.add_json(manifest), place, tuple(entries))


def write_sbom(image_digest: str, sbom: bytes, store: BlobStore) -> str:
    """Put an SBOM that refers to the image `image_digest` into `store`; return its manifest's digest."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_MEDIA_TYPE,
        "artifactType": SBOM_MEDIA_TYPE,
        "config": store.descriptor(store.add(b"{}"), EMPTY_CONFIG),
        "layers": [store.descriptor(store.add(sbom), SBOM_MEDIA_TYPE)],
        "subject": store.descriptor(image_digest, MANIFEST_MEDIA_TYPE),
    }
    return store.add_json(manifest)


def write_chart(folder: Path, store: BlobStore) -> Chart:
    """Put the Helm chart in `folder` into `store`; its time is the layers' constant."""
    chart = package_chart(folder, created=datetime.fromtimestamp(LAYER_MTIME, UTC))
    for blob in (chart.config, chart.layer):
        store.add(blob)
    return Chart(chart.name, chart.version, store.add(chart.manifest))
