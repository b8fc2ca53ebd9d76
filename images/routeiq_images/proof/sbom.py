"""CycloneDX 1.6 bills of materials: one for each image, and one for the bundle as a whole.

An image's names its Debian packages, wheels, npm packages, weights and our own distributions; the bundle's names the
images, models and chart and, below the images, all of that again: bundle → images → packages. Every outside thing has a
purl, a SHA-256 and an SPDX expression. Nothing of the moment goes in: no time, and a serial number derived from what is
listed, so two builders write the same bytes. Licences are decided elsewhere (`routeiq_vendor.licences`).
"""

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import rfc8785

__all__ = ["ModelCard", "Part", "Shipped", "make_bundle_sbom", "make_sbom"]

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "routeiq-appliance")


@dataclass(frozen=True)
class ModelCard:
    """What is said of a model beside its name: the task it is for, and its architecture."""

    task: str
    architecture: str


@dataclass(frozen=True)
class Part:
    """One component: `kind` is CycloneDX's type, `purl` names it for scanners, `sha256` is of the file it came as.

    `sha256` is empty for what did not come as a file (our own source). `licence` is an SPDX expression.
    """

    kind: str
    name: str
    version: str
    purl: str
    sha256: str
    licence: str | None = None
    properties: tuple[tuple[str, str], ...] = ()
    card: ModelCard | None = None


@dataclass(frozen=True)
class Shipped:
    """A thing that the bundle names by an OCI digest: an image with the parts in it, a model, the chart."""

    ref: str
    part: Part
    parts: Sequence[Part] = field(default=())


def make_sbom(image: str, version: str, parts: Sequence[Part]) -> bytes:
    """Return the RFC 8785 bytes for an image; the order of `parts` does not matter."""
    subject = Part("container", image, version, "", "")
    return _document(f"image:{image}@{version}", subject, [], parts)


def make_bundle_sbom(name: str, version: str, shipped: Sequence[Shipped], licence: str) -> bytes:
    """Return the RFC 8785 bytes for the bundle `name` with what it ships."""
    subject = Part("application", name, version, "", "", licence)
    return _document(f"bundle:{name}@{version}", subject, shipped, [])


def _document(ref: str, subject: Part, shipped: Sequence[Shipped], parts: Sequence[Part]) -> bytes:
    # Only here: the build host has the libraries, the gateway image has not.
    from cyclonedx.model.bom import Bom  # noqa: PLC0415
    from cyclonedx.output import make_outputter  # noqa: PLC0415
    from cyclonedx.schema import OutputFormat, SchemaVersion  # noqa: PLC0415

    bom = Bom()
    top = _component(subject, ref)
    bom.metadata.component = top
    packages = {
        part.purl: _component(part, part.purl)
        for part in [*parts, *(one for item in shipped for one in item.parts)]
    }
    carried = {item.ref: _component(item.part, item.ref) for item in sorted(shipped, key=lambda one: one.ref)}
    for component in (*carried.values(), *(packages[purl] for purl in sorted(packages))):
        bom.components.add(component)
    below = list(carried.values()) if shipped else [packages[purl] for purl in sorted(packages)]
    bom.register_dependency(top, below)
    for item in shipped:
        bom.register_dependency(
            carried[item.ref], [packages[purl] for purl in sorted({part.purl for part in item.parts})]
        )
    document = json.loads(make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string())
    _add_cards(document, [*parts, *(one for item in shipped for one in (item.part, *item.parts))])
    document["metadata"].pop("timestamp", None)
    document.pop("serialNumber", None)
    listed = rfc8785.dumps(document).decode()
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(_NAMESPACE, listed)}"
    return rfc8785.dumps(document)


def _component(part: Part, ref: str) -> Any:
    from cyclonedx.model import HashAlgorithm, HashType, Property  # noqa: PLC0415
    from cyclonedx.model.component import Component, ComponentType  # noqa: PLC0415
    from cyclonedx.model.license import LicenseExpression  # noqa: PLC0415
    from packageurl import PackageURL  # noqa: PLC0415

    return Component(
        type=ComponentType(part.kind),
        name=part.name,
        version=part.version,
        bom_ref=ref,
        purl=PackageURL.from_string(part.purl) if part.purl else None,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=part.sha256)] if part.sha256 else None,
        licenses=[LicenseExpression(value=part.licence)] if part.licence else None,
        properties=[Property(name=name, value=value) for name, value in part.properties],
    )


def _add_cards(document: dict[str, Any], parts: Iterable[Part]) -> None:
    """Put model cards in: the library has no place for them."""
    cards: Mapping[tuple[str, str], ModelCard] = {
        (part.name, part.version): part.card for part in parts if part.card is not None
    }
    for component in document["components"]:
        card = cards.get((component["name"], component["version"]))
        if card is not None and component["type"] == "machine-learning-model":
            component["modelCard"] = {
                "modelParameters": {"task": card.task, "modelArchitecture": card.architecture}
            }
