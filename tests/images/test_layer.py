"""A13: a tree has one layer, whatever the host."""

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routeiq_images.blobs import BlobStore
from routeiq_images.errors import ImagesError
from routeiq_images.layer import LAYER_MTIME, write_layer
from routeiq_images.tree import Entry, Tree

NAMES = st.lists(st.sampled_from(["a", "b", "long" * 40, "ü"]), min_size=1, max_size=4).map("/".join)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(NAMES, st.binary(max_size=3000), max_size=8), st.randoms())
def test_the_order_in_which_files_come_does_not_matter(
    tmp_path_factory, files: dict[str, bytes], random
) -> None:  # type: ignore[no-untyped-def]
    store = BlobStore(tmp_path_factory.mktemp("store"))
    files = {path: data for path, data in files.items() if not any(o.startswith(f"{path}/") for o in files)}
    shuffled = list(files.items())
    random.shuffle(shuffled)
    trees = []
    for items in (files.items(), shuffled):
        tree = Tree()
        for path, data in items:
            tree.file(path, data)
        trees.append(write_layer(tree, store, "c"))
    assert trees[0] == trees[1]
    raw = gzip.decompress(store.path(trees[0].digest).read_bytes())
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        found = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]
    assert found == files


def test_nothing_of_the_host_is_in_a_layer(tmp_path: Path) -> None:
    source = tmp_path / "file"
    source.write_bytes(b"x" * 3_000_000)
    layers = []
    for number, (mask, mode, mtime) in enumerate([(0o022, 0o644, 1), (0o077, 0o600, 2_000_000_000)]):
        old = os.umask(mask)
        try:
            source.chmod(mode)
            os.utime(source, (mtime, mtime))
            tree = Tree()
            tree.file("usr/file", source)
            layers.append(write_layer(tree, BlobStore(tmp_path / f"store{number}"), "c"))
        finally:
            os.umask(old)
    assert layers[0] == layers[1]
    with tarfile.open(tmp_path / "store0" / "blobs" / "sha256" / layers[0].digest[7:]) as tar:
        member = tar.getmember("usr/file")
    assert (member.mtime, member.uid, member.uname, member.mode) == (LAYER_MTIME, 0, "", 0o644)


def test_what_packages_put_below_lib_goes_to_usr() -> None:
    tree = Tree()
    tree.file("lib/x86_64-linux-gnu/libc.so.6", b"elf")
    tree.link("lib", "usr/lib")
    assert tree["usr/lib/x86_64-linux-gnu/libc.so.6"].content == b"elf"
    assert next(path for path, _ in tree.items()) == "lib"


def test_two_sources_of_one_file_are_refused() -> None:
    tree = Tree()
    tree.file("etc/a", b"1")
    tree.file("etc/a", b"1")
    with pytest.raises(ImagesError, match="etc/a: two sources of one file"):
        tree.file("etc/a", b"2")


@pytest.mark.parametrize("path", ["../x", "a/../../x", "usr/.."])
def test_a_path_that_leaves_the_tree_is_refused(path: str) -> None:
    with pytest.raises(ImagesError, match="leaves the tree"):
        Tree().add(path, Entry(0o644, content=b""))


def test_a_blob_that_was_not_kept_leaves_nothing(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    with store.new() as file:
        file.write(b"half")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
