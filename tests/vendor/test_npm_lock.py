"""What is taken of npm's lock, and what is refused: other sources, other licences, other platforms."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from routeiq_vendor.documents import read_document, write_document
from routeiq_vendor.errors import LockError
from routeiq_vendor.npm.lock import ConsoleLock, placed, tidied, wanted

ROOT = Path(__file__).parents[2]
INTEGRITY = f"sha512-{'A' * 86}=="


def npm_lock(**packages: dict[str, Any]) -> dict[str, Any]:
    entries = {
        f"node_modules/{name}": {"version": "1.0.0", "integrity": INTEGRITY, "license": "MIT", **entry}
        for name, entry in packages.items()
    }
    return {"lockfileVersion": 3, "packages": {"": {"name": "ui"}, **entries}}


def test_the_committed_locks_agree(tmp_path: Path) -> None:
    raw = (ROOT / "ui" / "package-lock.json").read_bytes()
    lock = read_document(ROOT / "vendor" / "locks" / "ui.lock.json", ConsoleLock)
    lock.check(raw)
    asked = wanted(json.loads(raw))
    assert {place: item.spec for place, item in asked.items()} == {
        place: item.spec for place, item in lock.packages.items()
    }
    assert {item.integrity for item in asked.values()} == {item.integrity for item in lock.packages.values()}
    write_document(tmp_path / "ui.lock.json", lock)
    assert (tmp_path / "ui.lock.json").read_bytes() == (ROOT / "vendor/locks/ui.lock.json").read_bytes()


def test_the_committed_locks_name_no_host() -> None:
    for path in ("ui/package-lock.json", "vendor/locks/ui.lock.json", "vendor/locks/node.txt"):
        assert "://" not in (ROOT / path).read_text(encoding="utf-8"), path


def test_everything_in_package_json_is_pinned() -> None:
    document = json.loads((ROOT / "ui" / "package.json").read_bytes())
    for versions in (document["dependencies"], document["devDependencies"]):
        assert all(version.replace(".", "").isdigit() for version in versions.values())


def test_packages_of_other_platforms_are_left_out() -> None:
    found = wanted(
        npm_lock(
            here={"os": ["linux"], "cpu": ["x64"], "libc": ["glibc"]},
            anywhere={},
            elsewhere_not={"os": ["!win32"]},
            mac={"os": ["darwin"]},
            arm={"cpu": ["arm64"]},
            musl={"libc": ["musl"]},
            not_here={"os": ["!linux"]},
        )
    )
    assert {item.name for item in found.values()} == {"here", "anywhere", "elsewhere_not"}


def test_a_package_below_another_and_a_renamed_one_keep_their_names() -> None:
    found = wanted(npm_lock(**{"a/node_modules/@scope/b": {}, "alias": {"name": "real"}}))
    assert {place: item.name for place, item in found.items()} == {
        "node_modules/a/node_modules/@scope/b": "@scope/b",
        "node_modules/alias": "real",
    }


def test_what_only_builds_is_not_shipped() -> None:
    found = wanted(npm_lock(tool={"dev": True}, part={}))
    assert {item.name: item.shipped for item in found.values()} == {"tool": False, "part": True}


@pytest.mark.parametrize(
    "licence", ["GPL-3.0-only", "AGPL-3.0", "SEE LICENSE IN EULA", "UNLICENSED", "MIT AND GPL-2.0"]
)
def test_a_licence_that_is_not_permissive_is_refused(licence: str) -> None:
    with pytest.raises(LockError, match=f"thing: licence {licence} is none of"):
        wanted(npm_lock(thing={"license": licence}))


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ({"license": None}, "thing has no licence"),
        ({"integrity": None}, "thing is no package of a registry"),
        ({"link": True}, "thing is no package of a registry"),
    ],
)
def test_a_package_without_a_licence_or_a_digest_is_refused(entry: dict[str, Any], fault: str) -> None:
    with pytest.raises(LockError, match=fault):
        wanted(npm_lock(thing=entry))


def test_a_lock_of_another_version_is_refused() -> None:
    with pytest.raises(LockError, match="is not of version 3"):
        wanted({"lockfileVersion": 2, "packages": {}})


def test_npm_is_told_files_and_only_of_what_there_is() -> None:
    lock = npm_lock(
        tool={
            "optionalDependencies": {"native-linux": "1.0.0", "native-mac": "1.0.0"},
            "resolved": "elsewhere",
        },
        **{"native-linux": {"optional": True}, "native-mac": {"os": ["darwin"]}},
    )
    told = placed(lock, {"node_modules/tool": "/pool/t", "node_modules/native-linux": "/pool/n"})["packages"]
    assert list(told) == ["", "node_modules/tool", "node_modules/native-linux"]
    assert told["node_modules/tool"]["resolved"] == "file:/pool/t"
    assert told["node_modules/tool"]["optionalDependencies"] == {"native-linux": "1.0.0"}


def test_a_written_lock_tells_neither_places_nor_who_asks_for_money() -> None:
    lock = npm_lock(thing={"resolved": "r", "funding": {"url": "u"}})
    assert tidied(lock) == npm_lock(thing={})


def test_a_lock_made_from_another_npm_lock_is_refused() -> None:
    lock = ConsoleLock(npm_lock=hashlib.sha256(b"{}").hexdigest(), packages={})
    lock.check(b"{}")
    with pytest.raises(LockError, match="made from another ui/package-lock.json"):
        lock.check(b"{ }")
