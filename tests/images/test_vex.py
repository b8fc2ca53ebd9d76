"""OpenVEX: what it settles, what it leaves open, and what is refused because it would hide things."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from routeiq_images.errors import ImagesError
from routeiq_images.proof.vex import parse_vex, settle

JINJA = "pkg:pypi/jinja2@3.1.6"


def statement(status: str = "not_affected", **more: Any) -> dict[str, Any]:
    justified = {"justification": "vulnerable_code_not_in_execute_path"} if status == "not_affected" else {}
    return {
        "vulnerability": {"name": "CVE-2099-0001", "aliases": ["GHSA-aaaa-bbbb-cccc"]},
        "products": [{"@id": "pkg:pypi/jinja2@3.1.6"}],
        "status": status,
        **justified,
        **more,
    }


def vex(*statements: dict[str, Any], **more: Any) -> bytes:
    return json.dumps(
        {
            "@context": "https://openvex.dev/ns/v0.2.0",
            "@id": "https://example.test/vex/1",
            "author": "site",
            "timestamp": "2026-06-01T00:00:00Z",
            "version": 1,
            "statements": list(statements),
            **more,
        }
    ).encode()


@pytest.mark.parametrize(
    ("status", "settles"),
    [("not_affected", True), ("fixed", True), ("affected", False), ("under_investigation", False)],
)
def test_only_not_affected_and_fixed_settle(status: str, settles: bool) -> None:
    (found,) = parse_vex(vex(statement(status)), "v.json")
    assert found.settles is settles
    assert settle([found], ["CVE-2099-0001"], [JINJA], "3.1.6") == found
    assert settle([found], ["GHSA-aaaa-bbbb-cccc"], [JINJA], "3.1.6") == found
    assert settle([found], ["CVE-2099-0002"], [JINJA], "3.1.6") is None


@pytest.mark.parametrize(
    ("product", "hit"),
    [
        ({"@id": "pkg:pypi/jinja2@3.1.6"}, True),
        ({"@id": "pkg:pypi/jinja2"}, True),
        ({"@id": "pkg:pypi/jinja2@3.1.5"}, False),
        ({"@id": "pkg:pypi/jinja"}, False),
        ({"@id": "pkg:pypi/jinja2x@3.1.6"}, False),
        ({"@id": "pkg:npm/jinja2@3.1.6"}, False),
        ({"@id": "pkg:generic/routeiq@0.1.0"}, False),
        ({"@id": "pkg:generic/routeiq", "subcomponents": [{"@id": "pkg:pypi/jinja2@3.1.6"}]}, True),
        ({"@id": "pkg:pypi/jinja2", "subcomponents": [{"@id": "pkg:pypi/other"}]}, False),
    ],
)
def test_a_statement_is_about_its_product_and_no_other(product: dict[str, Any], hit: bool) -> None:
    found = parse_vex(vex(statement(products=[product])), "v.json")
    assert (settle(found, ["CVE-2099-0001"], [JINJA], "3.1.6") is not None) is hit


def test_a_debian_source_package_and_a_scoped_one_are_understood() -> None:
    found = parse_vex(vex(statement(products=[{"@id": "pkg:deb/debian/openssl@3.0.22-1?arch=source"}])), "v")
    purls = ["pkg:deb/debian/libssl3@3.0.22-1?arch=amd64", "pkg:deb/debian/openssl@3.0.22-1"]
    assert settle(found, ["CVE-2099-0001"], purls, "3.0.22-1")
    assert not settle(found, ["CVE-2099-0001"], purls[:1], "3.0.22-1")
    found = parse_vex(vex(statement(products=[{"@id": "pkg:npm/%40scope/x@1.0.0"}])), "v")
    assert settle(found, ["CVE-2099-0001"], ["pkg:npm/%40scope/x@1.0.0"], "1.0.0")
    assert not settle(found, ["CVE-2099-0001"], ["pkg:npm/%40scope/y@1.0.0"], "1.0.0")


def test_the_latest_statement_holds_whatever_its_place() -> None:
    later = statement("under_investigation", timestamp="2026-07-01T00:00:00+02:00")
    found = parse_vex(vex(later, statement()), "v.json")
    held = settle(found, ["CVE-2099-0001"], [JINJA], "3.1.6")
    assert held is not None
    assert (held.status, held.settles) == ("under_investigation", False)


def test_the_justification_is_shown_without_control_characters() -> None:
    (found,) = parse_vex(vex(statement(impact_statement="we never\n call \x1b[31mit")), "v.json")
    assert found.why == "vulnerable_code_not_in_execute_path; we never call ?[31mit"


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it.update({"@context": "https://example.test"}),
        lambda it: it.pop("@context"),
        lambda it: it.update(timestamp="today"),
        lambda it: it.update(timestamp="2026-06-01T00:00:00"),
        lambda it: it.update(statements=[]),
        lambda it: it.update(statements={}),
        lambda it: it.update(statements=["x"]),
        lambda it: it["statements"][0].pop("justification"),
        lambda it: it["statements"][0].update(justification="because"),
        lambda it: it["statements"][0].update(status="ignored"),
        lambda it: it["statements"][0].update(products=[]),
        lambda it: it["statements"][0].update(products=[{"@id": "*"}]),
        lambda it: it["statements"][0].update(products=["pkg:pypi/x"]),
        lambda it: it["statements"][0].update(products=[{"@id": "pkg:a/b", "subcomponents": {}}]),
        lambda it: it["statements"][0].update(vulnerability="CVE-2099-0001"),
        lambda it: it["statements"][0].update(vulnerability={"name": ""}),
        lambda it: it["statements"][0]["vulnerability"].update(aliases="x"),
        lambda it: it["statements"][0]["vulnerability"].update(name=["CVE-2099-0001"]),
    ],
)
def test_what_is_not_understood_is_refused_and_settles_nothing(
    change: Callable[[dict[str, Any]], object],
) -> None:
    document = json.loads(vex(statement()))
    change(document)
    with pytest.raises(ImagesError, match=r"^v\.json"):
        parse_vex(json.dumps(document).encode(), "v.json")


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"[" * 100_000, b'{"a":1.5}', b'{"a":1,"a":2}', b" " * ((4 << 20) + 1)]
)
def test_hostile_bytes_are_refused(raw: bytes) -> None:
    with pytest.raises(ImagesError, match=r"^v\.json"):
        parse_vex(raw, "v.json")
