"""The licence gate: what is said is read, what is unknown or not allowed stops a build."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from routeiq_appliance.cli import vendor as vendor_verbs
from routeiq_vendor.documents import read_document
from routeiq_vendor.errors import LockError
from routeiq_vendor.licences.debian import copyright_names, to_spdx
from routeiq_vendor.licences.metadata import deb_copyrights, debian_licence, wheel_licence
from routeiq_vendor.licences.policy import (
    Fact,
    LicencePolicy,
    Use,
    is_expression,
    judge,
    normalised,
    stale_overrides,
)
from routeiq_vendor.licences.review import Review, refuse_faults

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def policy() -> LicencePolicy:
    return read_document(ROOT / "vendor" / "locks" / "licences.toml", LicencePolicy)


def fact(licence: str | None, use: Use = Use.LINKED, **more: str) -> Fact:
    return Fact(more.get("kind", "pypi"), more.get("name", "x"), "1.0", use, licence, "METADATA")


def fault(policy: LicencePolicy, licence: str | None, use: Use = Use.LINKED) -> str:
    return judge([fact(licence, use)], policy)[0].fault


def test_every_id_of_the_committed_policy_is_one_of_spdx(policy: LicencePolicy) -> None:
    allowed = {name for use in Use for name in policy.allowed(use)}
    said = [*policy.classifiers.values(), *policy.spellings.values(), *policy.debian.values()]
    said += [item.licence for item in policy.override if item.licence]
    for expression in [*allowed, *said]:
        assert is_expression(expression), expression
    known = allowed | {name for item in policy.override for name in item.accept}
    for name in policy.debian.values():
        assert name in known, name


def test_an_unknown_licence_is_refused(policy: LicencePolicy) -> None:
    assert "no licence is known" in fault(policy, None)
    assert "no SPDX id" in fault(policy, "Some-Licence-1.0")
    assert "no SPDX expression" in fault(policy, "MIT AND AND")
    assert fault(policy, "")


@pytest.mark.parametrize(
    "licence", ["LicenseRef-Proprietary", "BUSL-1.1", "SSPL-1.0", "Elastic-2.0", "CC-BY-NC-4.0"]
)
@pytest.mark.parametrize("use", list(Use))
def test_a_proprietary_or_source_available_licence_is_refused_for_every_use(
    policy: LicencePolicy, licence: str, use: Use
) -> None:
    assert f"{licence}: not allowed" in fault(policy, licence, use)


def test_a_gpl_library_in_our_process_is_refused_and_beside_it_allowed_with_a_reason(
    policy: LicencePolicy,
) -> None:
    for licence in ("GPL-2.0-or-later", "GPL-3.0-only", "LGPL-3.0-only", "AGPL-3.0-only"):
        assert "not allowed" in fault(policy, licence, Use.LINKED)
    (beside,) = judge([fact("GPL-2.0-or-later", Use.PROGRAM, kind="deb")], policy)
    assert (beside.fault, "mere aggregation" in beside.reason) == ("", True)
    assert "not allowed" in fault(policy, "AGPL-3.0-only", Use.PROGRAM)


def test_of_a_choice_one_is_enough_and_of_a_sum_all_are_needed(policy: LicencePolicy) -> None:
    assert not fault(policy, "MIT OR GPL-3.0-only")
    assert "GPL-3.0-only" in fault(policy, "MIT AND GPL-3.0-only")
    assert not fault(policy, "(GPL-2.0-only OR MIT) AND Apache-2.0")
    assert "not allowed" in fault(policy, "GPL-3.0-or-later WITH GCC-exception-3.1")


def test_an_override_holds_for_its_versions_only() -> None:
    document: dict[str, Any] = {
        "allow": {"linked": ["MIT"], "weights": [], "program": [], "tool": []},
        "reasons": {"linked": "l", "weights": "w", "program": "p", "tool": "t"},
        "classifiers": {},
        "spellings": {},
        "debian": {},
        "override": [
            {
                "kind": "pypi",
                "name": "x",
                "versions": ">=1.0, <2",
                "licence": "MIT",
                "reason": "read its LICENSE",
            }
        ],
    }
    policy = LicencePolicy.model_validate(document)
    new = Fact("pypi", "x", "2.0", Use.LINKED, None, "METADATA")
    one, two = judge([fact(None), new], policy)
    assert (one.fault, one.source, one.reason) == ("", "override", "read its LICENSE")
    assert two.fault
    assert stale_overrides([new], policy) == list(policy.override)
    assert stale_overrides([fact(None)], policy) == []
    document["override"][0]["versions"] = "about 1"
    with pytest.raises(LockError, match="no range of versions"):
        judge([fact(None)], LicencePolicy.model_validate(document))
    document["override"][0]["reason"] = "short"
    with pytest.raises(ValueError, match="reason"):
        LicencePolicy.model_validate(document)


def wheel(folder: Path, metadata: str, name: str = "x-1.0.dist-info/METADATA") -> Path:
    path = folder / "x-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, f"Metadata-Version: 2.4\nName: x\nVersion: 1.0\n{metadata}")
    return path


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ("License-Expression: MIT AND 0BSD\nLicense: GPL\n", ("MIT AND 0BSD", "License-Expression")),
        ("License: Apache-2.0\n", ("Apache-2.0", "License field")),
        ("License: Apache License 2.0\n", ("Apache-2.0", "License field")),
        ("Classifier: License :: OSI Approved :: MIT License\n", ("MIT", "classifier")),
        (
            "License: Copyright 2022 Somebody\nClassifier: License :: OSI Approved :: MIT License\n",
            ("MIT", "classifier"),
        ),
        ("Classifier: License :: OSI Approved :: BSD License\n", (None, "METADATA")),
        ("Classifier: License :: OSI Approved :: Apache Software License\n", (None, "METADATA")),
        (
            "Classifier: License :: OSI Approved :: MIT License\nClassifier: License :: Other/Proprietary License\n",
            (None, "METADATA"),
        ),
        ("", (None, "METADATA")),
    ],
)
def test_a_wheel_is_believed_where_it_is_unambiguous(
    tmp_path: Path, policy: LicencePolicy, metadata: str, expected: tuple[str | None, str]
) -> None:
    assert wheel_licence(wheel(tmp_path, metadata), "x 1.0", policy)[:2] == expected


def test_a_wheel_that_is_none_is_an_error(tmp_path: Path, policy: LicencePolicy) -> None:
    broken = tmp_path / "x.whl"
    broken.write_bytes(b"PK\x03\x04 nonsense")
    for path in (broken, wheel(tmp_path, "", name="METADATA")):
        with pytest.raises(LockError, match="not a readable wheel"):
            wheel_licence(path, "x 1.0", policy)


DEP5 = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: 2000 Somebody
License: GPL-2+ or BSD-3-clause and Expat

Files: debian/*
Copyright: 2001 Other
License: {other}
 text
"""


def test_a_copyright_file_gives_the_conjunction_of_all_its_files(policy: LicencePolicy) -> None:
    assert copyright_names(DEP5.format(other="GPL-2+")) == ["GPL-2+", "GPL-2+ or BSD-3-clause and Expat"]
    said = debian_licence("x", {"x": DEP5.format(other="GPL-2+")}, policy)
    assert normalised(said[0] or "") == "GPL-2.0-or-later AND (GPL-2.0-or-later OR (BSD-3-Clause AND MIT))"
    assert debian_licence("y", {"y": "@x", "x": DEP5.format(other="Expat")}, policy)[0] is not None


def test_a_copyright_file_that_is_not_understood_gives_no_licence(policy: LicencePolicy) -> None:
    assert "not machine-readable" in debian_licence("x", {"x": "All free.\n"}, policy)[2]
    assert "an unknown licence" in debian_licence("x", {"x": DEP5.format(other="Own-1")}, policy)[2]
    assert "not in the lock" in debian_licence("x", {"x": "@gone"}, policy)[2]
    assert "no copyright file" in debian_licence("x", {}, policy)[2]
    assert copyright_names("Format: x\n\nnot: a\nparagraph without\n") is None
    assert to_spdx("GPL-2+ and Own-1", policy.debian) is None


def test_a_deb_that_is_none_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.deb"
    path.write_bytes(b"!<arch>\nnonsense")
    with pytest.raises(LockError, match="not a readable .deb"):
        deb_copyrights(path, "x")


def test_the_gate_names_every_fault_and_what_to_do(policy: LicencePolicy) -> None:
    judged = judge([fact(None, name="a"), fact("GPL-3.0-only", name="b"), fact("MIT", name="c")], policy)
    with pytest.raises(
        LockError, match=r"2 licences are unknown or not allowed:\n  pypi a 1.0.*\n  pypi b 1.0"
    ) as refusal:
        refuse_faults(Review(tuple(judged), ()))
    assert "licences.toml" in (refusal.value.hint or "")
    refuse_faults(Review(tuple(judged[2:]), ()))


def test_the_verb_fails_on_a_fault_and_still_lists_all(
    monkeypatch: pytest.MonkeyPatch, policy: LicencePolicy
) -> None:
    judged = judge([fact("MIT", name="good"), fact("BUSL-1.1", name="bad")], policy)
    monkeypatch.setattr(vendor_verbs, "review_locks", lambda *_: Review(tuple(judged), ("pypi gone",)))
    done = CliRunner().invoke(vendor_verbs.vendor, ["licences", "--json"])
    listed = json.loads(done.stdout)
    assert done.exit_code == 1
    assert [item["name"] for item in listed["licences"]] == ["bad", "good"]
    assert listed["unread"] == ["pypi gone"]
    assert "BUSL-1.1: not allowed" in done.stderr
