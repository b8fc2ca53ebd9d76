"""A CycloneDX 1.6 bill of materials for an image: its Debian packages, wheels and weights, with purls and hashes.

Nothing of the moment goes in: no time, and a serial number derived from what is listed.
"""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import rfc8785

__all__ = ["Part", "make_sbom"]

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "routeiq-appliance")


@dataclass(frozen=True)
class Part:
    """One component: `purl` names it (package-url), `sha256` is of the file that it came in."""

    kind: str
    name: str
    version: str
    purl: str
    sha256: str
    licence: str | None = None
    properties: tuple[tuple[str, str], ...] = ()


def make_sbom(image: str, version: str, parts: Sequence[Part]) -> bytes:
    """Return the RFC 8785 bytes of the SBOM of `image`; `parts` in any order give the same bytes."""
    from cyclonedx.model import HashAlgorithm, HashType, Property  # noqa: PLC0415  only the build host has it
    from cyclonedx.model.bom import Bom  # noqa: PLC0415
    from cyclonedx.model.component import Component, ComponentType  # noqa: PLC0415
    from cyclonedx.model.license import DisjunctiveLicense  # noqa: PLC0415
    from cyclonedx.output import make_outputter  # noqa: PLC0415
    from cyclonedx.schema import OutputFormat, SchemaVersion  # noqa: PLC0415
    from packageurl import PackageURL  # noqa: PLC0415

    subject = Component(
        type=ComponentType.CONTAINER, name=image, version=version, bom_ref=f"image:{image}@{version}"
    )
    bom = Bom()
    bom.metadata.component = subject
    components = [
        Component(
            type=ComponentType(part.kind),
            name=part.name,
            version=part.version,
            bom_ref=part.purl,
            purl=PackageURL.from_string(part.purl),
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=part.sha256)],
            licenses=[DisjunctiveLicense(name=part.licence)] if part.licence else None,
            properties=[Property(name=name, value=value) for name, value in part.properties],
        )
        for part in sorted(parts, key=lambda part: part.purl)
    ]
    for component in components:
        bom.components.add(component)
    bom.register_dependency(subject, components)
    document = json.loads(make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string())
    document["metadata"].pop("timestamp", None)
    document.pop("serialNumber", None)
    listed = rfc8785.dumps(document).decode()
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(_NAMESPACE, listed)}"
    return rfc8785.dumps(document)
