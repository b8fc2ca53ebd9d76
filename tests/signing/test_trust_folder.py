"""A build with a folder of roots makes a bundle that a site with that root accepts, without another step (A7)."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.signing.conftest import NOW, SmallBundle
from tests.signing.trust_parts import Producer, Site

from routeiq_signing.errors import RouteIQError, SigningError, VerificationError
from routeiq_signing.keys import PrivateKey
from routeiq_signing.trust.attach import with_metadata
from routeiq_signing.trust.folder import BuildTrust, write_metadata
from routeiq_signing.trust.make import add_signature
from routeiq_signing.trust.metadata import RELEASE_FILES


@pytest.fixture
def roots(tmp_path: Path, producer: Producer) -> Path:
    folder = tmp_path / "roots"
    folder.mkdir()
    (folder / "1.root.json").write_bytes(producer.root())
    return folder


def built(bundle: SmallBundle, trust: BuildTrust, key: PrivateKey) -> SmallBundle:
    attachments, blobs = trust.attach(bundle.attachments, bundle.manifest, key, NOW)
    return replace(bundle, attachments=attachments, files={**bundle.files, **blobs}, key=key)


def test_a_site_accepts_what_the_build_attached(
    tmp_path: Path, roots: Path, producer: Producer, small_bundle: SmallBundle
) -> None:
    key = producer.release_keys[0]
    trust = BuildTrust.open(roots, key)
    assert trust.lacking == 0
    site = Site(tmp_path)
    site.init(producer.root())
    assert site.verify(site.receive(built(small_bundle, trust, key))).accepted
    assert site.at() == small_bundle.manifest.sequence


def test_the_newest_root_counts(roots: Path, producer: Producer) -> None:
    stolen, key = producer.release_keys
    (roots / "2.root.json").write_bytes(producer.root(2, release=[key]))
    (roots / "notes.txt").write_text("not a root")
    assert BuildTrust.open(roots, key).role.version == 2
    with pytest.raises(SigningError, match=r"2\.root\.json: key .* is no release key of root 2"):
        BuildTrust.open(roots, stolen)


def test_a_root_that_nobody_signed_makes_no_release(roots: Path, producer: Producer) -> None:
    (roots / "2.root.json").write_bytes(producer.root(2, signed_by=producer.root_keys[:1]))
    with pytest.raises(VerificationError, match=r"2\.root\.json"):
        BuildTrust.open(roots, producer.release_keys[0])


def test_two_release_keys_meet_beside_the_tar(
    tmp_path: Path, producer: Producer, small_bundle: SmallBundle
) -> None:
    root = producer.root(release_threshold=2)
    folder = tmp_path / "roots"
    folder.mkdir()
    (folder / "1.root.json").write_bytes(root)
    first, second = producer.release_keys
    trust = BuildTrust.open(folder, first)
    assert trust.lacking == 1
    assert trust.attach(small_bundle.attachments, small_bundle.manifest, first, NOW) == (
        small_bundle.attachments,
        {},
    )
    beside = tmp_path / "x.tar.tuf"
    write_metadata(beside, trust.metadata(small_bundle.manifest, first))
    for name in RELEASE_FILES:
        add_signature(beside / name, second, root)
    metadata = {name: (beside / name).read_bytes() for name in RELEASE_FILES}
    attachments, blobs = with_metadata(small_bundle.attachments, metadata)
    site = Site(tmp_path)
    site.init(root)
    whole = replace(small_bundle, attachments=attachments, files={**small_bundle.files, **blobs}, key=first)
    assert site.verify(site.receive(whole)).accepted


@pytest.mark.parametrize("name", ["none", "empty", "wrong"])
def test_a_folder_without_a_root_is_named(tmp_path: Path, producer: Producer, name: str) -> None:
    folder = tmp_path / name
    if name != "none":
        folder.mkdir()
    if name == "wrong":
        (folder / "1.root.json").write_bytes(b"{}")
    with pytest.raises(RouteIQError, match=name if name != "wrong" else r"1\.root\.json"):
        BuildTrust.open(folder, producer.release_keys[0])
