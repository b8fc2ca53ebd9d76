"""A bill of materials says what is there, validates against CycloneDX's own schema, and is the same bytes each time."""

import json

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given, settings
from hypothesis import strategies as st

from routeiq_images.proof.sbom import ModelCard, Part, Shipped, make_bundle_sbom, make_sbom

DEB = Part(
    "library",
    "libssl3",
    "3.0.22-1~deb12u2",
    "pkg:deb/debian/libssl3@3.0.22-1~deb12u2?arch=amd64&distro=debian-12",
    "1" * 64,
    "Apache-2.0 AND (Artistic-1.0-Perl OR GPL-1.0-or-later)",
    (("routeiq:source", "openssl"), ("routeiq:source_version", "3.0.22-1~deb12u2")),
)
WHEEL = Part("library", "numpy", "2.4.6", "pkg:pypi/numpy@2.4.6", "2" * 64, "BSD-3-Clause")
NPM = Part("library", "@scope/x", "1.0.0", "pkg:npm/%40scope/x@1.0.0", "3" * 64, "MIT")
OURS = Part("library", "routeiq-signing", "0.1.0", "pkg:generic/routeiq-signing@0.1.0", "", "Apache-2.0")
MODEL = Part(
    "machine-learning-model",
    "minilm",
    "0.1",
    "pkg:huggingface/sentence-transformers/minilm",
    "4" * 64,
    "Apache-2.0",
    (),
    ModelCard("feature-extraction", "BERT"),
)
LICENSE_REF = Part(
    "library", "krb5", "1", "pkg:deb/debian/krb5@1?arch=amd64", "5" * 64, "LicenseRef-Debian-krb5"
)
PARTS = [DEB, WHEEL, NPM, OURS, MODEL, LICENSE_REF]


def shipped() -> list[Shipped]:
    image = Part("container", "routeiq-gateway", "0.1.0", "pkg:oci/routeiq-gateway@sha256%3Aab", "6" * 64)
    other = Part("container", "routeiq-redis", "0.1.0", "pkg:oci/routeiq-redis@sha256%3Aac", "7" * 64)
    return [
        Shipped("image:routeiq-gateway", image, PARTS),
        Shipped("image:routeiq-redis", other, [DEB]),
        Shipped("model:minilm", MODEL),
    ]


def valid(raw: bytes) -> bool:
    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(raw.decode()) is None


def test_both_kinds_validate_against_the_schema_of_cyclonedx_1_6() -> None:
    assert valid(make_sbom("routeiq-gateway", "0.1.0", PARTS))
    raw = make_bundle_sbom("routeiq", "0.1.0", shipped(), "Apache-2.0")
    assert valid(raw)
    document = json.loads(raw)
    document["components"][0]["type"] = "no such type"
    assert not valid(json.dumps(document).encode())  # the check can say no


def test_the_graph_goes_from_the_bundle_over_its_images_to_their_packages() -> None:
    document = json.loads(make_bundle_sbom("routeiq", "0.1.0", shipped(), "Apache-2.0"))
    graph = {entry["ref"]: set(entry.get("dependsOn", ())) for entry in document["dependencies"]}
    assert graph["bundle:routeiq@0.1.0"] == {"image:routeiq-gateway", "image:routeiq-redis", "model:minilm"}
    assert graph["image:routeiq-redis"] == {DEB.purl}
    assert graph["image:routeiq-gateway"] == {part.purl for part in PARTS}
    refs = {component["bom-ref"] for component in document["components"]}
    assert set().union(*graph.values()) <= refs


def test_every_outside_thing_has_a_purl_a_digest_and_a_licence() -> None:
    document = json.loads(make_bundle_sbom("routeiq", "0.1.0", shipped(), "Apache-2.0"))
    for component in document["components"]:
        assert component["purl"].startswith("pkg:")
        if component["type"] != "container":
            assert component["licenses"][0]["expression"]
        if not component["purl"].startswith("pkg:generic/"):
            assert component["hashes"][0]["alg"] == "SHA-256"
    cards = [item["modelCard"] for item in document["components"] if "modelCard" in item]
    assert cards == [{"modelParameters": {"task": "feature-extraction", "modelArchitecture": "BERT"}}] * 2


def test_nothing_of_the_moment_is_in_it() -> None:
    document = json.loads(make_bundle_sbom("routeiq", "0.1.0", shipped(), "Apache-2.0"))
    assert "timestamp" not in document["metadata"]
    assert document["serialNumber"].startswith("urn:uuid:")


@settings(max_examples=15)
@given(st.permutations(PARTS), st.permutations(range(3)))
def test_the_order_in_which_things_were_found_does_not_show(order: list[Part], places: list[int]) -> None:
    things = shipped()
    turned = [things[index] for index in places]
    again = [Shipped(item.ref, item.part, [p for p in order if p in item.parts]) for item in turned]
    assert make_bundle_sbom("routeiq", "0.1.0", again, "Apache-2.0") == make_bundle_sbom(
        "routeiq", "0.1.0", things, "Apache-2.0"
    )


def test_another_part_gives_another_serial_number() -> None:
    one = json.loads(make_sbom("x", "0.1.0", PARTS))["serialNumber"]
    assert json.loads(make_sbom("x", "0.1.0", PARTS[1:]))["serialNumber"] != one
