"""What differs between two bundles is found down to the line, and neither tar is believed."""

import gzip
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.images.rebuild_parts import bundle_of, layer_of
from tests.signing.conftest import SmallBundle, make_bundle, sha256

from routeiq_images.compare.diff import diff_bundles
from routeiq_images.compare.diff_report import Difference
from routeiq_images.compare.diff_tar import BundleTar, DiffLimits
from routeiq_images.compare.diff_text import line_changes, printable, value_changes
from routeiq_images.errors import ImagesError
from routeiq_signing.keys import PrivateKey
from routeiq_signing.progress import QuietProgress

FILES = {"etc/a": b"1\n2\n3\n", "etc/b": b"b", "usr/l@": b"a", "x.pyc": b"\0\1"}


@pytest.fixture(scope="module")
def key() -> PrivateKey:
    return PrivateKey.generate()


def compare(one: SmallBundle, two: SmallBundle, folder: Path, limits: DiffLimits | None = None) -> Difference:
    tars = [
        BundleTar(bundle.write(folder / f"{name}.tar"), QuietProgress())
        for name, bundle in (("a", one), ("b", two))
    ]
    return diff_bundles(tars[0], tars[1], limits or DiffLimits())


def layered(key: PrivateKey, layer: bytes) -> SmallBundle:
    return make_bundle(key, layer=layer, program=b"verifier")


def test_two_builds_with_different_keys_are_identical(key: PrivateKey, tmp_path: Path) -> None:
    one = bundle_of(key, FILES)
    found = compare(one, one.signed_by(PrivateKey.generate()), tmp_path)
    assert found.identical
    assert found.to_text() == "identical"


def test_a_changed_line_of_a_file_in_a_layer(key: PrivateKey, tmp_path: Path) -> None:
    found = compare(bundle_of(key, FILES), bundle_of(key, {**FILES, "etc/a": b"1\nTWO\n3\n"}), tmp_path)
    (change,) = (change for change in found.changes if change.path == "etc/a")
    assert change.kind == "changed"
    assert change.where.startswith("image routeiq-gateway: layer")
    assert {"-2", "+TWO"} <= set(change.lines)
    assert change.fields["sha256"] == (sha256(b"1\n2\n3\n"), sha256(b"1\nTWO\n3\n"))
    assert "+TWO" in found.to_text()
    assert found.to_json()["identical"] is False


def test_files_that_come_go_and_point_elsewhere(key: PrivateKey, tmp_path: Path) -> None:
    other = {"etc/a": FILES["etc/a"], "etc/new": b"n", "usr/l@": b"b", "x.pyc": b"\0\2"}
    found = {
        change.path: change
        for change in compare(bundle_of(key, FILES), bundle_of(key, other), tmp_path).changes
    }
    assert found["etc/b"].kind == "removed"
    assert found["etc/new"].kind == "added"
    assert found["usr/l"].fields == {"target": ("a", "b")}
    assert "bytecode" in found["x.pyc"].note
    assert found["x.pyc"].lines == ()


def test_modes_and_times_are_named(key: PrivateKey, tmp_path: Path) -> None:
    one, two = layered(key, layer_of({"a": b"x"})), layered(key, layer_of({"a": b"x"}, mode=0o755, mtime=7))
    (change,) = (change for change in compare(one, two, tmp_path).changes if change.path == "a")
    assert change.fields == {"mode": ("0644", "0755"), "mtime": ("0", "7")}


def test_the_same_files_compressed_otherwise(key: PrivateKey, tmp_path: Path) -> None:
    layer = layer_of(FILES)
    other = gzip.compress(gzip.decompress(layer), compresslevel=1, mtime=5)
    found = compare(layered(key, layer), layered(key, other), tmp_path)
    assert [change.note for change in found.changes if change.path == "(tar)"] == [
        "the same files: written or compressed in another way"
    ]


def test_a_layer_that_is_not_gzip_is_compared_by_digest(key: PrivateKey, tmp_path: Path) -> None:
    found = compare(layered(key, b"zstd?"), layered(key, layer_of(FILES)), tmp_path)
    assert "not gzip: compared by digest only" in found.to_text()


def test_fields_models_and_locks_are_named(key: PrivateKey, tmp_path: Path) -> None:
    one = bundle_of(key, FILES)
    (model,) = one.manifest.models
    changed = replace(model, files=(replace(model.files[0], path="v.bin"),))
    two = one.with_manifest(sequence=9, models=(changed,), locks=())
    said = {(change.where, change.path, change.kind) for change in compare(one, two, tmp_path).changes}
    assert ("bundle.json", "sequence", "changed") in said
    assert any(where == "bundle.json" and path.startswith("locks") for where, path, _ in said)
    assert {("model m", "v.bin", "added"), ("model m", "w.bin", "removed")} <= said


def test_a_forged_content_is_a_difference(key: PrivateKey, tmp_path: Path) -> None:
    one = bundle_of(key, FILES)
    good = one.write(tmp_path / "a.tar")
    bad = tmp_path / "b.tar"
    bad.write_bytes(good.read_bytes().replace(b"weights", b"w3ights"))
    found = diff_bundles(BundleTar(good, QuietProgress()), BundleTar(bad, QuietProgress()))
    assert [(change.kind, change.note) for change in found.changes] == [("unsound", "damaged or forged")]
    assert "b.tar against its own bundle.json" in found.to_text()


@pytest.mark.parametrize("raw", [b"", b"x" * 4096, b"\x1f\x8b" + bytes(600)], ids=["empty", "text", "gzip"])
def test_what_is_no_bundle_is_refused_by_name(key: PrivateKey, tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "no.tar"
    path.write_bytes(raw)
    with pytest.raises(ImagesError, match=r"no\.tar"):
        diff_bundles(BundleTar(path, QuietProgress()), BundleTar(path, QuietProgress()))


def test_a_tar_that_is_cut_off_is_refused(key: PrivateKey, tmp_path: Path) -> None:
    path = bundle_of(key, FILES).write(tmp_path / "a.tar")
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ImagesError, match=r"a\.tar"):
        diff_bundles(BundleTar(path, QuietProgress()), BundleTar(path, QuietProgress()))


def test_a_bomb_ends_at_its_cap(key: PrivateKey, tmp_path: Path) -> None:
    bomb = layer_of({"zeros": bytes(4 << 20)})
    assert len(bomb) < 10_000
    with pytest.raises(ImagesError, match="unpacks to more than is allowed"):
        compare(layered(key, bomb), layered(key, layer_of(FILES)), tmp_path, DiffLimits(unpacked=1 << 20))


def test_a_header_that_claims_gigabytes_is_refused(key: PrivateKey, tmp_path: Path) -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 7 << 30
    layer = gzip.compress(header.tobuf(tarfile.USTAR_FORMAT) + bytes(4096), mtime=0)
    with pytest.raises(ImagesError, match="a header of 7516192768 bytes"):
        compare(layered(key, layer), layered(key, layer_of(FILES)), tmp_path)


def test_endless_files_end_at_their_cap(key: PrivateKey, tmp_path: Path) -> None:
    many = layer_of({f"f{number}": b"" for number in range(50)})
    with pytest.raises(ImagesError, match="more than 20 files"):
        compare(layered(key, many), layered(key, layer_of(FILES)), tmp_path, DiffLimits(entries=20))


def test_a_damaged_layer_is_refused(key: PrivateKey, tmp_path: Path) -> None:
    for layer in (layer_of(FILES)[:-20], b"\x1f\x8b" + bytes(100), gzip.compress(b"no tar" * 200)):
        with pytest.raises(ImagesError, match=r"damaged|not a tar|cut off"):
            compare(layered(key, layer), layered(key, layer_of(FILES)), tmp_path)


def test_too_many_changes_are_counted_as_such(key: PrivateKey, tmp_path: Path) -> None:
    other = {f"f{number}": b"" for number in range(50)}
    found = compare(bundle_of(key, FILES), bundle_of(key, other), tmp_path, DiffLimits(changes=10))
    assert len(found.changes) == 10
    assert found.left_out
    assert "only the first 10 are listed" in found.to_text()


def test_names_cannot_command_the_terminal(key: PrivateKey, tmp_path: Path) -> None:
    hostile = {"a\x1b[2Jb": b"x", "c\u202ed": b"y"}
    text = compare(bundle_of(key, FILES), bundle_of(key, hostile), tmp_path).to_text()
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_long_names_are_read_in_every_form(key: PrivateKey, tmp_path: Path) -> None:
    name = "deep/" * 40 + "file"
    layers = []
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w", format=form) as tar:
            tar.addfile(tarfile.TarInfo(name))
            link = tarfile.TarInfo("link")
            link.type, link.linkname = tarfile.SYMTYPE, name
            tar.addfile(link)
        layers.append(gzip.compress(raw.getvalue(), mtime=0))
    found = compare(layered(key, layers[0]), layered(key, layers[1]), tmp_path)
    assert [change.path for change in found.changes if change.where.endswith("layer 1")] == ["(tar)"]


@given(st.text())
def test_what_is_shown_is_one_printable_line(text: str) -> None:
    assert printable(text).isprintable()


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_two_contents_have_a_difference_that_ends(one: bytes, two: bytes) -> None:
    lines = line_changes(one, two, 5)
    assert len(lines) <= 6
    assert all(line.isprintable() for line in lines)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)


@given(values, values)
def test_values_are_equal_when_nothing_is_named(one: object, two: object) -> None:
    assert list(value_changes(one, one)) == []
    if isinstance(one, str | int | None) and one != two:
        assert list(value_changes(one, two))


def test_another_order_of_the_same_values_is_not_identical(key: PrivateKey, tmp_path: Path) -> None:
    one = bundle_of(key, FILES)
    (model,) = one.manifest.models
    pair = (model, replace(model, name="n"))
    found = compare(one.with_manifest(models=pair), one.with_manifest(models=pair[::-1]), tmp_path)
    assert [change.path for change in found.changes] == ["(bytes)"]
