"""What is in an image and in the bundle, as components of their bills of materials: names, purls, digests, licences.

Pure: what was gathered in, parts out. Our own distributions are `pkg:generic`, not `pkg:pypi`: nobody published them
there, and a scanner must not take another's of that name for ours.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from urllib.parse import quote

from routeiq_images.materials import Materials, ModelFolder
from routeiq_images.proof.sbom import ModelCard, Part, Shipped
from routeiq_signing.manifest import Chart, ImageEntry, ModelEntry
from routeiq_vendor.fetch import EMBEDDERS, Deb, Model
from routeiq_vendor.npm.store import Tarball
from routeiq_vendor.wheels.store import Wheel

__all__ = ["OWN_LICENCE", "image_parts", "shipped"]

OWN_LICENCE = "Apache-2.0"
_OWN = ("appliance", "images", "router", "signing", "vendor")

Licences = Mapping[tuple[str, str, str], str]
"""(kind, name, version) → SPDX expression."""


def image_parts(materials: Materials, debs: str, wheels: Iterable[Wheel], version: str) -> list[Part]:
    """Return what an image holds: the Debian packages of `debs`; with `wheels`, all that the gateway's has besides."""
    licences = materials.licences
    parts = [_deb_part(deb, licences) for deb in materials.debs(debs).debs]
    installed = [_wheel_part(wheel, licences) for wheel in wheels]
    if installed:
        fetched = materials.fetched
        parts += installed
        parts += [_npm_part(item) for item in fetched.npm if item.shipped]
        parts += [_model_part(name, model) for name, model in fetched.models.items()]
        parts += [
            _router_part(one, version) for one in materials.models if one.kind == "router" and one.baked
        ]
        parts += _own_parts(version)
    return parts


def shipped(
    materials: Materials,
    version: str,
    images: Iterable[tuple[ImageEntry, Sequence[Part]]],
    models: Iterable[ModelEntry],
    chart: Chart,
) -> list[Shipped]:
    """Return what the bundle names itself: images with their parts, models, the chart."""
    found = []
    for image, parts in images:
        part = _artifact(
            "container", image.name, version, image.digest, (("routeiq:image_id", image.image_id),)
        )
        found.append(Shipped(f"image:{image.name}", part, parts))
    folders = {folder.name: folder for folder in materials.models}
    for model in models:
        part = (
            _router_part(folders[model.name], version)
            if model.kind == "router"
            else _model_part(
                _embedder(materials, model.name), materials.fetched.models[_embedder(materials, model.name)]
            )
        )
        said = (("routeiq:digest", model.digest), *part.properties)
        found.append(Shipped(f"model:{model.name}", replace(part, name=model.name, properties=said)))
    found.append(
        Shipped(f"chart:{chart.name}", _artifact("application", chart.name, chart.version, chart.digest))
    )
    return found


def _embedder(materials: Materials, name: str) -> str:
    """Return the vendored model that an artifact is made of: the runtime's files, or `-fp32` with all of them."""
    return name if name in materials.fetched.models else name.removesuffix("-fp32")


def _artifact(
    kind: str, name: str, version: str, digest: str, properties: tuple[tuple[str, str], ...] = ()
) -> Part:
    purl = f"pkg:oci/{quote(name)}@{quote(digest)}?tag={quote(version)}"
    licence = OWN_LICENCE if kind == "application" else None
    return Part(kind, name, version, purl, digest.removeprefix("sha256:"), licence, properties)


def _deb_part(deb: Deb, licences: Licences) -> Part:
    """Return a Debian package; its source package, which advisories name, is among the properties."""
    purl = f"pkg:deb/debian/{quote(deb.name)}@{quote(deb.version, safe='.-~')}?arch=amd64&distro=debian-12"
    properties = (("routeiq:source", deb.source), ("routeiq:source_version", deb.source_version))
    licence = licences.get(("deb", deb.name, deb.version))
    return Part("library", deb.name, deb.version, purl, deb.sha256, licence, properties)


def _wheel_part(wheel: Wheel, licences: Licences) -> Part:
    """Return a wheel."""
    purl = f"pkg:pypi/{wheel.name}@{quote(wheel.version, safe='.-')}"
    licence = licences.get(("pypi", wheel.name, wheel.version))
    properties = (("routeiq:filename", wheel.filename),)
    return Part("library", wheel.name, wheel.version, purl, wheel.sha256, licence, properties)


def _npm_part(item: Tarball) -> Part:
    """Return an npm package."""
    purl = f"pkg:npm/{quote(item.name, safe='/')}@{quote(item.version, safe='.-')}"
    return Part("library", item.name, item.version, purl, item.sha256, item.licence)


def _model_part(name: str, model: Model, path: str = "model.safetensors") -> Part:
    """Return a model by the digest of its published weights, with the wheel that it came in among the properties."""
    properties = (
        ("routeiq:carried_by", f"pkg:pypi/{model.wheel.name}@{model.wheel.version}"),
        *((f"routeiq:file:{place}", f"sha256:{file.sha256}") for place, file in sorted(model.files.items())),
    )
    card = ModelCard("feature-extraction", "BertModel with mean pooling, as ONNX")
    purl = f"pkg:huggingface/{EMBEDDERS}/{quote(name)}"
    return Part(
        "machine-learning-model", name, model.version, purl, model.files[path].sha256, model.licence, properties, card
    )  # fmt: skip


def _router_part(folder: ModelFolder, version: str) -> Part:
    """Return a routing artifact of ours by the digest of its weights."""
    card = ModelCard("ranking of models for a prompt", "KNN and ridge regression over sentence embeddings")
    purl = f"pkg:generic/{quote(folder.name)}@{quote(version)}"
    with folder.files["weights.safetensors"].open("rb") as file:
        weights = hashlib.file_digest(file, "sha256").hexdigest()
    return Part("machine-learning-model", folder.name, version, purl, weights, OWN_LICENCE, (), card)


def _own_parts(version: str) -> Sequence[Part]:
    """Return our own distributions."""
    return [
        Part(
            "library",
            f"routeiq-{name}",
            version,
            f"pkg:generic/routeiq-{name}@{quote(version)}",
            "",
            OWN_LICENCE,
        )
        for name in _OWN
    ]
