"""A scan finds what is there, says what it could not look at, and never calls missing data "no findings".

No database is reachable here: the records are of the real format, written from facts of published advisories.
"""

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.images.test_vex import statement, vex
from tests.signing.conftest import SmallBundle, make_bundle, sha256

from routeiq_appliance.cli.bundle_scan import scan as scan_verb
from routeiq_images.errors import ImagesError
from routeiq_images.proof.sbom import Part, Shipped, make_bundle_sbom
from routeiq_images.proof.scan import components_of, match
from routeiq_images.proof.scan_files import sign_vex
from routeiq_images.proof.vex import parse_vex
from routeiq_signing.bundle_peek import SBOM_NAME
from routeiq_signing.keys import PrivateKey
from routeiq_signing.manifest import FileEntry
from routeiq_signing.progress import QuietProgress
from routeiq_vendor.osv.artifact import write_osv
from routeiq_vendor.osv.records import Record, parse_record
from routeiq_vendor.osv.severity import Severity

URLLIB3 = Part("library", "urllib3", "2.0.6", "pkg:pypi/urllib3@2.0.6", "1" * 64, "MIT")
SOURCE = (("routeiq:source", "openssl"), ("routeiq:source_version", "3.0.14-1~deb12u1"))
DEB = "pkg:deb/debian/{}@3.0.14-1~deb12u1?arch=amd64&distro=debian-12"
LIBSSL = Part("library", "libssl3", "3.0.14-1~deb12u1", DEB.format("libssl3"), "2" * 64, "Apache-2.0", SOURCE)
OPENSSL = replace(LIBSSL, name="openssl", purl=DEB.format("openssl"))
POSTCSS = Part("library", "postcss", "8.4.31", "pkg:npm/postcss@8.4.31", "3" * 64, "MIT")
OURS = Part("library", "routeiq-signing", "0.1.0", "pkg:generic/routeiq-signing@0.1.0", "", "Apache-2.0")


def sbom(*parts: Part) -> bytes:
    image = Part("container", "routeiq-gateway", "0.1.0", "pkg:oci/routeiq-gateway@x", "4" * 64)
    other = Part("container", "routeiq-redis", "0.1.0", "pkg:oci/routeiq-redis@x", "5" * 64)
    deb = [part for part in parts if part.purl.startswith("pkg:deb/")]
    shipped = [Shipped("image:routeiq-gateway", image, parts), Shipped("image:routeiq-redis", other, deb)]
    return make_bundle_sbom("routeiq", "0.1.0", shipped, "Apache-2.0")


SBOM = sbom(URLLIB3, LIBSSL, OPENSSL, POSTCSS, OURS)


def advisory(identifier: str, ecosystem: str, name: str, fixed: str, **more: Any) -> dict[str, Any]:
    kind = "SEMVER" if ecosystem == "npm" else "ECOSYSTEM"
    events = [{"introduced": "0"}, {"fixed": fixed}]
    affected = {
        "package": {"ecosystem": ecosystem, "name": name},
        "ranges": [{"type": kind, "events": events}],
    }
    return {"id": identifier, "modified": "2026-05-20T00:00:00Z", "affected": [affected], **more}


GHSA = advisory(
    "GHSA-g4mx-q9vg-27p4", "PyPI", "urllib3", "2.0.7",
    aliases=["CVE-2023-45803"], database_specific={"severity": "MODERATE"}, summary="body not stripped",
)  # fmt: skip
PYSEC = advisory("PYSEC-2023-212", "PyPI", "urllib3", "2.0.7", aliases=["CVE-2023-45803"])
DSA = advisory("DSA-5764-1", "Debian:12", "openssl", "3.0.14-1~deb12u2", upstream=["CVE-2024-6119"])
OLD_DEBIAN = advisory("DSA-1", "Debian:11", "openssl", "9")
NPM = advisory("GHSA-7fh5-64p2-3v2j", "npm", "postcss", "8.4.31", aliases=["CVE-2023-44270"])
ALL = (GHSA, PYSEC, DSA, OLD_DEBIAN, NPM)


def records(*documents: dict[str, Any]) -> list[Record]:
    return [parse_record(json.dumps(document).encode(), document["id"]) for document in documents]


def test_a_bundle_is_matched_by_name_version_and_release() -> None:
    found = match(*components_of(SBOM, "sbom"), records(*ALL))
    assert [(item.id, item.subject, item.severity) for item in found.findings] == [
        ("CVE-2024-6119", "openssl", Severity.UNKNOWN),
        ("CVE-2023-45803", "urllib3", Severity.MEDIUM),
    ]
    openssl, urllib3 = found.findings
    assert openssl.images == ("routeiq-gateway", "routeiq-redis")
    assert set(openssl.components) == {LIBSSL.purl, OPENSSL.purl}  # matched by its source package
    assert set(urllib3.names) == {"GHSA-g4mx-q9vg-27p4", "CVE-2023-45803", "PYSEC-2023-212"}  # one flaw, once
    assert urllib3.fixed == ("2.0.7",)
    assert [(row.ecosystem, row.components, row.records) for row in found.coverage] == [
        ("PyPI", 1, 2),
        ("Debian", 2, 2),
        ("npm", 1, 1),
    ]
    assert "routeiq-signing 0.1.0" in found.unscanned


def test_the_threshold_counts_what_nobody_rated() -> None:
    found = match(*components_of(SBOM, "sbom"), records(*ALL))
    assert [item.id for item in found.failing(Severity.HIGH)] == ["CVE-2024-6119"]
    assert len(found.failing(Severity.MEDIUM)) == 2


def test_a_version_that_cannot_be_compared_is_a_finding_that_says_so() -> None:
    found = match(
        *components_of(SBOM, "sbom"), records(*ALL, advisory("X-1", "PyPI", "urllib3", "not a version"))
    )
    (item,) = (one for one in found.findings if one.id == "X-1")
    assert item.open
    assert "could not be decided" in item.why


def test_no_data_is_an_error_and_so_is_an_ecosystem_without() -> None:
    components, others = components_of(SBOM, "sbom")
    with pytest.raises(ImagesError, match="nothing was scanned"):
        match(components, others, [])
    with pytest.raises(ImagesError, match=r"no advisories for Debian \(2 packages\), which the bundle has"):
        match(components, others, records(GHSA, NPM))
    found = match(components, others, records(GHSA, NPM), partial=True)
    assert {"libssl3 3.0.14-1~deb12u1", "openssl 3.0.14-1~deb12u1"} <= set(found.unscanned)


def test_a_vex_settles_and_shows_why() -> None:
    said = statement()
    said["vulnerability"] = {"name": "CVE-2023-45803"}
    said["products"] = [{"@id": "pkg:pypi/urllib3@2.0.6"}]
    found = match(*components_of(SBOM, "sbom"), records(*ALL), parse_vex(vex(said), "v"))
    (item,) = (one for one in found.findings if one.id == "CVE-2023-45803")
    assert (item.open, item.status) == (False, "not_affected")
    assert item.why == "vulnerable_code_not_in_execute_path"
    assert [one.id for one in found.failing(Severity.NEGLIGIBLE)] == ["CVE-2024-6119"]


def test_a_vex_for_one_binary_does_not_settle_its_sisters() -> None:
    said = statement(products=[{"@id": LIBSSL.purl}])
    said["vulnerability"] = {"name": "CVE-2024-6119"}
    found = match(*components_of(SBOM, "sbom"), records(*ALL), parse_vex(vex(said), "v"))
    assert found.findings[0].open
    said["products"].append({"@id": "pkg:deb/debian/openssl@3.0.14-1~deb12u1"})  # the source package: both
    found = match(*components_of(SBOM, "sbom"), records(*ALL), parse_vex(vex(said), "v"))
    assert [item.id for item in found.findings if item.open] == ["CVE-2023-45803"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[]",
        b"[" * 100_000,
        b'{"bomFormat":"SPDX"}',
        b'{"bomFormat":"CycloneDX","dependencies":7,"components":[]}',
        b'{"bomFormat":"CycloneDX","dependencies":[],"components":[{"name":"x","version":"1","purl":"pkg:rpm/x@1"}]}',
        b'{"bomFormat":"CycloneDX","dependencies":[],"components":[{"name":"x","version":"1"}]}',
        b'{"bomFormat":"CycloneDX","dependencies":[],"components":[{"name":"x","version":"1","purl":"pkg:deb/debian/x@1"}]}',
    ],
)
def test_a_hostile_bill_of_materials_is_refused(raw: bytes) -> None:
    with pytest.raises(ImagesError, match="^sbom"):
        components_of(raw, "sbom")


class Site:
    """A bundle, advisories and a VEX on disk, and the verb over them."""

    def __init__(self, folder: Path, bundle: SmallBundle, key: PrivateKey) -> None:
        entry = FileEntry(SBOM_NAME, sha256(SBOM), len(SBOM))
        listed = tuple(sorted((*bundle.manifest.files, entry), key=lambda item: item.path))
        made = replace(bundle.with_manifest(files=listed), files={**bundle.files, SBOM_NAME: SBOM})
        self.tar = made.write(folder / "bundle.tar")
        self.bare = bundle.write(folder / "bare.tar")
        self.pub, self.key, self.osv = folder / "pub.pem", key, folder / "osv.zip"
        self.pub.write_bytes(key.public.pem)
        self.dump = folder / "dump"
        self.dump.mkdir()
        for document in ALL:
            (self.dump / f"{document['id']}.json").write_text(json.dumps(document))
        write_osv(self.osv, [self.dump], key, datetime(2026, 6, 1, tzinfo=UTC), QuietProgress())

    def scan(self, *arguments: object, tar: Path | None = None) -> Any:
        return CliRunner().invoke(scan_verb, [str(tar or self.tar), *map(str, arguments)])


@pytest.fixture
def site(tmp_path: Path) -> Site:
    key = PrivateKey.generate()
    return Site(tmp_path, make_bundle(key, layer=b"layer", program=b"program"), key)


def test_the_verb_tells_findings_by_its_exit_code_and_in_json(site: Site) -> None:
    done = site.scan("--osv", site.osv, "--key", site.pub, "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["open"], told["failing"]) == (1, 2, 2)
    assert told["bundle"]["verified"]
    assert (told["data"]["signed"], told["data"]["made"]) == (True, "2026-06-01T00:00:00Z")
    assert told["data"]["ageDays"] >= 0
    done = site.scan("--osv", site.osv, "--key", site.pub)
    assert "CVE-2024-6119" in done.stdout
    assert "days ago" in done.stdout


def test_a_signed_vex_settles_and_an_unsigned_one_is_refused(site: Site, tmp_path: Path) -> None:
    said = [statement(products=[{"@id": name}]) for name in ("pkg:pypi/urllib3", "pkg:deb/debian/openssl")]
    said[0]["vulnerability"], said[1]["vulnerability"] = {"name": "CVE-2023-45803"}, {"name": "CVE-2024-6119"}
    path = tmp_path / "site.vex.json"
    path.write_bytes(vex(*said))
    refused = site.scan("--osv", site.osv, "--key", site.pub, "--vex", path)
    assert (refused.exit_code, "not signed by the key" in str(refused.exception)) == (1, True)
    sign_vex(path, site.key)
    done = site.scan("--osv", site.osv, "--key", site.pub, "--vex", path)
    assert (done.exit_code, "0 open findings" in done.stdout) == (0, True)
    path.write_bytes(path.read_bytes() + b" ")
    assert site.scan("--osv", site.osv, "--key", site.pub, "--vex", path).exit_code == 1


def test_unsigned_data_needs_a_word_and_is_called_so(site: Site) -> None:
    assert site.scan("--osv", site.dump, "--key", site.pub).exit_code == 1
    done = site.scan("--osv", site.dump, "--key", site.pub, "--allow-unsigned")
    assert (done.exit_code, "data      NOT SIGNED" in done.stdout) == (1, True)
    done = site.scan("--osv", site.osv, "--data-key", site.pub)
    assert "NOT VERIFIED" in done.stdout


def test_wrong_usage_is_exit_2_and_no_data_is_no_scan(site: Site, tmp_path: Path) -> None:
    assert site.scan("--key", site.pub).exit_code == 2
    assert site.scan("--osv", site.osv).exit_code == 2
    assert site.scan("--osv", site.osv, "--data-key", site.pub, "--allow-unsigned").exit_code == 2
    (tmp_path / "empty").mkdir()
    done = site.scan("--osv", tmp_path / "empty", "--allow-unsigned")
    assert (done.exit_code, "open findings" in done.output) == (1, False)


def test_a_bundle_without_a_bill_of_materials_is_not_called_clean(site: Site) -> None:
    done = site.scan("--osv", site.osv, "--key", site.pub, tar=site.bare)
    assert (done.exit_code, "older version" in str(done.exception)) == (1, True)


@pytest.mark.parametrize("library", ["semver", "debian.debian_support"])
def test_where_a_library_is_absent_the_verb_says_so_and_scans_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    done = site.scan("--osv", site.osv, "--key", site.pub)
    assert (done.exit_code, "which is not in the gateway image" in str(done.exception)) == (1, True)
    assert done.stdout == ""
