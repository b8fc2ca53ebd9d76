"""What a hostile carrier may try against a site with a pinned root; each test is one attack (A7, A8).

Names of the attacks are TUF's (specification 1.0.31, section 1.5.2). After each refusal what the site trusts is
unchanged.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.signing.conftest import NOW, SmallBundle, digest, sha256
from tests.signing.trust_parts import Producer, Site, carrying

from routeiq_signing.bundle_file import verify_bundle_file
from routeiq_signing.errors import VerificationError
from routeiq_signing.keys import PrivateKey
from routeiq_signing.limits import LIMITS
from routeiq_signing.manifest import Attachment, FileEntry, blob_path
from routeiq_signing.progress import QuietProgress
from routeiq_signing.trust.admin import add_roots, describe
from routeiq_signing.trust.metadata import RELEASE_FILES

LATER = datetime(2027, 6, 1, tzinfo=UTC)
Make = Callable[..., SmallBundle]


@pytest.fixture(scope="module")
def make(small_bundle: SmallBundle, producer: Producer) -> Make:
    """Return a maker of bundles that a site would take: sequence → bundle with its metadata."""

    def bundle(sequence: int, key: PrivateKey | None = None, **metadata: object) -> SmallBundle:
        plain = small_bundle.with_manifest(sequence=sequence)
        key = key or producer.release_keys[0]
        return carrying(plain, producer.metadata(plain, signed_by=[key], **metadata), key)  # type: ignore[arg-type]

    return bundle


@pytest.fixture
def site(tmp_path: Path, producer: Producer) -> Site:
    site = Site(tmp_path)
    site.init(producer.root())
    return site


def refuse(site: Site, tar: Path, message: str, step: int, **options: object) -> VerificationError:
    before = site.folder.file.read_bytes()
    with pytest.raises(VerificationError, match=message) as caught:
        site.verify(tar, **options)  # type: ignore[arg-type]
    assert caught.value.step == step
    assert site.folder.file.read_bytes() == before
    return caught.value


def test_a_good_bundle_is_taken_and_remembered(site: Site, make: Make) -> None:
    report = site.verify(site.receive(make(7)))
    assert report.accepted
    assert report.root == 1
    assert report.trust == "root 1: release keys 1 of 2, root keys 2 of 3"
    assert (report.lacks, report.warnings) == ([], [])
    assert "created 151 days ago" in report.notes[0]
    assert site.at() == 7
    assert site.verify(site.receive(make(7))).accepted  # the same one again
    assert site.verify(site.receive(make(9))).accepted
    assert site.at() == 9


def test_the_bundle_verifies_with_one_pinned_key_too(site: Site, make: Make, producer: Producer) -> None:
    tar = site.receive(make(7))
    report = verify_bundle_file(
        tar, key=producer.release_keys[0].public, progress=QuietProgress(), now=NOW
    ).report
    assert report.lacks == ["no rollback protection", "no revocation", "no threshold"]
    assert report.warnings == ["one pinned key: no rollback protection, no revocation, no threshold"]


def test_rollback_to_an_older_bundle(site: Site, make: Make) -> None:
    site.verify(site.receive(make(7)))
    error = refuse(site, site.receive(make(6)), r"sequence 6 is older than 7, .* channel test", 4)
    assert "--allow-rollback" in str(error.hint)


def test_rollback_is_refused_before_the_long_read(site: Site, make: Make) -> None:
    site.verify(site.receive(make(7)))
    tar = site.receive(make(6))
    tar.write_bytes(tar.read_bytes()[:-50_000])  # cut off: a verifier that reads on would say so
    refuse(site, tar, "sequence 6 is older than 7", 4)


def test_rollback_of_a_renewed_expiry(site: Site, make: Make) -> None:
    """The same bundle with the metadata of before its renewal is an older statement."""
    site.verify(site.receive(make(7, renewal=2)))
    refuse(site, site.receive(make(7, renewal=1)), "older than what was accepted: .*7001 .*7002", 4)
    assert site.verify(site.receive(make(7, renewal=3))).accepted


def test_rollback_allowed_with_a_reason_is_logged(site: Site, make: Make) -> None:
    site.verify(site.receive(make(7)))
    report = site.verify(site.receive(make(6)), allow_rollback="7 loses requests")
    assert "older than what this site had accepted; allowed: 7 loses requests" in report.warnings
    assert site.at() == 6
    last = site.folder.journal.read_text().splitlines()[-1]
    assert '"event": "rollback allowed", "reason": "7 loses requests", "sequence": 6' in last


def test_freeze_with_expired_metadata(site: Site, make: Make) -> None:
    tar = site.receive(make(7, expires="2026-12-31T00:00:00Z"))
    assert site.verify(tar).accepted
    refuse(site, tar, "expired metadata: timestamp.json is expired", 5, now=LATER)
    assert site.verify(site.receive(make(7, expires="2028-01-01T00:00:00Z", renewal=1)), now=LATER).accepted


def test_freeze_with_the_clock_set_back(site: Site, make: Make) -> None:
    """The clock is the later one of the system's and the last that was seen."""
    tar = site.receive(make(7, expires="2026-12-31T00:00:00Z"), "frozen.tar")
    site.verify(site.receive(make(6)), now=LATER)
    refuse(site, tar, "expired metadata", 5, now=NOW)
    report = site.verify(site.receive(make(7)), now=NOW)
    assert (
        "the clock is set back: judged by 2027-06-01T00:00:00Z, the last time that was seen"
        in report.warnings
    )


def test_freeze_with_an_expired_bundle(site: Site, small_bundle: SmallBundle, producer: Producer) -> None:
    old = small_bundle.with_manifest(expires="2026-05-01T00:00:00Z")
    tar = site.receive(carrying(old, producer.metadata(old), producer.release_keys[0]))
    refuse(site, tar, "bundle.json: expired on 2026-05-01T00:00:00Z", 5)


def test_freeze_with_an_expired_root(tmp_path: Path, producer: Producer, make: Make) -> None:
    site = Site(tmp_path)
    site.init(producer.root(expires="2027-01-01T00:00:00Z"))
    report = site.verify(site.receive(make(7)), now=datetime(2026, 11, 1, tzinfo=UTC))
    assert "the root expires on 2027-01-01T00:00:00Z: ask the producer for the next one" in report.warnings
    error = refuse(site, site.receive(make(8)), "the site's root 1 expired on 2027-01-01", 5, now=LATER)
    assert "trust update" in str(error.hint)


def test_mix_and_match_of_metadata_and_bundle(
    site: Site, small_bundle: SmallBundle, producer: Producer
) -> None:
    """The metadata of bundle 8 beside bundle 7, whose signature is as good."""
    newer = producer.metadata(small_bundle.with_manifest(sequence=8))
    tar = site.receive(carrying(small_bundle, newer, producer.release_keys[0]))
    refuse(site, tar, "targets.json: speaks of bundle.json sha256:", 4)


@pytest.mark.parametrize("name", RELEASE_FILES)
def test_mix_and_match_within_the_metadata(
    name: str, site: Site, small_bundle: SmallBundle, producer: Producer
) -> None:
    files = producer.metadata(small_bundle)
    files[name] = producer.metadata(small_bundle.with_manifest(sequence=8))[name]
    tar = site.receive(carrying(small_bundle, files, producer.release_keys[0]))
    refuse(site, tar, r"mixed metadata|says more or other", 3)


def test_two_bundles_of_one_sequence(
    site: Site, make: Make, small_bundle: SmallBundle, producer: Producer
) -> None:
    site.verify(site.receive(make(7)))
    twin = small_bundle.with_manifest(sequence=7, version="0.1.1")
    tar = site.receive(carrying(twin, producer.metadata(twin), producer.release_keys[0]))
    refuse(site, tar, "another bundle with sequence 7 was accepted before", 4)
    with pytest.raises(VerificationError, match="another bundle with sequence 7 was accepted before"):
        site.verify(tar, allow_rollback="a rollback leads to an older bundle, not to a twin")
    assert site.verify(site.receive(make(7)), allow_rollback="the same one again").accepted


def test_the_sequence_of_metadata_and_bundle_differ(
    site: Site, small_bundle: SmallBundle, producer: Producer
) -> None:
    files = producer.metadata(small_bundle, sequence=99)
    tar = site.receive(carrying(small_bundle, files, producer.release_keys[0]))
    refuse(site, tar, "targets.json: version 99, bundle.json has sequence 7", 4)


def test_another_channel(site: Site, make: Make, small_bundle: SmallBundle, producer: Producer) -> None:
    site.verify(site.receive(make(7)))
    other = small_bundle.with_manifest(channel="development", sequence=99)
    tar = site.receive(carrying(other, producer.metadata(other), producer.release_keys[0]))
    refuse(site, tar, "of channel development, this site takes test", 4)


def test_arbitrary_software_by_an_unknown_key(site: Site, make: Make) -> None:
    refuse(site, site.receive(make(8, key=PrivateKey.generate())), "not signed by any of the keys", 2)


def test_arbitrary_software_under_a_real_head(
    site: Site, small_bundle: SmallBundle, producer: Producer, make: Make
) -> None:
    """Own metadata inside a bundle that a release key signed."""
    mallory = PrivateKey.generate()
    files = producer.metadata(small_bundle, signed_by=[mallory])
    tar = site.receive(carrying(small_bundle, files, producer.release_keys[0]))
    refuse(site, tar, r"timestamp was signed by 0/1 keys, which root 1 does not take", 2)


def test_a_bundle_without_metadata(site: Site, small_bundle: SmallBundle, producer: Producer) -> None:
    tar = site.receive(small_bundle.signed_by(producer.release_keys[0]))
    error = refuse(site, tar, "carries no TUF metadata", 4)
    assert "trust attach" in str(error.hint)


@pytest.mark.parametrize("name", RELEASE_FILES)
def test_endless_data(name: str, site: Site, small_bundle: SmallBundle, producer: Producer) -> None:
    """What is larger than its cap is refused by its size, before it is kept or parsed."""
    files = producer.metadata(small_bundle)
    files[name] = b"{" + b" " * LIMITS.tuf_metadata
    tar = site.receive(carrying(small_bundle, files, producer.release_keys[0]))
    refuse(
        site, tar, f"{name}: {LIMITS.tuf_metadata + 1} bytes, more than the {LIMITS.tuf_metadata} allowed", 1
    )


def test_metadata_attached_twice(site: Site, small_bundle: SmallBundle, producer: Producer) -> None:
    key = producer.release_keys[0]
    good = carrying(small_bundle, producer.metadata(small_bundle), key)
    again = b'{"second":"targets"}'
    said = replace(
        good.attachments,
        attachments=(
            *good.attachments.attachments,
            Attachment(
                "tuf-metadata", "targets.json", good.attachments.bundle, "x/y", digest(again), len(again)
            ),
        ),
        files=tuple(
            sorted(
                (*good.attachments.files, FileEntry(blob_path(digest(again)), sha256(again), len(again))),
                key=lambda entry: entry.path,
            )
        ),
    )
    bad = replace(good, attachments=said, files={**good.files, blob_path(digest(again)): again})
    refuse(site, site.receive(bad), "targets.json: attached twice or unknown", 7)


def test_threshold_not_met(tmp_path: Path, small_bundle: SmallBundle, producer: Producer) -> None:
    site = Site(tmp_path)
    site.init(producer.root(release_threshold=2))
    one, both = producer.release_keys[:1], producer.release_keys
    tar = site.receive(carrying(small_bundle, producer.metadata(small_bundle, signed_by=one), one[0]))
    refuse(site, tar, "timestamp was signed by 1/2 keys", 2)
    tar = site.receive(carrying(small_bundle, producer.metadata(small_bundle, signed_by=both), one[0]))
    assert site.verify(tar).trust == "root 1: release keys 2 of 2, root keys 2 of 3"


def test_threshold_not_met_by_signing_twice(
    tmp_path: Path, small_bundle: SmallBundle, producer: Producer
) -> None:
    """One signature under the names of two keys."""
    site = Site(tmp_path)
    site.init(producer.root(release_threshold=2))
    first, second = producer.release_keys
    files = {}
    for name, raw in producer.metadata(small_bundle, signed_by=[first]).items():
        signature = raw.split(b'"sig":"')[1].split(b'"')[0]
        listed = b",".join(
            b'{"keyid":"%s","sig":"%s"}' % (keyid.encode(), signature)
            for keyid in sorted((first.public.keyid, second.public.keyid))
        )
        files[name] = b'{"signatures":[' + listed + b"]," + raw[raw.index(b'"signed"') :]
    tar = site.receive(carrying(small_bundle, files, first))
    refuse(site, tar, "timestamp was signed by 1/2 keys", 2)


def test_key_compromise_and_recovery(site: Site, make: Make, producer: Producer) -> None:
    """Root 2 leaves the stolen release key out: what it signs is refused from then on."""
    stolen, other = producer.release_keys
    site.verify(site.receive(make(7, key=stolen)))
    add_roots(site.folder, {"2": producer.root(2, release=[other])}, NOW)
    refuse(site, site.receive(make(8, key=stolen)), "not signed by the pinned key", 2)
    report = site.verify(site.receive(make(8, key=other)))
    assert report.root == 2


def test_fast_forward_cannot_lock_out_after_key_recovery(site: Site, make: Make, producer: Producer) -> None:
    """A stolen key pushed the sequence up as far as it goes; once it is revoked the sequence starts anew."""
    stolen, other = producer.release_keys
    site.verify(site.receive(make(7, key=other)))
    site.verify(site.receive(make(2_000_000_000, key=stolen)))
    refuse(site, site.receive(make(8, key=other)), "sequence 8 is older than 2000000000", 4)
    state = add_roots(site.folder, {"2": producer.root(2, release=[other])}, NOW)
    assert "the sequence no longer counts" in str(describe(state, NOW)["channels"])
    report = site.verify(site.receive(make(8, key=other)))
    assert "keys were revoked since the last bundle: its sequence no longer counts" in report.notes
    assert site.at() == 8
    refuse(site, site.receive(make(7, key=other)), "sequence 7 is older than 8", 4)


def test_a_new_release_key_does_not_open_a_rollback(site: Site, make: Make, producer: Producer) -> None:
    """While the key that signed the last bundle stays, its sequence counts under the new root."""
    kept, added = producer.release_keys[0], PrivateKey.generate()
    site.verify(site.receive(make(7, key=kept)))
    add_roots(site.folder, {"2": producer.root(2, release=[kept, added])}, NOW)
    refuse(site, site.receive(make(6, key=added)), "sequence 6 is older than 7", 4)


def test_too_old_for_the_policy(site: Site, make: Make) -> None:
    from routeiq_signing.trust.admin import set_policy
    from routeiq_signing.trust.document import SitePolicy

    set_policy(site.folder, SitePolicy(max_age_days=100), NOW)
    refuse(site, site.receive(make(7)), "151 days old, the site's policy allows 100", 5)


def test_what_was_judged_is_judged_again_when_it_is_recorded(site: Site, make: Make, tmp_path: Path) -> None:
    """Two verifications at once: the older bundle cannot be written over the newer."""
    from routeiq_signing.trust.site import SiteTrust

    old, new = site.receive(make(6), "old.tar"), site.receive(make(7), "new.tar")
    slow = SiteTrust.for_tar(site.folder, old, NOW)
    verify_bundle_file(old, key=slow, progress=QuietProgress(), now=NOW)
    site.verify(new)
    with pytest.raises(VerificationError, match="sequence 6 is older than 7"):
        slow.record(site.folder)
    assert site.at() == 7
