"""What the OCI layout inside a bundle must agree on with `bundle.json`, after every digest was found right.

Pure: bytes in, nothing or a refusal out. A bundle that passes can be loaded by an engine or pushed to a registry
without meeting a blob that is not there. Sources: OCI image-spec 1.1 (image-layout, manifest), docker save format.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from routeiq_signing.errors import VerificationError
from routeiq_signing.manifest import BundleManifest, blob_path

__all__ = ["check_layout", "documents_of"]

_STEP = 8


def documents_of(manifest: BundleManifest) -> dict[str, str]:
    """Return path → digest of every manifest that `check_layout` wants to see the bytes of."""
    digests = [item.digest for item in manifest.images] + [item.sbom for item in manifest.images]
    digests += [item.digest for item in manifest.models] + [manifest.chart.digest]
    return {blob_path(digest): digest for digest in digests}


def check_layout(manifest: BundleManifest, documents: Mapping[str, bytes]) -> None:
    """Raise `VerificationError` unless index, docker index and manifests name exactly what the bundle holds.

    `documents` holds `oci-layout`, `index.json`, `manifest.json` and the paths of `documents_of`.
    """
    sizes = {entry.path: entry.size for entry in manifest.files}
    if _load("oci-layout", documents) != {"imageLayoutVersion": "1.0.0"}:
        _refuse("oci-layout", "is not of version 1.0.0")
    _check_index(manifest, documents, sizes)
    _check_docker(manifest, documents, sizes)
    for path in documents_of(manifest):
        document = _load(path, documents)
        for part in [document.get("config"), *_list(path, document, "layers")]:
            _check_descriptor(path, part, sizes)
    for image in manifest.images:
        path = blob_path(image.digest)
        if _load(path, documents)["config"]["digest"] != image.image_id:
            _refuse(path, f"its config is not the image id {image.image_id}")
    for model in manifest.models:
        path = blob_path(model.digest)
        held = sorted(part["digest"] for part in _list(path, _load(path, documents), "layers"))
        if held != sorted(f"sha256:{entry.sha256}" for entry in model.files):
            _refuse(path, f"its layers are not the files of model {model.name}")


def _check_index(manifest: BundleManifest, documents: Mapping[str, bytes], sizes: Mapping[str, int]) -> None:
    known = set(documents_of(manifest).values())
    entries = _list("index.json", _load("index.json", documents), "manifests")
    for entry in entries:
        _check_descriptor("index.json", entry, sizes)
        if entry["digest"] not in known:
            _refuse("index.json", f"names {entry['digest']}, which bundle.json does not")
    if len(entries) != len(known) or {entry["digest"] for entry in entries} != known:
        _refuse("index.json", "does not name each artifact of bundle.json once")


def _check_docker(manifest: BundleManifest, documents: Mapping[str, bytes], sizes: Mapping[str, int]) -> None:
    entries = _load_any("manifest.json", documents)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        _refuse("manifest.json", "is no list of images")
    expected = {blob_path(image.image_id): image.tag for image in manifest.images}
    found = {str(entry.get("Config")): entry.get("RepoTags") for entry in entries}
    if len(entries) != len(expected) or found != {path: [tag] for path, tag in expected.items()}:
        _refuse("manifest.json", "does not name each image of bundle.json once")
    for entry in entries:
        for layer in _list("manifest.json", entry, "Layers"):
            if not isinstance(layer, str) or layer not in sizes:
                _refuse("manifest.json", f"names {layer}, which the bundle does not hold")


def _check_descriptor(where: str, part: Any, sizes: Mapping[str, int]) -> None:
    digest = part.get("digest") if isinstance(part, dict) else None
    size = sizes.get(blob_path(digest)) if isinstance(digest, str) else None
    if size is None or part.get("size") != size:
        _refuse(where, f"names {digest}, which the bundle does not hold in that size")


def _load_any(path: str, documents: Mapping[str, bytes]) -> Any:
    try:
        return json.loads(documents[path])
    except KeyError:
        _refuse(path, "is missing")
    except (ValueError, RecursionError):
        _refuse(path, "is not JSON")


def _load(path: str, documents: Mapping[str, bytes]) -> dict[str, Any]:
    document = _load_any(path, documents)
    if not isinstance(document, dict):
        _refuse(path, "is no JSON object")
    return document


def _list(path: str, document: dict[str, Any], name: str) -> list[Any]:
    items = document.get(name)
    if not isinstance(items, list):
        _refuse(path, f"has no list {name}")
    return items


def _refuse(path: str, fault: str) -> NoReturn:
    raise VerificationError(f"{path}: {fault}", step=_STEP, subject=path)
