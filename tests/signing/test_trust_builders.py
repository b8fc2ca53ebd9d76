"""Several builders' signatures over one bundle can be required; each key counts once (A13, A8)."""

from pathlib import Path

import pytest
from tests.signing.conftest import NOW, SmallBundle
from tests.signing.trust_parts import Producer, Site, carrying

from routeiq_signing.bundle_file import pinned, verify_bundle_file
from routeiq_signing.errors import DocumentError, SigningError, VerificationError
from routeiq_signing.keys import PrivateKey
from routeiq_signing.limits import LIMITS
from routeiq_signing.progress import QuietProgress
from routeiq_signing.trust.admin import describe, set_policy
from routeiq_signing.trust.builders import Builders, BuiltBy, builder_signature_path, write_builder_signature
from routeiq_signing.trust.cosign import site_signature_path
from routeiq_signing.trust.document import SitePolicy, TrustState
from routeiq_signing.verify.report import Report
from routeiq_signing.verify.trust import OneKey


@pytest.fixture(scope="module")
def builders() -> list[PrivateKey]:
    return [PrivateKey.generate() for _ in range(3)]


@pytest.fixture
def site(tmp_path: Path, producer: Producer, builders: list[PrivateKey]) -> Site:
    """Two of three builders must have built it."""
    site = Site(tmp_path)
    site.init(producer.root())
    pems = tuple(key.public.pem.decode() for key in builders)
    set_policy(site.folder, SitePolicy(builder_keys=pems, builder_signatures=2), NOW)
    return site


@pytest.fixture
def tar(site: Site, small_bundle: SmallBundle, producer: Producer) -> Path:
    return site.receive(carrying(small_bundle, producer.metadata(small_bundle), producer.release_keys[0]))


def identity(bundle: SmallBundle) -> bytes:
    return bundle.manifest.to_bytes()


def verify_by_key(tar: Path, key: PrivateKey, keys: list[PrivateKey], required: int) -> Report:
    asked = Builders.of([item.public for item in keys], required).beside(tar)
    trust = BuiltBy(OneKey(pinned(key.public)), asked)
    return verify_bundle_file(tar, key=trust, progress=QuietProgress(), now=NOW).report


def test_threshold_missed(
    site: Site, tar: Path, small_bundle: SmallBundle, builders: list[PrivateKey]
) -> None:
    for count in (0, 1):
        with pytest.raises(VerificationError, match=f"signed by {count} of the 2 builders") as caught:
            site.verify(tar)
        assert "bundle rebuild" in str(caught.value.hint)
        assert not site.folder.load().channels
        write_builder_signature(tar, identity(small_bundle), builders[count])
    assert "signed by 2 builders, 2 required" in site.verify(tar).notes


def test_one_key_cannot_ask_for_less(
    bundle_tar: Path, small_bundle: SmallBundle, key: PrivateKey, builders: list[PrivateKey]
) -> None:
    with pytest.raises(VerificationError, match="signed by 0 of the 1 builders"):
        verify_by_key(bundle_tar, key, builders[:1], 1)
    write_builder_signature(bundle_tar, identity(small_bundle), builders[0])
    report = verify_by_key(bundle_tar, key, builders[:1], 1)
    assert "signed by 1 builders, 1 required" in report.notes
    assert "no threshold" in report.lacks


def test_who_signed_the_bundle_is_no_builder_besides(bundle_tar: Path, key: PrivateKey) -> None:
    with pytest.raises(SigningError, match="no second opinion as a builder"):
        verify_by_key(bundle_tar, key, [key, PrivateKey.generate()], 1)


def test_the_same_key_twice_counts_once(
    bundle_tar: Path, small_bundle: SmallBundle, key: PrivateKey, builders: list[PrivateKey]
) -> None:
    with pytest.raises(SigningError, match="2 builders cannot be had from 1 different keys"):
        Builders.of([builders[0].public, builders[0].public], 2)
    write_builder_signature(bundle_tar, identity(small_bundle), builders[0])
    write_builder_signature(bundle_tar, identity(small_bundle), builders[0])
    with pytest.raises(VerificationError, match="signed by 1 of the 2 builders"):
        verify_by_key(bundle_tar, key, [builders[0], builders[0], builders[1]], 2)


def test_one_signature_under_two_names(
    bundle_tar: Path, small_bundle: SmallBundle, key: PrivateKey, builders: list[PrivateKey]
) -> None:
    first = write_builder_signature(bundle_tar, identity(small_bundle), builders[0])
    builder_signature_path(bundle_tar, builders[1].public.keyid).write_bytes(first.read_bytes())
    with pytest.raises(VerificationError, match="not the signature of key"):
        verify_by_key(bundle_tar, key, builders[:2], 2)


def test_a_signature_over_another_digest_is_refused(
    bundle_tar: Path, small_bundle: SmallBundle, key: PrivateKey, builders: list[PrivateKey]
) -> None:
    write_builder_signature(bundle_tar, identity(small_bundle.with_manifest(sequence=6)), builders[0])
    with pytest.raises(VerificationError, match="not the signature of key"):
        verify_by_key(bundle_tar, key, builders[:1], 1)


def test_an_unknown_builder_is_ignored_and_said(
    site: Site, tar: Path, small_bundle: SmallBundle, builders: list[PrivateKey]
) -> None:
    stranger = PrivateKey.generate()
    write_builder_signature(tar, identity(small_bundle), stranger)
    write_builder_signature(tar, identity(small_bundle), builders[0])
    with pytest.raises(VerificationError, match="signed by 1 of the 2 builders"):
        site.verify(tar)
    builder_signature_path(tar, stranger.public.keyid).write_bytes(b"not even read")
    write_builder_signature(tar, identity(small_bundle), builders[1])
    notes = site.verify(tar).notes
    assert f"{stranger.public.keyid[:16]}….builder.json: by a builder that nobody asked for: ignored" in notes


def test_many_strangers_do_not_flood_the_report(
    site: Site, tar: Path, small_bundle: SmallBundle, builders: list[PrivateKey]
) -> None:
    for key in builders[:2]:
        write_builder_signature(tar, identity(small_bundle), key)
    for number in range(100):
        builder_signature_path(tar, f"{number:064x}").write_bytes(b"")
    assert sum("ignored" in note for note in site.verify(tar).notes) == 10


def test_an_endless_signature_is_not_read(
    bundle_tar: Path, key: PrivateKey, builders: list[PrivateKey]
) -> None:
    path = builder_signature_path(bundle_tar, builders[0].public.keyid)
    path.write_bytes(b"{" * (LIMITS.signature + 1))
    with pytest.raises(SigningError, match="more than the 65536 bytes allowed"):
        verify_by_key(bundle_tar, key, builders[:1], 1)


def test_a_co_signature_is_no_builders(
    bundle_tar: Path, small_bundle: SmallBundle, key: PrivateKey, builders: list[PrivateKey]
) -> None:
    made = write_builder_signature(bundle_tar, identity(small_bundle), builders[0])
    made.rename(site_signature_path(bundle_tar, builders[0].public.keyid))
    with pytest.raises(VerificationError, match="signed by 0 of the 1 builders"):
        verify_by_key(bundle_tar, key, builders[:1], 1)


def test_nobody_is_both_a_co_signer_and_a_builder(site: Site, builders: list[PrivateKey]) -> None:
    pem = (builders[0].public.pem.decode(),)
    before = site.folder.load()
    with pytest.raises(DocumentError, match="is a co-signer and a builder"):
        set_policy(site.folder, SitePolicy(site_keys=pem, builder_keys=pem), NOW)
    with pytest.raises(DocumentError, match="2 builders cannot be had from 1 different keys"):
        set_policy(site.folder, SitePolicy(builder_keys=pem, builder_signatures=2), NOW)
    assert site.folder.load() == before


def test_the_policy_is_shown_and_survives(site: Site, builders: list[PrivateKey]) -> None:
    state = site.folder.load()
    assert TrustState.from_bytes(state.to_bytes(), "state.json") == state
    assert describe(state, NOW)["policy"]["builder_signatures"] == "2 of 3 keys"  # type: ignore[index]


def test_a_state_of_before_there_were_builders_is_read(site: Site) -> None:
    import hashlib
    import json

    from routeiq_signing.strict_json import dumps

    body = json.loads(site.folder.load().to_bytes())["body"]
    for name in ("builder_keys", "builder_signatures"):
        del body["policy"][name]
    old = dumps({"body": body, "sha256": hashlib.sha256(dumps(body)).hexdigest()})
    assert TrustState.from_bytes(old, "state.json").policy.builder_signatures == 0


def test_the_builders_of_the_policy_at_recording_count(
    site: Site, tar: Path, small_bundle: SmallBundle, producer: Producer, builders: list[PrivateKey]
) -> None:
    from routeiq_signing.trust.site import SiteTrust

    for key in builders[:2]:
        write_builder_signature(tar, identity(small_bundle), key)
    trust = SiteTrust.for_tar(site.folder, tar, NOW)
    verify_bundle_file(tar, key=trust, progress=QuietProgress(), now=NOW)
    pems = tuple(key.public.pem.decode() for key in builders)
    set_policy(site.folder, SitePolicy(builder_keys=pems, builder_signatures=3), NOW)
    with pytest.raises(VerificationError, match="signed by 2 of the 3 builders"):
        trust.record(site.folder)
    assert not site.folder.load().channels
