"""Debian packages as trees: what stays, what goes, what is refused (A14)."""

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from routeiq_images.debs import read_deb
from routeiq_images.errors import ImagesError
from routeiq_images.rootfs import CA_BUNDLE, add_ca_bundle, base_tree
from routeiq_images.tree import Tree


def member(name: str, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def test_documentation_goes_and_what_scanners_read_stays(make_deb: Callable[..., Path]) -> None:
    deb = make_deb(
        "tool",
        {
            "usr/share/doc/tool/changelog.gz": b"x",
            "usr/share/doc/tool/copyright": b"licence",
            "usr/share/man/man1/tool.1.gz": b"x",
            member("./usr/bin/tool", mode=0o755): b"elf",
            "usr/lib/unused/big": b"x",
        },
    )
    content = read_deb(deb, "tool", ["usr/lib/unused/*"])
    files = {path: entry for path, entry in content.tree.items() if not entry.is_directory}
    assert sorted(files) == ["usr/bin/tool", "usr/share/doc/tool/copyright", "var/lib/dpkg/status.d/tool"]
    assert (files["usr/bin/tool"].mode, files["usr/bin/tool"].uid) == (0o755, 0)
    assert b"Package: tool\nVersion: 1.0-1" in files["var/lib/dpkg/status.d/tool"].content  # type: ignore[operator]


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (member("./usr/bin/su", mode=0o4755), "usr/bin/su: is set-user-ID"),
        (member("./dev/null", type=tarfile.CHRTYPE), "dev/null: a special file"),
        (member("./../../etc/evil"), "leaves the tree"),
    ],
)
def test_a_package_with_such_a_file_is_refused(
    make_deb: Callable[..., Path], file: tarfile.TarInfo, message: str
) -> None:
    with pytest.raises(ImagesError, match=message):
        read_deb(make_deb("bad", {file: b""}), "bad", [])


def test_a_damaged_package_is_refused(make_deb: Callable[..., Path]) -> None:
    deb = make_deb("tool", {"usr/bin/tool": b"x" * 1000})
    deb.write_bytes(deb.read_bytes()[:-200])
    with pytest.raises(ImagesError, match="tool.deb is no Debian package"):
        read_deb(deb, "tool", [])


def test_a_package_under_another_name_is_refused(make_deb: Callable[..., Path]) -> None:
    with pytest.raises(ImagesError, match="holds the package tool"):
        read_deb(make_deb("tool", {"usr/bin/tool": b""}), "other", [])


def test_the_skeleton_has_what_maintainer_scripts_would_make() -> None:
    tree = base_tree({"routeiq": 65532})
    assert tree["lib64"].target == "usr/lib64"
    assert tree["tmp"].mode == 0o1777
    assert b"routeiq:x:65532:65532:" in tree["etc/passwd"].content  # type: ignore[operator]
    assert b":0:0::/root:/sbin/nologin" in tree["etc/passwd"].content  # type: ignore[operator]


def test_certificates_are_joined_in_order() -> None:
    tree = Tree()
    tree.file("usr/share/ca-certificates/mozilla/b.crt", b"B\n")
    tree.file("usr/share/ca-certificates/mozilla/a.crt", b"A")
    add_ca_bundle(tree)
    assert tree[CA_BUNDLE].content == b"A\nB\n"
