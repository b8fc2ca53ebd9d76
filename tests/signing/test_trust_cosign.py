"""A site's own signature is a second one that must be there, and lies beside the tar (A7, A8)."""

import tarfile
from pathlib import Path

import pytest
from tests.signing.conftest import NOW, SmallBundle
from tests.signing.trust_parts import Producer, Site, carrying

from routeiq_signing.errors import DocumentError, SigningError, VerificationError
from routeiq_signing.keys import PrivateKey
from routeiq_signing.limits import LIMITS
from routeiq_signing.trust.admin import add_roots, set_policy
from routeiq_signing.trust.cosign import site_signature_path, write_site_signature
from routeiq_signing.trust.document import SitePolicy


@pytest.fixture(scope="module")
def reviewers() -> list[PrivateKey]:
    return [PrivateKey.generate() for _ in range(3)]


@pytest.fixture
def site(tmp_path: Path, producer: Producer, reviewers: list[PrivateKey]) -> Site:
    """Two of three reviewers must have signed."""
    site = Site(tmp_path)
    site.init(producer.root())
    pems = tuple(key.public.pem.decode() for key in reviewers)
    set_policy(site.folder, SitePolicy(site_keys=pems, site_signatures=2), NOW)
    return site


@pytest.fixture
def tar(site: Site, small_bundle: SmallBundle, producer: Producer) -> Path:
    return site.receive(carrying(small_bundle, producer.metadata(small_bundle), producer.release_keys[0]))


def identity(bundle: SmallBundle) -> bytes:
    return bundle.manifest.to_bytes()


def test_as_many_as_the_policy_wants(
    site: Site, tar: Path, small_bundle: SmallBundle, reviewers: list[PrivateKey]
) -> None:
    for count in (0, 1):
        with pytest.raises(VerificationError, match=f"co-signed by {count} of the 2 site keys") as caught:
            site.verify(tar)
        assert "routeiq bundle cosign" in str(caught.value.hint)
        write_site_signature(tar, identity(small_bundle), reviewers[count])
    report = site.verify(tar)
    assert "co-signed by 2 site keys, 2 required" in report.notes


def test_a_stranger_does_not_count(
    site: Site, tar: Path, small_bundle: SmallBundle, reviewers: list[PrivateKey]
) -> None:
    write_site_signature(tar, identity(small_bundle), reviewers[0])
    write_site_signature(tar, identity(small_bundle), PrivateKey.generate())
    with pytest.raises(VerificationError, match="co-signed by 1 of the 2"):
        site.verify(tar)


def test_a_signature_of_another_bundle(
    site: Site, tar: Path, small_bundle: SmallBundle, reviewers: list[PrivateKey]
) -> None:
    other = small_bundle.with_manifest(sequence=6)
    for key in reviewers[:2]:
        write_site_signature(tar, identity(other), key)
    with pytest.raises(VerificationError, match="not the signature of key"):
        site.verify(tar)


def test_one_signature_under_two_names(
    site: Site, tar: Path, small_bundle: SmallBundle, reviewers: list[PrivateKey]
) -> None:
    first = write_site_signature(tar, identity(small_bundle), reviewers[0])
    site_signature_path(tar, reviewers[1].public.keyid).write_bytes(first.read_bytes())
    with pytest.raises(VerificationError, match="not the signature of key"):
        site.verify(tar)


def test_the_producers_own_signature_copied_out_of_the_tar_is_no_second_opinion(
    tmp_path: Path, small_bundle: SmallBundle, producer: Producer
) -> None:
    """All signatures of bundle.json have one form, so the roles must have different keys."""
    release, site = producer.release_keys[0], Site(tmp_path)
    site.init(producer.root(release=producer.release_keys[1:]))
    set_policy(
        site.folder, SitePolicy(site_keys=(release.public.pem.decode(),), site_signatures=1), NOW
    )  # no release key yet
    add_roots(site.folder, {"2": producer.root(2)}, NOW)
    tar = site.receive(carrying(small_bundle, producer.metadata(small_bundle), release))
    with tarfile.open(tar) as archive:
        copied = archive.extractfile(f"bundle.json.{release.public.keyid}.sigstore.json")
        assert copied is not None
        site_signature_path(tar, release.public.keyid).write_bytes(copied.read())
    with pytest.raises(VerificationError, match="releases bundles, so it is no second opinion") as caught:
        site.verify(tar)
    assert "trust policy" in str(caught.value.hint)
    for key, policy in (("site_keys", "site_signatures"), ("builder_keys", "builder_signatures")):
        asked = SitePolicy(**{key: (producer.release_keys[1].public.pem.decode(),), policy: 1})
        with pytest.raises(DocumentError, match="releases bundles"):
            set_policy(site.folder, asked, NOW)


def test_an_endless_signature_is_not_read(site: Site, tar: Path, reviewers: list[PrivateKey]) -> None:
    path = site_signature_path(tar, reviewers[0].public.keyid)
    path.write_bytes(b"{" * (LIMITS.signature + 1))
    with pytest.raises(SigningError, match="more than the 65536 bytes allowed"):
        site.verify(tar)
