"""Advisories: read as the OSV schema says, kept signed, refused when hostile.

No database is reachable here: the records are of the real format, written from facts of published advisories.
"""

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routeiq_signing.keys import PrivateKey
from routeiq_signing.progress import QuietProgress
from routeiq_signing.sigstore_bundle import message_bundle
from routeiq_signing.strict_json import dumps
from routeiq_vendor.errors import LockError
from routeiq_vendor.osv import records as records_module
from routeiq_vendor.osv.artifact import OsvIndex, read_index, read_osv, read_unsigned, write_osv
from routeiq_vendor.osv.records import Record, affects, parse_record
from routeiq_vendor.osv.severity import Severity, base_score, from_score, from_word, worst

NOW = datetime(2026, 6, 1, tzinfo=UTC)
URLLIB3: dict[str, Any] = {
    "schema_version": "1.7.0",
    "id": "GHSA-g4mx-q9vg-27p4",
    "modified": "2025-11-19T02:54:00.5Z",
    "published": "2023-10-17T20:15:25Z",
    "aliases": ["CVE-2023-45803", "PYSEC-2023-212"],
    "summary": "urllib3's request body not stripped after redirect",
    "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:A/AC:H/PR:H/UI:N/S:U/C:H/I:N/A:N"}],
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "urllib3", "purl": "pkg:pypi/urllib3"},
            "ranges": [
                {"type": "ECOSYSTEM", "events": [{"introduced": "2.0.0"}, {"fixed": "2.0.7"}]},
                {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.26.18"}]},
            ],
        }
    ],
    "database_specific": {"severity": "MODERATE", "cwe_ids": ["CWE-200"], "nvd_published_at": None},
}
OPENSSL: dict[str, Any] = {
    "id": "DSA-5764-1",
    "modified": "2025-01-01T00:00:00Z",
    "upstream": ["CVE-2024-6119"],
    "details": "openssl - security update",
    "affected": [
        {
            "package": {"ecosystem": "Debian:12", "name": "openssl"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.0.14-1~deb12u2"}]}],
            "ecosystem_specific": {"urgency": "not yet assigned"},
        }
    ],
}
POSTCSS: dict[str, Any] = {
    "id": "GHSA-7fh5-64p2-3v2j",
    "modified": "2024-02-01T00:00:00Z",
    "aliases": ["CVE-2023-44270"],
    "affected": [
        {
            "package": {"ecosystem": "npm", "name": "postcss"},
            "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "8.4.31"}]}],
        },
        {"package": {"ecosystem": "crates.io", "name": "other"}, "ranges": 7},
    ],
}
ALL = (URLLIB3, OPENSSL, POSTCSS)


def record(document: dict[str, Any]) -> Record:
    return parse_record(json.dumps(document).encode(), document["id"])


def changed(document: dict[str, Any], change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(document))
    change(copy)
    return copy


def dump(folder: Path, *documents: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for document in documents:
        (folder / f"{document['id']}.json").write_text(json.dumps(document))
    return folder


@pytest.mark.parametrize(
    ("document", "version", "hit"),
    [
        (URLLIB3, "2.0.6", True),
        (URLLIB3, "2.0.7", False),
        (URLLIB3, "1.26.17", True),
        (URLLIB3, "1.26.18", False),
        (URLLIB3, "2.0.0rc1", False),
        (OPENSSL, "3.0.14-1~deb12u1", True),
        (OPENSSL, "3.0.14-1~deb12u2", False),
        (OPENSSL, "3.0.22-1~deb12u2", False),
        (POSTCSS, "8.4.31-beta.1", True),
        (POSTCSS, "8.4.31", False),
        (POSTCSS, "8.10.0", False),
    ],
)
def test_a_version_is_hit_as_its_ecosystem_orders_it(
    document: dict[str, Any], version: str, hit: bool
) -> None:
    assert affects(record(document).affected[0], version) is hit


def test_events_of_every_kind_decide_as_the_schema_says() -> None:
    def with_events(*events: dict[str, str], versions: list[str] | None = None) -> Record:
        affected = {
            "package": {"ecosystem": "PyPI", "name": "A_b.C"},
            "versions": versions or [],
            "ranges": [{"type": "ECOSYSTEM", "events": list(events)}] if events else [],
        }
        return record({"id": "X-1", "modified": "2026-01-01T00:00:00Z", "affected": [affected]})

    item = with_events({"introduced": "1"}, {"last_affected": "2"}).affected[0]
    assert [affects(item, version) for version in ("0.9", "1", "2", "2.0.1")] == [False, True, True, False]
    item = with_events({"introduced": "0"}, {"limit": "2"}).affected[0]
    assert [affects(item, version) for version in ("1", "2")] == [True, False]
    item = with_events({"introduced": "3"}, {"fixed": "2"}, {"introduced": "1"}).affected[0]
    assert [affects(item, version) for version in ("1", "2", "3")] == [True, False, True]
    item = with_events(versions=["1.5"]).affected[0]
    assert (item.name, affects(item, "1.5"), affects(item, "1.6")) == ("a-b-c", True, False)
    with pytest.raises(LockError):
        affects(with_events({"introduced": "any"}).affected[0], "1.0")


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_a_range_holds_between_its_ends(start: int, end: int, version: int) -> None:
    item = record(
        changed(
            POSTCSS,
            lambda it: it["affected"][0].update(
                ranges=[
                    {"type": "SEMVER", "events": [{"introduced": f"1.{start}.0"}, {"fixed": f"1.{end}.0"}]}
                ]
            ),
        )
    ).affected[0]
    assert affects(item, f"1.{version}.0") is (start <= version < end or version >= start > end)


def test_what_the_record_says_of_itself_is_kept() -> None:
    found = record(URLLIB3)
    assert found.names == ("GHSA-g4mx-q9vg-27p4", "CVE-2023-45803", "PYSEC-2023-212")
    assert (found.severity, found.withdrawn) == (Severity.MEDIUM, False)
    assert record(OPENSSL).names == ("DSA-5764-1", "CVE-2024-6119")
    assert record(OPENSSL).severity is Severity.UNKNOWN
    assert len(record(POSTCSS).affected) == 1  # what we hold nothing of is passed over, whatever it holds


@pytest.mark.parametrize(
    ("vector", "score"),
    [
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 10.0),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", 7.5),
        ("CVSS:3.1/AV:A/AC:H/PR:H/UI:N/S:U/C:H/I:N/A:N", 4.2),
        ("CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:L/A:N", 5.3),
        ("CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:N/I:N/A:N", 0.0),
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", None),
        ("CVSS:3.1/AV:X", None),
        ("nonsense", None),
    ],
)
def test_scores_are_those_of_cvss(vector: str, score: float | None) -> None:
    assert base_score(vector) == score


def test_an_unknown_severity_is_not_low() -> None:
    assert from_word("not yet assigned") is Severity.UNKNOWN
    assert max(Severity) is Severity.UNKNOWN
    assert worst([Severity.UNKNOWN, Severity.LOW]) is Severity.LOW
    assert [from_score(score) for score in (0.0, 0.1, 4.0, 7.0, 9.0)] == list(Severity)[:5]


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it.update(id="../../x"),
        lambda it: it.update(id=7),
        lambda it: it.pop("id"),
        lambda it: it.pop("modified"),
        lambda it: it.update(modified="yesterday"),
        lambda it: it.update(modified="2026-13-45T00:00:00Z"),
        lambda it: it.update(aliases="CVE-1"),
        lambda it: it.update(aliases=["x" * 501]),
        lambda it: it.update(affected={}),
        lambda it: it.update(affected=["x"]),
        lambda it: it.update(affected=[{}] * 20_001),
        lambda it: it.update(severity=[{"type": "CVSS_V3"}]),
        lambda it: it["affected"][0].update(package=[]),
        lambda it: it["affected"][0]["package"].update(name=None),
        lambda it: it["affected"][0].update(versions=[1.0]),
        lambda it: it["affected"][0].update(ranges=[{"type": "ECOSYSTEM"}]),
        lambda it: it["affected"][0].update(ranges=[{"type": "SEMVER", "events": [{"fixed": "1"}]}]),
        lambda it: it["affected"][0].update(ranges=[{"type": "SEMVER", "events": [{"introduced": 0}]}]),
    ],
)
def test_a_record_of_wrong_types_is_refused_by_name(change: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(LockError, match=r"^the record"):
        parse_record(json.dumps(changed(URLLIB3, change)).encode(), "the record")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b'{"id":' + b"9" * 10_000 + b"}",
        b" " * ((4 << 20) + 1),
    ],
    ids=["empty", "list", "not text", "deep list", "deep object", "huge number", "huge"],
)
def test_bombs_are_refused(raw: bytes) -> None:
    with pytest.raises(LockError, match=r"^bomb"):
        parse_record(raw, "bomb")


@settings(max_examples=40, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_any_json_is_a_record_or_refused(value: Any) -> None:
    for document in (value, {**URLLIB3, "affected": value}, {**URLLIB3, "severity": value}):
        try:
            parse_record(json.dumps(document).encode(), "x")
        except LockError:
            pass


def made(tmp_path: Path, key: PrivateKey) -> tuple[Path, OsvIndex]:
    withdrawn = changed(URLLIB3, lambda it: it.update(id="GHSA-gone", withdrawn="2026-01-01T00:00:00Z"))
    older = changed(URLLIB3, lambda it: it.update(modified="2020-01-01T00:00:00Z", summary="older"))
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("GHSA-g4mx-q9vg-27p4.json", json.dumps(older))
    sources = [dump(tmp_path / "dump", *ALL, withdrawn), tmp_path / "all.zip"]
    out = tmp_path / "osv.zip"
    return out, write_osv(out, sources, key, NOW, QuietProgress())


def test_an_artifact_holds_the_newest_of_each_record_and_none_that_was_withdrawn(tmp_path: Path) -> None:
    key = PrivateKey.generate()
    out, index = made(tmp_path, key)
    assert [(part.ecosystem, part.records) for part in index.parts] == [
        ("Debian", 1),
        ("PyPI", 1),
        ("npm", 1),
    ]
    found, records = read_osv(out, key.public, QuietProgress())
    assert (found, found.made) == (index, "2026-06-01T00:00:00Z")
    listed = {item.id: item for item in records}
    assert set(listed) == {document["id"] for document in ALL}
    assert listed["GHSA-g4mx-q9vg-27p4"].summary != "older"


def test_an_artifact_by_another_key_is_refused(tmp_path: Path) -> None:
    out, _ = made(tmp_path, PrivateKey.generate())
    with pytest.raises(LockError, match="not signed by the key"):
        read_index(out, PrivateKey.generate().public)


def rewritten(path: Path, change: Callable[[dict[str, bytes]], object]) -> Path:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def leave_a_record_out(members: dict[str, bytes]) -> None:
    members["PyPI.jsonl"] = b""


def change_a_record(members: dict[str, bytes]) -> None:
    members["PyPI.jsonl"] = members["PyPI.jsonl"].replace(b"1.26.18", b"1.26.17")


def add_a_record(members: dict[str, bytes]) -> None:
    members["npm.jsonl"] += members["PyPI.jsonl"]


def leave_a_part_out(members: dict[str, bytes]) -> None:
    del members["Debian.jsonl"]


def add_a_file(members: dict[str, bytes]) -> None:
    members["extra"] = b"x"


def change_the_index(members: dict[str, bytes]) -> None:
    members["index.json"] = members["index.json"].replace(b'"records":1', b'"records":2', 1)


def drop_the_index(members: dict[str, bytes]) -> None:
    del members["index.json"]


@pytest.mark.parametrize(
    "spoil",
    [
        leave_a_record_out,
        change_a_record,
        add_a_record,
        leave_a_part_out,
        add_a_file,
        change_the_index,
        drop_the_index,
    ],
)
def test_tampered_data_is_refused_before_anything_is_counted(
    tmp_path: Path, spoil: Callable[[dict[str, bytes]], object]
) -> None:
    key = PrivateKey.generate()
    out, _ = made(tmp_path, key)
    rewritten(out, spoil)
    with pytest.raises(LockError):
        list(read_osv(out, key.public, QuietProgress())[1])


PART = {"ecosystem": "PyPI", "file": "PyPI.jsonl", "newest": "2026-01-01T00:00:00Z", "records": 1, "size": 1}


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": "other"},
        {"made": "x"},
        {"parts": []},
        {"parts": 7},
        {"parts": [{}]},
        {"parts": [{**PART, "sha256": "0", "file": "../x"}]},
        {"parts": [{**PART, "sha256": 7}]},
        {"parts": [{**PART, "sha256": "0", "size": 1 << 50}]},
        {"parts": [{**PART, "sha256": "0"}] * 2},
    ],
)
def test_a_signed_index_that_cannot_be_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    document = {"schema": "routeiq.osv/v1", "made": "2026-01-01T00:00:00Z", "parts": [], **changes}
    index = dumps(document)
    key = PrivateKey.generate()
    path = tmp_path / "osv.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("index.json", index)
        name = f"index.json.{key.public.keyid}.sigstore.json"
        archive.writestr(name, message_bundle(key.public.keyid, index, key.sign(index)))
    with pytest.raises(LockError):
        read_index(path, key.public)


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.json", b" " * (records_module.MAX_RECORD + 2))
    with pytest.raises(LockError, match="more than"):
        list(read_unsigned(path, QuietProgress()))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(LockError, match="not a zip"):
        list(read_unsigned(path, QuietProgress()))


@pytest.mark.parametrize("what", ["nothing", "empty folder", "no records", "no zip", "a fifo"])
def test_no_data_is_an_error_and_never_nothing_found(tmp_path: Path, what: str) -> None:
    path = tmp_path / "data"
    if what == "empty folder":
        path.mkdir()
    elif what == "no records":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme.txt", "x")
    elif what == "no zip":
        path.write_bytes(b"x")
    elif what == "a fifo":
        path = Path("/dev/null")
    with pytest.raises(LockError):
        list(read_unsigned(path, QuietProgress()))


def test_an_artifact_of_other_ecosystems_only_is_not_made(tmp_path: Path) -> None:
    other = changed(POSTCSS, lambda it: it["affected"].pop(0))
    out = tmp_path / "osv.zip"
    with pytest.raises(LockError, match="nothing to make"):
        write_osv(out, [dump(tmp_path / "d", other)], PrivateKey.generate(), NOW, QuietProgress())
    assert not out.exists()


def test_an_index_that_changes_between_two_readings_is_noticed(tmp_path: Path) -> None:
    key = PrivateKey.generate()
    out, index = made(tmp_path, key)
    found, records = read_osv(out, key.public, QuietProgress())
    write_osv(out, [dump(tmp_path / "other", POSTCSS)], key, NOW, QuietProgress())
    with pytest.raises(LockError, match="changed while it was read"):
        list(records)
    assert replace(found) == index
