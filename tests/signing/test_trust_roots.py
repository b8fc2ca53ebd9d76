"""A site pins its first root by fingerprint and follows it step by step (A7, I)."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.signing.conftest import NOW, sha256
from tests.signing.trust_parts import FAR, Producer, Site
from tuf.api.exceptions import DownloadHTTPError
from tuf.api.metadata import Metadata, Root
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from routeiq_signing.errors import DocumentError, SigningError, TrustStateError, VerificationError
from routeiq_signing.keys import PrivateKey
from routeiq_signing.strict_json import dumps
from routeiq_signing.trust.admin import add_roots, fingerprint, initialise
from routeiq_signing.trust.make import make_root
from routeiq_signing.trust.metadata import RELEASE_FILES, Release, read_release, read_root, release_file


@pytest.fixture
def site(tmp_path: Path, producer: Producer) -> Site:
    site = Site(tmp_path)
    site.init(producer.root())
    return site


def pinned(site: Site) -> int:
    return read_root(site.folder.load().root.encode())[1].version


def refuse(site: Site, roots: dict[str, bytes], message: str) -> None:
    before = site.folder.file.read_bytes()
    with pytest.raises(VerificationError, match=message):
        add_roots(site.folder, roots, NOW)
    assert site.folder.file.read_bytes() == before


def test_python_tuf_reads_a_root_as_any_other(producer: Producer) -> None:
    root = Metadata[Root].from_bytes(producer.root())
    root.verify_delegate("root", root)
    assert root.signed.spec_version.startswith("1.0.")
    assert root.signed.roles["root"].threshold == 2


def test_another_fingerprint_pins_nothing(tmp_path: Path, producer: Producer) -> None:
    site, root = Site(tmp_path), producer.root()
    for given_one in ("0" * 64, fingerprint(root)[:32], ""):
        with pytest.raises(VerificationError, match="not the one given"):
            initialise(site.folder, root, "1.root.json", given_one, (), NOW)
    assert not site.folder.file.exists()


def test_a_fingerprint_may_be_written_as_it_was_read_out(tmp_path: Path, producer: Producer) -> None:
    site, root = Site(tmp_path), producer.root()
    spoken = ":".join(fingerprint(root)[at : at + 4].upper() for at in range(0, 64, 4)) + "\n"
    initialise(site.folder, root, "1.root.json", spoken, (), NOW)
    assert pinned(site) == 1


def test_a_root_that_lacks_its_own_threshold_is_not_pinned(tmp_path: Path, producer: Producer) -> None:
    site, root = Site(tmp_path), producer.root(signed_by=producer.root_keys[:1])
    with pytest.raises(VerificationError, match="signed by 1/2 keys"):
        initialise(site.folder, root, "1.root.json", fingerprint(root), (), NOW)
    assert not site.folder.file.exists()


def test_a_second_init_is_refused(site: Site, producer: Producer) -> None:
    """Else whoever may type a command could put his own root in the place of the pinned one."""
    with pytest.raises(TrustStateError, match="trusts a root already"):
        site.init(Producer().root())


def test_an_expired_root_is_not_pinned(tmp_path: Path, producer: Producer) -> None:
    with pytest.raises(VerificationError, match="expired on 2026-01-01"):
        Site(tmp_path).init(producer.root(expires="2026-01-01T00:00:00Z"))


def test_a_chain_of_roots_is_followed_in_any_order(site: Site, producer: Producer) -> None:
    old, new = producer.root_keys, [PrivateKey.generate() for _ in range(3)]
    second = producer.root(2, keys=new, signed_by=[*old[:2], *new[:2]])
    third = producer.root(3, keys=new, signed_by=new[:2])
    add_roots(site.folder, {"3": third, "2": second, "1": producer.root()}, NOW)
    assert pinned(site) == 3
    event = json.loads(site.folder.journal.read_text().splitlines()[-1])
    assert (event["event"], event["root"]) == ("root", 3)


def test_a_root_not_signed_by_its_predecessor(site: Site, producer: Producer) -> None:
    new = [PrivateKey.generate() for _ in range(3)]
    for signed_by in (new, [*new[:2], producer.root_keys[0]]):  # by none and by one of the two that it takes
        root = producer.root(2, keys=new, signed_by=signed_by)
        refuse(site, {"2": root}, "2: not signed by the thresholds of root 1 and of itself")


def test_a_root_not_signed_by_itself(site: Site, producer: Producer) -> None:
    """Else a mistake in the ceremony would hand the site to keys that nobody has."""
    new = [PrivateKey.generate() for _ in range(3)]
    root = producer.root(2, keys=new, signed_by=[*producer.root_keys[:2], new[0]])
    refuse(
        site, {"2": root}, r"not signed by the thresholds of root 1 and of itself \(root was signed by 1/2"
    )


def test_a_skipped_root(site: Site, producer: Producer) -> None:
    refuse(site, {"3": producer.root(3)}, "3: is root 3, the next one is 2")


def test_an_older_root(site: Site, producer: Producer) -> None:
    add_roots(site.folder, {"2": producer.root(2)}, NOW)
    refuse(site, {"1": producer.root()}, "root 1: not newer than root 2, which is pinned")


def test_another_root_of_the_same_number(site: Site, producer: Producer) -> None:
    add_roots(site.folder, {"2": producer.root(2)}, NOW)
    refuse(site, {"2": producer.root(2, threshold=3)}, "2: another root 2 is pinned")


def test_a_chain_with_one_bad_link_changes_nothing(site: Site, producer: Producer) -> None:
    good, bad = producer.root(2), producer.root(3, signed_by=producer.root_keys[:1])
    refuse(site, {"2": good, "3": bad}, "3: not signed by the thresholds of root 2")


def test_an_expired_root_still_leads_to_its_successor(tmp_path: Path, producer: Producer) -> None:
    site = Site(tmp_path)
    site.init(producer.root(expires="2026-12-31T00:00:00Z"))
    add_roots(site.folder, {"2": producer.root(2)}, datetime(2028, 1, 1, tzinfo=UTC))
    assert pinned(site) == 2


def rewritten(raw: bytes, signer: PrivateKey | None = None, **changes: object) -> bytes:
    document = json.loads(raw)
    document["signed"].update(changes)
    return dumps(document)


def test_one_key_under_two_names_does_not_count_twice(producer: Producer) -> None:
    """python-tuf takes any name for a key; a threshold of two would be one person's."""
    raw = producer.root()
    keys = json.loads(raw)["signed"]["keys"]
    first = producer.root_keys[0].public.keyid
    with pytest.raises(DocumentError, match="does not stand under its own digest"):
        read_root(rewritten(raw, keys={**keys, "f" * 64: keys[first]}))


@pytest.mark.parametrize(
    "changes",
    [
        {"x": "more"},
        {"consistent_snapshot": True},
        {"spec_version": "1.0.0"},
        {"version": True},
        {"expires": "2099-1-1T00:00:00Z"},
        {"keys": {}},
        {"roles": {}},
        {"_type": "targets"},
    ],
)
def test_a_root_that_says_more_or_other_than_its_form(producer: Producer, changes: dict[str, object]) -> None:
    with pytest.raises(DocumentError):
        read_root(rewritten(producer.root(), **changes))


def test_metadata_with_another_spelling_is_refused(producer: Producer) -> None:
    raw = producer.root()
    for spelled in (raw + b"\n", raw.replace(b",", b", ", 1), json.dumps(json.loads(raw), indent=1).encode()):
        with pytest.raises(DocumentError):
            read_root(spelled)


PRODUCER = Producer()
ROOT = PRODUCER.root()
RELEASE = Release(7, 0, FAR, "a" * 64, 100)
METADATA = {
    name: release_file(name, RELEASE).signed_by(PRODUCER.release_keys[0]).to_bytes() for name in RELEASE_FILES
}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**60) | st.text(max_size=5) | st.just(FAR),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)


def read_all(raw: bytes) -> None:
    """Read `raw` as each kind of file: it ends in our error, not in python-tuf's or Python's."""
    for read in (lambda: read_root(raw), lambda: read_release(dict.fromkeys(RELEASE_FILES, raw))):
        with suppress(DocumentError):
            read()


@given(st.binary(max_size=200), st.integers(0, 5000), st.binary(min_size=1, max_size=3))
def test_any_bytes_are_a_document_error(noise: bytes, at: int, damage: bytes) -> None:
    read_all(noise)
    at %= len(ROOT)
    read_all(ROOT[:at] + damage + ROOT[at + 1 :])


def places(document: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) in the document."""
    keys: Any = (
        document if isinstance(document, dict) else range(len(document) if isinstance(document, list) else 0)
    )
    found = [(document, key) for key in keys]
    return found + [place for key in keys for place in places(document[key])]


@given(st.integers(0, 2), st.integers(0, 10_000), ANYTHING)
def test_any_value_in_any_place_is_a_document_error(which: int, at: int, value: object) -> None:
    files = {"root": ROOT, **METADATA}
    name = ("root", "timestamp.json", "targets.json")[which]
    document = json.loads(files[name])
    container, key = places(document)[at % len(places(document))]
    unchanged = type(container[key]) is type(value) and container[key] == value
    container[key] = value
    try:
        changed = dumps(document)
    except DocumentError:
        return
    with suppress(DocumentError):
        if name == "root":
            read_root(changed)
        else:
            read_release({**METADATA, name: changed})
        assert unchanged or MAY_DIFFER.search(f"{key}")


# What may differ in one form: a signature's bytes, a threshold, a version, an expiry, the digest and the length.
MAY_DIFFER = re.compile(r"\A(?:sig|keyid|threshold|version|expires|sha256|length|signatures|keyids|\d+)\Z")


def test_a_key_has_one_role(producer: Producer) -> None:
    public = [key.public for key in producer.root_keys]
    with pytest.raises(SigningError, match="is a root key and a release key"):
        make_root(
            root_keys=public,
            threshold=2,
            release_keys=public[:1],
            release_threshold=1,
            previous=None,
            expires=FAR,
        )


@pytest.mark.parametrize("threshold", [0, 4])
def test_a_threshold_that_cannot_be_met(producer: Producer, threshold: int) -> None:
    with pytest.raises(DocumentError, match=f"a threshold of {threshold} cannot be met by 3 different keys"):
        producer.root(threshold=threshold)


def test_python_tufs_own_client_follows_the_metadata(tmp_path: Path, producer: Producer) -> None:
    """The files are real TUF: its Updater finds the newest bundle.json through two roots."""
    identity = b'{"any":"bundle.json"}'
    release = Release(7, 0, FAR, sha256(identity), len(identity))
    served = {
        name: release_file(name, release).signed_by(producer.release_keys[1]).to_bytes()
        for name in RELEASE_FILES
    }
    served |= {"2.root.json": producer.root(2, release=producer.release_keys[1:]), "bundle.json": identity}

    class Medium(FetcherInterface):
        def _fetch(self, url: str) -> Iterator[bytes]:
            name = url.removeprefix("medium:/").lstrip("/")
            if name not in served:
                raise DownloadHTTPError(f"no {name}", 404)
            return iter([served[name]])

    folder = tmp_path / "client"
    folder.mkdir()
    client = Updater(
        str(folder), "medium:/", str(folder), "medium:/", Medium(),
        UpdaterConfig(prefix_targets_with_hash=False), bootstrap=producer.root(),
    )  # fmt: skip
    client.refresh()
    found = client.get_targetinfo("bundle.json")
    assert found is not None
    assert Path(client.download_target(found)).read_bytes() == identity
