"""An attached provenance is about this bundle and signed by its key, or the bundle is refused; by both verifiers."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.signing.conftest import NOW, SmallBundle, sha256
from tests.signing.pyz_twin import verify_by_both
from tests.signing.with_provenance import attached, envelope, payload

from routeiq_signing.bundle_peek import SBOM_NAME, look_into
from routeiq_signing.bundle_signers import add_signature
from routeiq_signing.errors import SigningError, VerificationError
from routeiq_signing.keys import PrivateKey
from routeiq_signing.manifest import FileEntry
from routeiq_signing.progress import QuietProgress
from routeiq_signing.sigstore_bundle import (
    message_bundle,
)
from routeiq_signing.verify.provenance import PAYLOAD_TYPE


def verify_with_pyz(bundle: SmallBundle, tar: Path, key: Path) -> subprocess.CompletedProcess[str]:
    program = tar.with_name("verify.pyz")
    program.write_bytes(bundle.files["verify.pyz"])
    command = [sys.executable, str(program), str(tar), "--key", str(key)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_provenance_of_this_bundle_is_shown_and_is_not_its_identity(
    small_bundle: SmallBundle, key: PrivateKey, tmp_path: Path, public_key_file: Path
) -> None:
    raw = envelope(payload(small_bundle), key)
    tar = attached(small_bundle, raw).write(tmp_path / "b.tar")
    verified = verify_by_both(tar, key=key.public, progress=QuietProgress(), now=NOW)
    assert verified.report.digest == small_bundle.attachments.bundle
    assert verified.report.provenance["builder"] == "https://ci.example/runner"
    assert verified.report.provenance["keyid"] == key.public.keyid
    assert "built     by https://ci.example/runner" in verified.report.to_text()
    assert verified.envelope == raw
    done = verify_with_pyz(small_bundle, tar, public_key_file)
    assert (done.returncode, "built     by https://ci.example/runner" in done.stdout) == (0, True)


def test_openssl_accepts_the_provenances_signature(
    small_bundle: SmallBundle, key: PrivateKey, tmp_path: Path, public_key_file: Path
) -> None:
    document = json.loads(envelope(payload(small_bundle), key))["dsseEnvelope"]
    said = base64.b64decode(document["payload"])
    head = f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(said)} ".encode()
    (tmp_path / "pae").write_bytes(head + said)
    (tmp_path / "sig").write_bytes(base64.b64decode(document["signatures"][0]["sig"]))
    command = ["openssl", "dgst", "-sha256", "-verify", str(public_key_file), "-signature", "sig", "pae"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "Verified OK")


def drop_an_image(statement: dict[str, Any]) -> None:
    statement["subject"].pop()


def name_another_image(statement: dict[str, Any]) -> None:
    statement["subject"][1]["digest"]["sha256"] = "2" * 64


def name_one_more_thing(statement: dict[str, Any]) -> None:
    statement["subject"].append({"name": "other", "digest": {"sha256": "3" * 64}})


def name_a_subject_twice(statement: dict[str, Any]) -> None:
    statement["subject"].append(statement["subject"][0])


def speak_of_another_bundle(statement: dict[str, Any]) -> None:
    statement["subject"][0]["digest"]["sha256"] = "4" * 64


def be_of_another_predicate(statement: dict[str, Any]) -> None:
    statement["predicateType"] = "https://slsa.dev/provenance/v0.2"


def be_no_statement(statement: dict[str, Any]) -> None:
    statement["_type"] = "https://in-toto.io/Statement/v0.1"


def lack_the_builder(statement: dict[str, Any]) -> None:
    del statement["predicate"]["runDetails"]["builder"]


def have_a_builder_that_rings(statement: dict[str, Any]) -> None:
    statement["predicate"]["runDetails"]["builder"]["id"] = "x\x1b[2J"


def have_subjects_of_another_type(statement: dict[str, Any]) -> None:
    statement["subject"] = "bundle.json"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (drop_an_image, "speaks of another bundle"),
        (name_another_image, "speaks of another bundle"),
        (name_one_more_thing, "speaks of another bundle"),
        (name_a_subject_twice, "speaks of another bundle"),
        (speak_of_another_bundle, "speaks of another bundle"),
        (have_subjects_of_another_type, "names no subjects"),
        (be_of_another_predicate, "no in-toto statement v1 with SLSA's predicate v1"),
        (be_no_statement, "no in-toto statement v1 with SLSA's predicate v1"),
        (lack_the_builder, "lacks what SLSA's predicate v1 requires"),
        (have_a_builder_that_rings, "too long or not printable"),
    ],
)
def test_a_wrong_provenance_is_refused_although_our_key_signed_it(
    small_bundle: SmallBundle,
    key: PrivateKey,
    tmp_path: Path,
    public_key_file: Path,
    spoil: Callable[[dict[str, Any]], object],
    message: str,
) -> None:
    tar = attached(small_bundle, envelope(payload(small_bundle, spoil), key)).write(tmp_path / "b.tar")
    with pytest.raises(VerificationError, match=message) as refusal:
        verify_by_both(tar, key=key.public, progress=QuietProgress(), now=NOW)
    assert refusal.value.step == 7
    done = verify_with_pyz(small_bundle, tar, public_key_file)
    assert (done.returncode, message in done.stderr) == (1, True)


def test_a_provenance_by_another_key_is_refused(
    small_bundle: SmallBundle, key: PrivateKey, tmp_path: Path
) -> None:
    raw = envelope(payload(small_bundle), PrivateKey.generate())
    tar = attached(small_bundle, raw).write(tmp_path / "b.tar")
    with pytest.raises(VerificationError, match="not signed by a key that may sign this bundle"):
        verify_by_both(tar, key=key.public, progress=QuietProgress(), now=NOW)


def test_a_provenance_by_another_signer_of_the_bundle_is_told_and_not_judged(
    small_bundle: SmallBundle, key: PrivateKey, tmp_path: Path
) -> None:
    tar = attached(small_bundle, envelope(payload(small_bundle), key)).write(tmp_path / "b.tar")
    second = PrivateKey.generate()
    add_signature(tar, second, trust=key.public, now=NOW, progress=QuietProgress())
    verified = verify_by_both(tar, key=second.public, progress=QuietProgress(), now=NOW)
    assert verified.provenance is None
    assert "its provenance is by a signer who is not trusted here" in verified.report.notes


def test_mix_and_match_of_two_bundles_of_one_key_is_refused(
    small_bundle: SmallBundle, key: PrivateKey, tmp_path: Path
) -> None:
    other = small_bundle.with_manifest(version="0.0.9")
    tar = attached(small_bundle, envelope(payload(other), key)).write(tmp_path / "b.tar")
    with pytest.raises(VerificationError, match="speaks of another bundle"):
        verify_by_both(tar, key=key.public, progress=QuietProgress(), now=NOW)


def test_two_provenances_are_refused(small_bundle: SmallBundle, key: PrivateKey, tmp_path: Path) -> None:
    one, two = envelope(payload(small_bundle), key), envelope(payload(small_bundle) + b" ", key)
    tar = attached(small_bundle, one, two).write(tmp_path / "b.tar")
    with pytest.raises(VerificationError, match="more than one provenance"):
        verify_by_both(tar, key=key.public, progress=QuietProgress(), now=NOW)


@pytest.mark.parametrize("changes", [{"media_type": "application/json"}, {"subject": "sha256:" + "5" * 64}])
def test_a_provenance_attached_to_another_thing_is_refused(
    small_bundle: SmallBundle, key: PrivateKey, tmp_path: Path, changes: dict[str, str]
) -> None:
    raw = envelope(payload(small_bundle), key)
    tar = attached(small_bundle, raw, **changes).write(tmp_path / "b.tar")
    with pytest.raises(VerificationError, match="not attached to this bundle as a sigstore bundle"):
        verify_by_both(tar, key=key.public, progress=QuietProgress(), now=NOW)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b'{"a":1}',
        b"not json",
        b"[" * 100_000,
        b'{"mediaType":1,"verificationMaterial":[],"dsseEnvelope":{}}',
    ],
    ids=["empty", "no bundle", "no JSON", "bomb", "wrong types"],
)
def test_hostile_bytes_as_a_provenance_are_refused(
    small_bundle: SmallBundle, key: PrivateKey, tmp_path: Path, raw: bytes
) -> None:
    tar = attached(small_bundle, raw).write(tmp_path / "b.tar")
    with pytest.raises(VerificationError) as refusal:
        verify_by_both(tar, key=key.public, progress=QuietProgress(), now=NOW)
    assert refusal.value.step == 7


def test_a_deep_payload_and_another_payload_type_are_refused(
    small_bundle: SmallBundle, key: PrivateKey, tmp_path: Path
) -> None:
    message = message_bundle(key.public.keyid, b"x", key.sign(b"x"))
    deep = envelope(b'{"_type":' + b"[" * 50_000 + b"]" * 50_000 + b"}", key)
    other = envelope(payload(small_bundle), key, "application/json")
    for index, raw in enumerate((message, deep, other)):
        tar = attached(small_bundle, raw).write(tmp_path / f"{index}.tar")
        with pytest.raises(VerificationError):
            verify_by_both(tar, key=key.public, progress=QuietProgress(), now=NOW)


@pytest.mark.parametrize("size", [b"-0000000001", b"-7777777777", b"     +1_000", b"77777777777"])
def test_a_look_at_a_header_with_an_odd_size_reads_nothing_of_that_size(
    size: bytes, bundle_tar: Path
) -> None:
    raw = bytearray(bundle_tar.read_bytes())
    at = raw.index(b"attachments.json\0")
    raw[at + 124 : at + 135] = size.rjust(11)
    bundle_tar.write_bytes(raw)
    with pytest.raises(SigningError, match="not a bundle's tar at 'attachments.json"):
        look_into(bundle_tar, None, QuietProgress())


def test_a_look_without_a_key_says_that_nothing_was_checked(
    small_bundle: SmallBundle, key: PrivateKey, tmp_path: Path
) -> None:
    sbom = b'{"bomFormat":"CycloneDX"}'
    listed = (*small_bundle.manifest.files, FileEntry(SBOM_NAME, sha256(sbom), len(sbom)))
    ordered = tuple(sorted(listed, key=lambda entry: entry.path))
    bundle = replace(small_bundle.with_manifest(files=ordered), files={**small_bundle.files, SBOM_NAME: sbom})
    forged = envelope(payload(bundle), PrivateKey.generate())
    tar = attached(bundle, forged).write(tmp_path / "b.tar")
    look = look_into(tar, None, QuietProgress())
    assert (look.verified, look.sbom, look.envelope) == (False, sbom, forged)
    assert look.provenance is not None
    assert look.provenance.keyid == ""
    with pytest.raises(VerificationError):
        look_into(tar, key.public, QuietProgress())
    good = attached(bundle, envelope(payload(bundle), key)).write(tmp_path / "good.tar")
    seen = look_into(good, key.public, QuietProgress())
    assert (seen.verified, seen.sbom) == (True, sbom)
