import zlib

import pytest

from routeiq_vendor.debs.closure import closure, move
from routeiq_vendor.debs.lock import DebsLock, LockedDeb
from routeiq_vendor.debs.records import Record, read_records
from routeiq_vendor.errors import LockError

STANZA = """\
Package: {name}
Version: {version}
Source: {source}
Depends: {depends}
Provides: {provides}
Filename: pool/{name}_amd64.deb
Size: 1
SHA256: {digest:064x}
"""


def record(
    name: str, depends: str = "", *, version: str = "1", source: str = "", provides: str = ""
) -> Record:
    digest = zlib.crc32(f"{name} {version}".encode())
    text = STANZA.format(
        name=name, version=version, source=source or name, depends=depends, provides=provides, digest=digest
    )
    lines = [line for line in text.splitlines() if not line.endswith(": ")]
    (result,) = read_records("\n".join(lines) + "\n")
    return result


def records(*entries: Record) -> dict[str, Record]:
    return {entry.name: entry for entry in entries}


def lock(*entries: Record) -> DebsLock:
    names = sorted(entry.name for entry in entries)
    packages = {entry.name: entry.deb for entry in entries}
    return DebsLock(suite="bookworm", arch="amd64", packages=packages, images={"gateway": names}, unused={})


def test_dropped_package_takes_with_it_what_only_it_needs() -> None:
    known = records(
        record("app", "libc, debconf"), record("libc"), record("debconf", "perl, libc"), record("perl")
    )
    assert closure(["app"], ["debconf"], known) == ["app", "libc"]


def test_alternative_and_virtual_package_are_resolved_to_what_apt_chose() -> None:
    known = records(record("app", "awk, exim | postfix"), record("mawk", provides="awk"), record("postfix"))
    assert closure(["app"], [], known) == ["app", "mawk", "postfix"]


def test_cycle_ends() -> None:
    assert closure(["aa"], [], records(record("aa", "bb"), record("bb", "aa"))) == ["aa", "bb"]


def test_drop_that_drops_nothing_is_refused() -> None:
    with pytest.raises(LockError, match=r"^debs.toml: dropping these drops nothing: perl$"):
        closure(["app"], ["perl"], records(record("app")))


def test_unresolved_dependency_is_refused() -> None:
    with pytest.raises(LockError, match=r"^app: nothing resolved provides libc$"):
        closure(["app"], [], records(record("app", "libc")))
    with pytest.raises(LockError, match=r"^nginx: apt did not resolve it$"):
        closure(["nginx"], [], records(record("app")))


def test_whole_source_package_moves_and_nothing_else() -> None:
    old = lock(
        record("stdlib", "minimal (= 1)", source="python3.11"),
        record("minimal", source="python3.11"),
        record("libc"),
    )
    new = records(
        record("stdlib", "minimal (= 2)", version="2", source="python3.11"),
        record("minimal", version="2", source="python3.11"),
        record("libc", version="2"),
    )
    used = move(old, ["minimal"], lock(*new.values()), new)
    assert {name: deb.version for name, deb in used.packages.items()} == {
        "stdlib": "2",
        "minimal": "2",
        "libc": "1",
    }


def test_unmet_dependency_of_a_moved_package_moves_too() -> None:
    old = lock(record("app", "libssl (>= 1)"), record("libssl", source="openssl"), record("zlib"))
    new = records(
        record("app", "libssl (>= 2)", version="2"),
        record("libssl", version="2", source="openssl"),
        record("zlib", version="2"),
    )
    used = move(old, ["app"], lock(*new.values()), new)
    assert {name: deb.version for name, deb in used.packages.items()} == {
        "app": "2",
        "libssl": "2",
        "zlib": "1",
    }


def test_new_dependency_is_added_and_a_gone_binary_is_removed() -> None:
    old = lock(record("app", "old-lib"), record("old-lib", source="app"))
    new = records(record("app", "new-lib", version="2"), record("new-lib", version="2"))
    used = move(old, ["app"], lock(*new.values()), new)
    assert used.images == {"gateway": ["app", "new-lib"]}
    assert sorted(used.packages) == ["app", "new-lib"]


def test_versions_are_compared_as_debian_does() -> None:
    # 1:1.0 is newer than 2.0, and 1.0~rc1 older than 1.0: neither app's dependency needs to move anything.
    old = lock(record("app"), record("liba", version="1:1.0"), record("libb", version="1.0"))
    new = records(
        record("app", "liba (>= 2.0), libb (>> 1.0~rc1)", version="2"),
        record("liba", version="1:2.0"),
        record("libb", version="2.0"),
    )
    used = move(old, ["app"], lock(*new.values()), new)
    assert (used.packages["liba"].version, used.packages["libb"].version) == ("1:1.0", "1.0")


def test_image_must_name_known_packages_in_order() -> None:
    deb = LockedDeb(
        version="1", source="aa", source_version="1", filename="pool/a.deb", sha256="a" * 64, size=1
    )
    base = {"suite": "bookworm", "arch": "amd64", "packages": {"aa": deb, "bb": deb}, "unused": {}}
    with pytest.raises(ValueError, match="image xx names zz, which is not in packages"):
        DebsLock.model_validate({**base, "images": {"xx": ["zz"]}})
    with pytest.raises(ValueError, match="image xx is not sorted"):
        DebsLock.model_validate({**base, "images": {"xx": ["bb", "aa"]}})
