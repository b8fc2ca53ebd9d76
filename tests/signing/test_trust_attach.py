"""Metadata joins a bundle that is built already: nobody's signature of what it is gets lost (I15)."""

from dataclasses import replace
from pathlib import Path

from tests.signing.conftest import NOW, SmallBundle
from tests.signing.trust_parts import Producer, Site

from routeiq_signing.bundle_file import pinned, verify_bundle_file
from routeiq_signing.bundle_signers import add_signature
from routeiq_signing.keys import PrivateKey
from routeiq_signing.progress import QuietProgress
from routeiq_signing.trust.attach import attach_metadata
from routeiq_signing.verify.trust import SeveralKeys


def test_other_signers_of_the_bundle_are_kept(small_bundle: SmallBundle, tmp_path: Path) -> None:
    producer, second = Producer(), PrivateKey.generate()
    first = producer.release_keys[0]
    root, metadata = producer.root(), producer.metadata(small_bundle)
    tar = replace(small_bundle, key=first).write(tmp_path / "b.tar")
    add_signature(tar, second, trust=first.public, now=NOW, progress=QuietProgress())
    attach_metadata(tar, root, metadata, first, NOW, QuietProgress())

    both = SeveralKeys([pinned(first.public), pinned(second.public)], 2)
    report = verify_bundle_file(tar, key=both, progress=QuietProgress(), now=NOW).report
    assert set(report.signers) == {first.public.keyid, second.public.keyid}
    site = Site(tmp_path / "site")
    site.init(root)
    assert site.verify(tar).root == 1
