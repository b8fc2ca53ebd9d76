"""A delta and an old bundle give the new one byte for byte, or a refusal that names the file and leaves nothing."""

import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.signing.conftest import NOW, SmallBundle, make_bundle
from tests.signing.trust_parts import Producer, Site, carrying

from routeiq_images.carry.apply import Rebuilt, apply_delta, delta_at, verify_delta
from routeiq_images.carry.carried_file import NamedFile, open_file
from routeiq_images.carry.delta import DELTA_MEMBER, Delta
from routeiq_images.carry.delta_write import write_delta
from routeiq_images.errors import ImagesError
from routeiq_signing.bundle_file import verify_bundle_file
from routeiq_signing.errors import RouteIQError, VerificationError
from routeiq_signing.keys import PrivateKey
from routeiq_signing.progress import QuietProgress
from routeiq_signing.tar_format import header, padding

QUIET = QuietProgress()
KEY = PrivateKey.generate()
BIG = bytes(range(256)) * 4096


class Pair:
    """An old and a new bundle that share the layer, and the delta between them."""

    def __init__(self, folder: Path) -> None:
        bundle = make_bundle(KEY, layer=BIG, program=b"old program")
        changed = make_bundle(KEY, layer=BIG, program=b"new program" * 100)
        self.folder = folder
        self.bundle = changed
        self.old = bundle.write(folder / "old.tar")
        self.new = changed.with_manifest(sequence=8).write(folder / "new.tar")
        self.delta = folder / "a.delta"
        self.out = folder / "out" / "new.tar"
        self.made = write_delta(self.old, self.new, self.delta, QUIET)

    def apply(self, key: PrivateKey = KEY) -> None:
        apply_delta(self.old, self.delta, self.out, key=key.public, progress=QUIET, now=NOW)

    def refused(self, match: str, kind: type[RouteIQError] = RouteIQError) -> RouteIQError:
        """`apply` and `verify` say the same, and `apply` leaves nothing."""
        with pytest.raises(kind, match=match):
            verify_delta(self.delta, self.old, key=KEY.public, progress=QUIET, now=NOW)
        with pytest.raises(kind, match=match) as refusal:
            self.apply()
        assert not list(self.out.parent.iterdir()) if self.out.parent.exists() else True
        return refusal.value


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def flip(path: Path, at: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)


def place(tar: Path, name: str) -> int:
    with tarfile.open(tar) as archive:
        return archive.getmember(name).offset_data


def layer_name(tar: Path) -> str:
    with tarfile.open(tar) as archive:
        return next(item.name for item in archive if item.size == len(BIG))


def test_old_and_delta_give_new_byte_for_byte(pair: Pair) -> None:
    pair.apply()
    assert pair.out.read_bytes() == pair.new.read_bytes()
    assert list(pair.out.parent.iterdir()) == [pair.out]
    verified = verify_bundle_file(pair.out, key=KEY.public, progress=QUIET, now=NOW)
    assert verified.report.sequence == 8


def test_a_delta_holds_the_head_and_what_old_lacks_and_nothing_else(pair: Pair) -> None:
    with tarfile.open(pair.delta) as archive:
        names = archive.getnames()
    assert names[:2] == [DELTA_MEMBER, "bundle.json"]
    assert names[-1] == "verify.pyz"
    assert [entry.path for entry in pair.made.files] == ["verify.pyz"]
    assert not [name for name in names if name.startswith("blobs/")]


def test_a_delta_is_a_function_of_the_two_tars(pair: Pair) -> None:
    again = pair.folder / "again.delta"
    write_delta(pair.old, pair.new, again, QUIET)
    assert again.read_bytes() == pair.delta.read_bytes()


def test_verify_writes_nothing_and_reports_the_new_bundle(pair: Pair) -> None:
    before = sorted(pair.folder.iterdir())
    verified = verify_delta(pair.delta, pair.old, key=KEY.public, progress=QUIET, now=NOW)
    assert verified.report.bytes == pair.new.stat().st_size
    assert sorted(pair.folder.iterdir()) == before


def test_back_is_as_good_as_forth(pair: Pair) -> None:
    write_delta(pair.new, pair.old, pair.delta, QUIET)
    apply_delta(pair.new, pair.delta, pair.out, key=KEY.public, progress=QUIET, now=NOW)
    assert pair.out.read_bytes() == pair.old.read_bytes()


def test_several_signers_are_carried(pair: Pair) -> None:
    other = PrivateKey.generate()
    from routeiq_signing.bundle_tar import sign_head, write_bundle_tar

    head = sign_head(pair.bundle.manifest, pair.bundle.attachments, KEY, other)
    write_bundle_tar(pair.new, head, pair.bundle.files, QUIET)
    write_delta(pair.old, pair.new, pair.delta, QUIET)
    with open_file(pair.old) as old, open_file(pair.delta) as delta:
        assert Rebuilt(old, delta).read() == pair.new.read_bytes()


# What is wrong with OLD


def test_a_wrong_old_is_refused_by_name_before_anything_is_read_of_it(pair: Pair) -> None:
    other = make_bundle(KEY, layer=b"other" * 1000, program=b"x").write(pair.folder / "other.tar")
    pair.old = other
    assert "made from" in str(pair.refused("other.tar: is the bundle sha256:", ImagesError).hint)


def test_a_damaged_old_is_refused_and_named(pair: Pair) -> None:
    flip(pair.old, place(pair.old, layer_name(pair.old)) + 70_000)
    assert "old bundle is damaged" in str(pair.refused("taken from the old bundle", VerificationError).hint)


@pytest.mark.parametrize("what", ["header", "padding"])
def test_an_old_that_is_not_in_our_form_is_refused(pair: Pair, what: str) -> None:
    name = "oci-layout"
    start = place(pair.old, name)
    flip(pair.old, start - 512 + 130 if what == "header" else start + 100)
    pair.refused("old.tar: ")


def test_a_truncated_old_is_refused(pair: Pair) -> None:
    pair.old.write_bytes(pair.old.read_bytes()[: place(pair.old, layer_name(pair.old)) + 5])
    pair.refused("old.tar: .*cut off", ImagesError)


def test_a_delta_for_old_is_refused(pair: Pair) -> None:
    shutil.copy(pair.delta, pair.old)
    pair.refused("old.tar: is a delta, and a whole bundle is wanted", ImagesError)


# What is wrong with the delta


def test_another_key_is_refused(pair: Pair) -> None:
    with pytest.raises(VerificationError, match="not signed by the pinned key"):
        pair.apply(PrivateKey.generate())
    assert not list(pair.out.parent.iterdir())


def test_a_whole_bundle_is_no_delta(pair: Pair) -> None:
    pair.delta = pair.new
    assert not delta_at(pair.new)
    pair.refused("new.tar: not a delta", ImagesError)


def test_a_truncated_delta_is_refused(pair: Pair) -> None:
    raw = pair.delta.read_bytes()
    for length in (0, 100, 600, 5000, len(raw) - 10240 - 512, len(raw) - 1):
        pair.delta.write_bytes(raw[:length])
        pair.refused("a.delta")


def test_a_delta_with_something_behind_its_end_is_refused(pair: Pair) -> None:
    with pair.delta.open("ab") as file:
        file.write(b"\0")
    pair.refused("does not end", ImagesError)


def insert(path: Path, before: str, name: str, content: bytes) -> None:
    raw = path.read_bytes()
    at = place(path, before) - 512
    path.write_bytes(
        raw[:at] + header(name, len(content)) + content + bytes(padding(len(content))) + raw[at:]
    )


@pytest.mark.parametrize("name", ["extra", "../../evil", "/etc/evil", "blobs/sha256/" + "0" * 64])
def test_an_extraneous_file_in_a_delta_is_refused(pair: Pair, name: str) -> None:
    insert(pair.delta, "verify.pyz", name, b"x")
    pair.refused(f"verify.pyz|{name}", ImagesError)


def test_a_file_that_neither_has_is_named(pair: Pair) -> None:
    raw = pair.delta.read_bytes()
    at = place(pair.delta, "verify.pyz") - 512
    pair.delta.write_bytes(raw[:at] + bytes(20480))
    pair.refused("lacks verify.pyz, which .*old.tar has not either", ImagesError)


def test_a_changed_file_in_a_delta_is_refused_for_its_digest(pair: Pair) -> None:
    flip(pair.delta, place(pair.delta, "verify.pyz") + 3)
    assert pair.refused("signed is", VerificationError).subject == "verify.pyz"


def test_mix_and_match_of_heads_is_refused(pair: Pair) -> None:
    """The identity of one bundle with the attachments of another: each is signed, together they are not."""
    foreign = make_bundle(KEY, layer=b"l", program=b"p")
    with tarfile.open(foreign.write(pair.folder / "foreign.tar")) as head:
        content = head.extractfile("attachments.json").read()  # type: ignore[union-attr]
    start = place(pair.delta, "attachments.json")
    raw = bytearray(pair.delta.read_bytes())
    raw[start : start + len(content)] = content
    pair.delta.write_bytes(raw)
    pair.refused("attachments.json", VerificationError)


def test_a_huge_head_is_refused_before_it_is_read(pair: Pair) -> None:
    raw = pair.delta.read_bytes()
    start = place(pair.delta, "bundle.json")
    pair.delta.write_bytes(raw[: start - 512] + header("bundle.json", 1 << 32) + bytes(1000))
    pair.refused("more than the", ImagesError)


def test_endless_heads_are_refused(pair: Pair) -> None:
    name = f"bundle.json.{'f' * 64}.sigstore.json"
    pair.delta.write_bytes(
        pair.delta.read_bytes()[:1024] + (header("bundle.json", 1) + b"{".ljust(512, b"\0")) * 500
    )
    pair.refused("carries another bundle", ImagesError)
    pair.delta.write_bytes(pair.delta.read_bytes()[:1024] + (header(name, 1) + b"{".ljust(512, b"\0")) * 500)
    pair.refused("bundle.json", RouteIQError)


@pytest.mark.parametrize(
    "document",
    [
        b"{}",
        b"not json",
        b'{"new":"x","old":"y","schema":"routeiq.delta/v1"}',
        b'{"new":"sha256:%s","old":"sha256:%s","schema":"routeiq.delta/v2"}' % (b"0" * 64, b"0" * 64),
        b'{"new":"sha256:%s","old":"sha256:%s","run":"x","schema":"routeiq.delta/v1"}' % (b"0" * 64, b"0" * 64),
    ],
)  # fmt: skip
def test_a_hostile_delta_document_is_refused(pair: Pair, document: bytes) -> None:
    pair.delta.write_bytes(
        header(DELTA_MEMBER, len(document)) + document + bytes(padding(len(document))) + bytes(10240)
    )
    pair.refused("a.delta", ImagesError)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 30_000), bit=st.integers(0, 7))
def test_any_flipped_bit_of_a_delta_is_refused(pair: Pair, at: int, bit: int) -> None:
    good = pair.delta.read_bytes()
    raw = bytearray(good)
    raw[at % len(raw)] ^= 1 << bit
    pair.delta.write_bytes(raw)
    try:
        with pytest.raises(RouteIQError):
            pair.apply()
        assert not pair.out.exists()
    finally:
        pair.delta.write_bytes(good)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_delta_document_or_a_refusal(raw: bytes) -> None:
    with pytest.raises(ImagesError):
        Delta.from_bytes(raw, "a.delta")


# Places


def test_the_result_must_not_be_what_is_read(pair: Pair) -> None:
    (pair.folder / "link.tar").symlink_to(pair.old)
    for out in (pair.old, pair.delta, pair.folder / "link.tar"):
        with pytest.raises(ImagesError, match="which is read from"):
            apply_delta(pair.old, pair.delta, out, key=KEY.public, progress=QUIET, now=NOW)
    for out in (pair.old, pair.new):
        with pytest.raises(ImagesError, match="which is read from"):
            write_delta(pair.old, pair.new, out, QUIET)


@pytest.mark.parametrize("which", ["old", "delta"])
def test_what_is_no_regular_file_is_not_waited_for(pair: Pair, which: str) -> None:
    fifo = pair.folder / "fifo"
    os.mkfifo(fifo)
    setattr(pair, which, fifo)
    pair.refused("fifo: not a regular file", ImagesError)
    setattr(pair, which, pair.folder / "none")
    pair.refused("none: No such file", ImagesError)


def test_endless_data_is_not_read(pair: Pair) -> None:
    pair.delta = Path("/dev/zero")
    pair.refused("/dev/zero: not a regular file", ImagesError)


def test_a_full_disk_leaves_nothing_and_is_named(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: NamedFile, data: bytes) -> int:
        with self._named():
            raise OSError(28, "No space left on device")

    before = sorted(pair.folder.iterdir())
    monkeypatch.setattr(NamedFile, "write", full)
    with pytest.raises(OSError, match="No space left") as failure:
        pair.apply()
    assert failure.value.filename == str(pair.out)
    with pytest.raises(OSError, match="No space left"):
        write_delta(pair.old, pair.new, pair.folder / "b.delta", QUIET)
    assert [path for path in pair.folder.rglob("*") if path.is_file()] == before


def test_an_earlier_result_stays_when_the_new_one_is_refused(pair: Pair) -> None:
    pair.out.parent.mkdir()
    pair.out.write_bytes(b"earlier")
    flip(pair.delta, place(pair.delta, "verify.pyz"))
    with pytest.raises(VerificationError):
        pair.apply()
    assert pair.out.read_bytes() == b"earlier"


# Making a delta


def test_a_damaged_new_makes_no_delta(pair: Pair) -> None:
    flip(pair.new, place(pair.new, "verify.pyz"))
    with pytest.raises(ImagesError, match="verify.pyz: its content in NEW has the digest"):
        write_delta(pair.old, pair.new, pair.folder / "b.delta", QUIET)
    assert not (pair.folder / "b.delta").exists()


@pytest.mark.parametrize("which", ["old", "new"])
def test_a_delta_that_would_not_give_new_is_not_kept(pair: Pair, which: str) -> None:
    path: Path = getattr(pair, which)
    flip(path, place(path, layer_name(path)) + 9)
    with pytest.raises(ImagesError, match="would not come out the same"):
        write_delta(pair.old, pair.new, pair.folder / "b.delta", QUIET)
    assert not (pair.folder / "b.delta").exists()


# With a site's root: freshness is judged as of any bundle


@pytest.fixture
def site(tmp_path: Path) -> Callable[[SmallBundle, str], Path]:
    producer = Producer()
    place = Site(tmp_path / "site")
    place.init(producer.root())

    def receive(bundle: SmallBundle, name: str) -> Path:
        metadata = producer.metadata(bundle)
        return place.receive(carrying(bundle, metadata, producer.release_keys[0]), name)

    receive.site = place  # type: ignore[attr-defined]
    return receive


def test_a_rollback_by_delta_is_refused_by_the_root(site: Callable[..., Path], tmp_path: Path) -> None:
    from routeiq_signing.trust.site import SiteTrust

    bundle = make_bundle(KEY, layer=b"layer", program=b"p")
    newer = site(bundle.with_manifest(sequence=9), "newer.tar")
    older = site(bundle.with_manifest(sequence=8), "older.tar")
    write_delta(newer, older, tmp_path / "back.delta", QUIET)
    where: Site = site.site  # type: ignore[attr-defined]
    assert where.verify(newer).accepted
    trust = SiteTrust.for_tar(where.folder, older, NOW)
    with pytest.raises(VerificationError, match="sequence 8 is older than 9"):
        apply_delta(newer, tmp_path / "back.delta", tmp_path / "out.tar", key=trust, progress=QUIET, now=NOW)
    assert not (tmp_path / "out.tar").exists()
