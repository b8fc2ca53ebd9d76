"""Makes a bundle: images, chart, models, SBOMs and verifier into one signed tar; what it was made from into another.

The identity (`bundle.json`) is a function of the locks, the source and the commit's time. The signature needs the
key and comes last, over what is already decided.
"""

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import rfc8785

from routeiq_images.artifacts import write_chart, write_model, write_sbom
from routeiq_images.assemble import BuiltImage, assemble
from routeiq_images.blobs import MANIFEST_MEDIA_TYPE, BlobStore
from routeiq_images.definition import load_definitions
from routeiq_images.errors import ImagesError
from routeiq_images.inputs import write_inputs
from routeiq_images.materials import Materials, ModelFolder, freeze
from routeiq_images.proof.parts import OWN_LICENCE, shipped
from routeiq_images.proof.provenance import (
    Invocation,
    dependencies,
    predicate,
    sign_provenance,
    with_provenance,
)
from routeiq_images.proof.sbom import Part, make_bundle_sbom, make_sbom
from routeiq_images.readme import carried_readme
from routeiq_images.release import Release
from routeiq_images.signatures import check_signatures, sign_images
from routeiq_signing.bundle_file import pinned
from routeiq_signing.bundle_peek import SBOM_NAME
from routeiq_signing.bundle_tar import sign_head, write_bundle_tar
from routeiq_signing.files import write_atomic
from routeiq_signing.keyring.signer import Signer
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
from routeiq_signing.oms import sign_model
from routeiq_signing.progress import Progress
from routeiq_signing.pyz import build_pyz
from routeiq_signing.sigstore_bundle import MEDIA_TYPE
from routeiq_signing.trust.folder import BuildTrust, write_metadata

__all__ = ["Created", "create_bundle"]


@dataclass(frozen=True)
class Created:
    """What was written: `digest` is of bundle.json."""

    tar: Path
    inputs: Path
    digest: str
    images: tuple[BuiltImage, ...]


def create_bundle(
    materials: Materials,
    release: Release,
    created: datetime,
    key: Signer,
    out: Path,
    progress: Progress,
    run: Invocation | None = None,
    trust: BuildTrust | None = None,
) -> Created:
    """Write the bundle, its inputs, the public key and the verifier into `out`; each whole or not at all.

    With `run` a provenance is attached: it says who built, when and of what, and two builders differ in it. With
    `trust` the root's metadata is, or lies beside the tar while more release keys must sign it.
    """
    inputs = out / release.file_name("-inputs")
    with (
        _alone(out),
        tempfile.TemporaryDirectory(dir=materials.workspace.build, prefix="layout-") as folder,
        _pending(inputs) as pending,
    ):
        materials = freeze(materials, Path(folder) / "source")
        write_inputs(materials, pending, progress)
        store = BlobStore(Path(folder) / "layout")
        built = tuple(
            assemble(definition, materials, release.version, store, progress)
            for definition in load_definitions(materials.definitions)
        )
        entries = tuple(_image_entry(image, release, store) for image in built)
        models = tuple(
            write_model(model.name, model.kind, model.place, model.files, store) for model in materials.models
        )
        chart = write_chart(materials.source / "offline-helm" / "routeiq-gateway", store)
        listed = shipped(materials, release.version, _with_parts(entries, built), models, chart)
        files: dict[str, bytes | Path] = {
            **store.all(),
            SBOM_NAME: make_bundle_sbom(release.name, release.version, listed, OWN_LICENCE),
            "oci-layout": rfc8785.dumps({"imageLayoutVersion": "1.0.0"}),
            "index.json": rfc8785.dumps(_index(entries, models, chart, store)),
            "manifest.json": rfc8785.dumps(_docker_index(built)),
            "verify.pyz": build_pyz(),
            "README.txt": carried_readme(release),
        }
        manifest = _manifest(materials, release, created, entries, models, chart, files, pending)
        digest = f"sha256:{hashlib.sha256(manifest.to_bytes()).hexdigest()}"
        attachments, signatures = _signatures(manifest, materials.models, digest, key)
        if run is not None:
            resolved = dependencies(materials, manifest.inputs, run.commit)
            said = predicate(release, manifest, resolved, run, datetime.now(UTC))
            attachments, more = with_provenance(attachments, sign_provenance(manifest, digest, said, key))
            signatures = {**signatures, **more}
        if trust is not None:
            attachments, more = trust.attach(attachments, manifest, key, datetime.now(UTC))
            signatures = {**signatures, **more}
        tar = out / release.file_name()
        write_bundle_tar(tar, sign_head(manifest, attachments, key), {**files, **signatures}, progress)
    write_atomic(out / "routeiq.pub", key.public.pem)
    write_atomic(out / "verify.pyz", build_pyz(), mode=0o755)
    if trust is not None and trust.lacking:
        write_metadata(tar.with_name(f"{tar.name}.tuf"), trust.metadata(manifest, key))
    return Created(tar, inputs, digest, built)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Refuse a second build into the same folder while the body runs: each would take away what the other writes."""
    out.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(out, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise ImagesError(
            f"{out}: another build is writing here",
            subject=str(out),
            hint="wait for it, or give another --out",
        ) from None
    finally:
        os.close(descriptor)


@contextmanager
def _pending(path: Path) -> Iterator[Path]:
    """Yield a place that becomes `path` when the body ends well: inputs never stand without their bundle."""
    beside = path.with_name(f".{path.name}.pending")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _with_parts(
    entries: tuple[ImageEntry, ...], built: tuple[BuiltImage, ...]
) -> list[tuple[ImageEntry, tuple[Part, ...]]]:
    return [(entry, image.parts) for entry, image in zip(entries, built, strict=True)]


def _image_entry(built: BuiltImage, release: Release, store: BlobStore) -> ImageEntry:
    image = built.image
    sbom = write_sbom(image.digest, make_sbom(image.name, release.version, built.parts), store)
    return ImageEntry(image.name, image.digest, image.image_id, image.tag, sbom)


def _index(
    images: tuple[ImageEntry, ...], models: tuple[ModelEntry, ...], chart: Chart, store: BlobStore
) -> dict[str, Any]:
    """Return the OCI index. Only images are named: containerd refuses to import anything else that is."""
    entries = []
    for image in images:
        names = {"org.opencontainers.image.ref.name": image.tag, "io.containerd.image.name": image.tag}
        platform = {"architecture": "amd64", "os": "linux"}
        entries.append(
            store.descriptor(image.digest, MANIFEST_MEDIA_TYPE, annotations=names, platform=platform)
        )
    others = [*(image.sbom for image in images), *(model.digest for model in models), chart.digest]
    entries += [
        store.descriptor(digest, MANIFEST_MEDIA_TYPE, **_artifact_type(store, digest)) for digest in others
    ]
    return {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries}


def _artifact_type(store: BlobStore, digest: str) -> dict[str, str]:
    kind = json.loads(store.path(digest).read_bytes()).get("artifactType")
    return {"artifactType": kind} if kind else {}


def _docker_index(built: tuple[BuiltImage, ...]) -> list[dict[str, Any]]:
    """Return what `docker save` would write, over the layout's own blobs."""
    return [
        {
            "Config": blob_path(item.image.image_id),
            "RepoTags": [item.image.tag],
            "Layers": [blob_path(layer.digest) for layer in item.image.layers],
        }
        for item in built
    ]


def _manifest(
    materials: Materials,
    release: Release,
    created: datetime,
    images: tuple[ImageEntry, ...],
    models: tuple[ModelEntry, ...],
    chart: Chart,
    files: Mapping[str, bytes | Path],
    inputs: Path,
) -> BundleManifest:
    begins, ends = release.times(created)
    return BundleManifest(
        name=release.name,
        version=release.version,
        channel=release.channel,
        sequence=release.sequence,
        created=begins,
        expires=ends,
        platform="linux/amd64",
        images=images,
        models=models,
        chart=chart,
        files=tuple(_file_entry(path, files[path]) for path in sorted(files)),
        inputs=InputsEntry(release.file_name("-inputs"), _sha256(inputs), inputs.stat().st_size),
        locks=tuple(LockEntry(lock.path, lock.sha256) for lock in materials.fetched.locks),
        drift=(
            *(f"{item.name} {item.locked} -> {item.used}" for item in materials.fetched.drift),
            *(f"attestation of {name} -> none" for name in materials.fetched.attestations.lost),
        ),
    )


def _file_entry(path: str, content: bytes | Path) -> FileEntry:
    if isinstance(content, bytes):
        return FileEntry(path, hashlib.sha256(content).hexdigest(), len(content))
    return FileEntry(path, content.name, content.stat().st_size)  # a blob is named by its digest


def _signatures(
    manifest: BundleManifest, folders: tuple[ModelFolder, ...], bundle: str, key: Signer
) -> tuple[Attachments, dict[str, bytes]]:
    """Sign every image and every model (OMS) on its own: each can be verified where it goes without its bundle."""
    said, blobs = sign_images(manifest.images, [key])
    for model, folder in zip(manifest.models, folders, strict=True):
        name = folder.place.rpartition("/")[2]
        signature = sign_model(name, {entry.path: entry.sha256 for entry in model.files}, key)
        digest = f"sha256:{hashlib.sha256(signature).hexdigest()}"
        blobs[blob_path(digest)] = signature
        said.append(
            Attachment("model-signature", model.name, model.digest, MEDIA_TYPE, digest, len(signature))
        )
    files = tuple(_file_entry(path, blobs[path]) for path in sorted(blobs))
    attachments = Attachments(bundle, tuple(said), files)
    trusted = {key.public.keyid: pinned(key.public)}
    check_signatures(manifest, attachments, trusted, lambda digest: blobs[blob_path(digest)])
    return attachments, blobs


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
