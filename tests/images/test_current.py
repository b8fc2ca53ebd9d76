"""The registry's current bundle: an older one is refused, and only who is trusted can say what is there (A8, A9)."""

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.images.signed import with_signatures
from tests.signing.conftest import SmallBundle, small_bundle
from tests.signing.trust_parts import Producer, Site, carrying

from routeiq_appliance.cli.main import main
from routeiq_images.blobs import MANIFEST_MEDIA_TYPE
from routeiq_images.site.mirror import MirrorReport, mirror
from routeiq_signing.errors import VerificationError
from routeiq_signing.keys import PrivateKey, PublicKey
from routeiq_signing.progress import QuietProgress
from routeiq_signing.trust.admin import add_roots
from routeiq_signing.trust.site import SiteTrust

__all__ = ["small_bundle"]

NOW = datetime(2026, 6, 1, tzinfo=UTC)
RECORD = ("site/bundles/routeiq", "test")


@pytest.fixture(scope="session")
def key() -> PrivateKey:
    return PrivateKey.generate()


@pytest.fixture(scope="module")
def producer() -> Producer:
    return Producer()


@pytest.fixture
def make(small_bundle: SmallBundle, producer: Producer, tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of tars: sequence and release key → a bundle with its metadata."""

    def tar(sequence: int, signer: int = 0) -> Path:
        plain = small_bundle.with_manifest(sequence=sequence)
        key = producer.release_keys[signer]
        plain = with_signatures(plain, key)
        bundle = carrying(plain, producer.metadata(plain, signed_by=[key]), key)
        return bundle.write(tmp_path / f"{sequence}-{signer}.tar")

    return tar


def run(server: Any, tar: Path, trust: PublicKey | SiteTrust, **options: Any) -> MirrorReport:
    return mirror(
        tar,
        f"{server.host}/site",
        key=trust,
        environ={"HOME": str(tar.parent)},
        progress=QuietProgress(),
        plain_http=True,
        work_dir=tar.parent,
        **options,
    )


def record_of(server: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(server.manifests[RECORD])
    return found


def test_a_mirror_leaves_a_record_that_names_the_bundle(
    registry_server: Any, make: Callable[..., Path], producer: Producer
) -> None:
    report = run(registry_server, make(7), producer.release_keys[0].public)
    record = record_of(registry_server)
    parts = {part["annotations"]["org.opencontainers.image.title"]: part for part in record["layers"]}
    assert sorted(parts)[-3:] == ["snapshot.json", "targets.json", "timestamp.json"]
    identity = base64.b64decode(parts["bundle.json"]["data"])
    assert f"sha256:{hashlib.sha256(identity).hexdigest()}" == report.bundle == parts["bundle.json"]["digest"]
    for part in (record["config"], *record["layers"]):
        assert ("site/bundles/routeiq", part["digest"]) in registry_server.blobs
    assert "bundle" in report.artifacts.values()


@pytest.mark.parametrize("by_root", [False, True])
def test_rollback_of_the_registry(
    by_root: bool, registry_server: Any, make: Callable[..., Path], producer: Producer, tmp_path: Path
) -> None:
    """Another host of the site mirrored a newer bundle: this one's own state does not know of it."""
    site = Site(tmp_path / "host")
    site.init(producer.root(), now=NOW)

    def trust(tar: Path) -> PublicKey | SiteTrust:
        if by_root:
            return SiteTrust.for_tar(site.folder, tar, NOW)
        return producer.release_keys[0].public

    run(registry_server, make(7), trust(make(7)))
    before = dict(registry_server.manifests)
    with pytest.raises(
        VerificationError, match=r"sequence 6 is older than 7, which \S+/site/bundles/routeiq:test"
    ):
        run(registry_server, make(6), trust(make(6)))
    assert registry_server.manifests == before
    report = run(registry_server, make(6), trust(make(6)), allow_rollback="7 loses requests")
    assert any(
        "older than sequence 7, which the registry holds; allowed: 7 loses" in text
        for text in report.warnings
    )
    assert record_of(registry_server)["annotations"]["io.routeiq.rollback"] == "7 loses requests"
    assert run(registry_server, make(8), trust(make(8))).bundle


def test_a_record_by_a_revoked_key_locks_nobody_out(
    registry_server: Any, make: Callable[..., Path], producer: Producer, tmp_path: Path
) -> None:
    stolen, other = producer.release_keys
    run(registry_server, make(2_000_000_000, 0), stolen.public)
    site = Site(tmp_path / "host")
    site.init(producer.root(), now=NOW)
    tar = make(8, 1)
    with pytest.raises(VerificationError, match="older than 2000000000"):
        run(registry_server, tar, SiteTrust.for_tar(site.folder, tar, NOW))
    add_roots(site.folder, {"2": producer.root(2, release=[other])}, NOW)
    report = run(registry_server, tar, SiteTrust.for_tar(site.folder, tar, NOW))
    assert any("signed by nobody who is trusted here; it does not count" in text for text in report.warnings)
    assert record_of(registry_server)["annotations"]["io.routeiq.sequence"] == "8"


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"[]",
        b"{}",
        b'{"layers":1}',
        b'{"layers":[1]}',
        b'{"layers":[{"data":"%"}]}',
        b'{"layers":[{"data":1}]}',
        b'{"layers":' + b"[" * 100_000,
    ],
)
def test_a_broken_record_does_not_count(
    raw: bytes, registry_server: Any, make: Callable[..., Path], producer: Producer
) -> None:
    registry_server.manifests[RECORD] = raw
    report = run(registry_server, make(7), producer.release_keys[0].public)
    assert any("it does not count" in text for text in report.warnings)
    assert record_of(registry_server)["mediaType"] == MANIFEST_MEDIA_TYPE


def test_a_forged_record_does_not_count(
    registry_server: Any, make: Callable[..., Path], producer: Producer
) -> None:
    """The real signature beside another bundle.json."""
    run(registry_server, make(7), producer.release_keys[0].public)
    record = record_of(registry_server)
    for part in record["layers"]:
        if part["annotations"]["org.opencontainers.image.title"] == "bundle.json":
            raw = base64.b64decode(part["data"]).replace(b'"sequence":7', b'"sequence":900')
            part["data"] = base64.b64encode(raw).decode()
    registry_server.manifests[RECORD] = json.dumps(record).encode()
    report = run(registry_server, make(7), producer.release_keys[0].public)
    assert any("it does not count" in text for text in report.warnings)


def test_the_record_moves_last(registry_server: Any, make: Callable[..., Path], producer: Producer) -> None:
    key = producer.release_keys[0].public
    run(registry_server, make(7), key)
    registry_server.faults = [("PUT", "/v2/site/charts/", 400)]
    before = registry_server.manifests[RECORD]
    with pytest.raises(Exception, match="HTTP 400"):
        run(registry_server, make(8), key)
    assert registry_server.manifests[RECORD] == before


def test_the_command_remembers_what_it_mirrored_last(
    registry_server: Any,
    make: Callable[..., Path],
    producer: Producer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = Site(tmp_path / "host")
    site.init(producer.root(), now=NOW)
    monkeypatch.setenv("ROUTEIQ_TRUST_STATE", str(site.folder.path))
    monkeypatch.setenv("HOME", str(tmp_path))

    def type_in(tar: Path) -> Result:
        target = ["--to", f"{registry_server.host}/site", "--root", "--plain-http"]
        return CliRunner().invoke(main, ["bundle", "mirror", str(tar), *target])

    registry_server.faults = [("PUT", "/v2/site/charts/", 400)]
    assert type_in(make(7)).exit_code == 1
    assert site.folder.load().channels == {}  # what did not arrive is not what the site is at
    assert type_in(make(7)).exit_code == 0
    assert site.at() == 7
    refused = type_in(make(6))
    assert refused.exit_code == 1
    assert "sequence 6 is older than 7, which this site has accepted" in refused.stderr
