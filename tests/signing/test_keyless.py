"""Identities instead of keys: a private sigstore's bundles, judged offline by the sigstore library (A7, A8)."""

import hashlib
import json
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec
from tests.signing.conftest import SmallBundle
from tests.signing.private_sigstore import BEGIN, ISSUER, WHO, PrivateSigstore

from routeiq_appliance.cli.main import main
from routeiq_signing.errors import VerificationError
from routeiq_signing.keyless import Identity, keyless_path, verify_keyless_blob


@pytest.fixture(scope="module")
def sigstore() -> PrivateSigstore:
    return PrivateSigstore()


@pytest.fixture(scope="module")
def identity(sigstore: PrivateSigstore) -> Identity:
    return Identity(WHO, ISSUER, sigstore.trusted_root())


@pytest.fixture
def signed_tar(bundle_tar: Path, small_bundle: SmallBundle, sigstore: PrivateSigstore) -> Path:
    keyless_path(bundle_tar, "bundle.json").write_bytes(sigstore.sign(small_bundle.manifest.to_bytes()))
    keyless_path(bundle_tar, "attachments.json").write_bytes(
        sigstore.sign(small_bundle.attachments.to_bytes())
    )
    return bundle_tar


def arguments(tar: Path, root: bytes, **changed: str) -> list[str]:
    file = tar.with_name("trusted_root.json")
    file.write_bytes(root)
    given = {
        "--identity": WHO,
        "--issuer": ISSUER,
        "--trusted-root": str(file),
        "--trusted-root-sha256": hashlib.sha256(root).hexdigest(),
        **changed,
    }
    return ["bundle", "verify", str(tar), "--json", *(part for pair in given.items() for part in pair)]


def verify(tar: Path, root: bytes, **changed: str) -> Result:
    return CliRunner().invoke(main, arguments(tar, root, **changed))


def refusal(result: Result) -> str:
    assert result.exit_code == 1, result.output
    document = json.loads(result.stdout)
    assert document["accepted"] is False
    return str(document["error"])


def test_a_bundle_signed_by_the_identity_is_accepted(signed_tar: Path, sigstore: PrivateSigstore) -> None:
    result = verify(signed_tar, sigstore.trusted_root())
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["trust"] == "one identity"
    assert report["notes"][0] == f"signed by {WHO}, issuer {ISSUER}"
    assert "no rollback protection" in report["lacks"]


def test_another_identity_is_refused(signed_tar: Path, sigstore: PrivateSigstore) -> None:
    said = refusal(verify(signed_tar, sigstore.trusted_root(), **{"--identity": "mallory@example.org"}))
    assert "not a signature by mallory@example.org" in said


def test_the_identity_of_another_issuer_is_refused(signed_tar: Path, sigstore: PrivateSigstore) -> None:
    said = refusal(verify(signed_tar, sigstore.trusted_root(), **{"--issuer": "https://evil.example.org"}))
    assert "issuer https://evil.example.org" in said


@pytest.mark.parametrize("option", ["identity", "issuer"])
@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_identity_or_issuer_does_not_mean_anybodys(
    option: str, empty: str, signed_tar: Path, sigstore: PrivateSigstore
) -> None:
    """`--issuer "$ISSUER"` with the variable unset: the library would ask for no issuer at all."""
    result = verify(signed_tar, sigstore.trusted_root(), **{f"--{option}": empty})
    assert f"the {option} is empty" in refusal(result)


@pytest.mark.parametrize(
    ("who", "issuer"),
    [
        (WHO.upper(), ISSUER),
        (".*", ISSUER),
        (WHO + "x", ISSUER),
        (WHO[:-1], ISSUER),
        ("mailto:" + WHO, ISSUER),
        (WHO, ISSUER + "/"),
        (WHO, ISSUER[:-1]),
        (WHO, ISSUER.upper()),
        (WHO, ".*"),
    ],
)
def test_identity_and_issuer_are_compared_to_the_letter(
    who: str, issuer: str, sigstore: PrivateSigstore
) -> None:
    identity = Identity(who, issuer, sigstore.trusted_root())
    refused(sigstore.sign(b"document"), identity, "does not match|Certificate's")


def test_a_trusted_root_that_was_not_pinned_is_refused(signed_tar: Path) -> None:
    said = refusal(
        verify(signed_tar, PrivateSigstore().trusted_root(), **{"--trusted-root-sha256": "0" * 64})
    )
    assert "not the one that was pinned" in said


def test_the_certificate_of_another_sigstore_is_refused(signed_tar: Path) -> None:
    assert "not a signature by" in refusal(verify(signed_tar, PrivateSigstore().trusted_root()))


@pytest.mark.parametrize("document", ["bundle.json", "attachments.json"])
def test_a_document_that_nobody_signed_is_refused(
    document: str, signed_tar: Path, sigstore: PrivateSigstore
) -> None:
    keyless_path(signed_tar, document).unlink()
    assert f"{document}.sigstore.json: missing" in refusal(verify(signed_tar, sigstore.trusted_root()))


def test_other_attachments_than_the_signed_ones_are_refused(
    signed_tar: Path, small_bundle: SmallBundle, sigstore: PrivateSigstore
) -> None:
    keyless_path(signed_tar, "attachments.json").write_bytes(sigstore.sign(b"other attachments"))
    said = refusal(verify(signed_tar, sigstore.trusted_root()))
    assert "attachments.json.sigstore.json: not a signature" in said


def test_a_changed_tar_is_refused(signed_tar: Path, sigstore: PrivateSigstore) -> None:
    raw = bytearray(signed_tar.read_bytes())
    raw[len(raw) // 2] ^= 1
    signed_tar.write_bytes(raw)
    assert refusal(verify(signed_tar, sigstore.trusted_root()))


def test_a_part_of_the_options_is_a_usage_error(signed_tar: Path) -> None:
    result = CliRunner().invoke(main, ["bundle", "verify", str(signed_tar), "--identity", WHO])
    assert result.exit_code == 2
    assert "go together" in result.stderr


def test_a_key_and_an_identity_exclude_each_other(
    signed_tar: Path, public_key_file: Path, sigstore: PrivateSigstore
) -> None:
    result = CliRunner().invoke(
        main, [*arguments(signed_tar, sigstore.trusted_root()), "--key", str(public_key_file)]
    )
    assert result.exit_code == 2


# What the library refuses, and that we hand it on as one error that names the file.
def refused(bundle: bytes, identity: Identity, match: str) -> None:
    with pytest.raises(VerificationError, match=match) as error:
        verify_keyless_blob(bundle, b"document", identity, "d.sigstore.json")
    assert str(error.value).startswith("d.sigstore.json: not a signature by")


def test_a_log_entry_of_another_artifact_is_refused(sigstore: PrivateSigstore, identity: Identity) -> None:
    """CVE-2022-36056: a valid entry, but of something else."""
    refused(sigstore.sign(b"document", logged=b"another"), identity, "inconsistent with other materials")


def test_a_signature_after_the_certificate_expired_is_refused(
    sigstore: PrivateSigstore, identity: Identity
) -> None:
    refused(sigstore.sign(b"document", at=BEGIN + timedelta(hours=1)), identity, "certificate")


def test_a_checkpoint_by_another_log_is_refused(sigstore: PrivateSigstore, identity: Identity) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    refused(sigstore.sign(b"document", checkpoint_by=other), identity, "checkpoint")


def test_a_promise_that_was_changed_is_refused(sigstore: PrivateSigstore, identity: Identity) -> None:
    bundle = json.loads(sigstore.sign(b"document"))
    bundle["verificationMaterial"]["tlogEntries"][0]["integratedTime"] = str(int(BEGIN.timestamp()) + 60)
    refused(json.dumps(bundle).encode(), identity, "inclusion promise")


def test_the_signature_of_another_document_is_refused(sigstore: PrivateSigstore, identity: Identity) -> None:
    refused(sigstore.sign(b"another"), identity, "digest mismatch|invalid for input")


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"{}", b'{"mediaType": "x"}', b"\xff\xfe"])
def test_what_is_no_bundle_is_refused(raw: bytes, identity: Identity) -> None:
    with pytest.raises(VerificationError, match="not a signature by"):
        verify_keyless_blob(raw, b"document", identity, "d")


@pytest.mark.parametrize("root", [b"", b"{}", b'{"mediaType": "x", "tlogs": []}', b"\xff"])
def test_a_broken_trusted_root_is_refused(root: bytes, sigstore: PrivateSigstore) -> None:
    with pytest.raises(VerificationError, match="the trusted root cannot be used"):
        verify_keyless_blob(sigstore.sign(b"document"), b"document", Identity(WHO, ISSUER, root), "d")


_NO_SOCKET = """
import socket, sys
def refuse(*_, **__): raise AssertionError("a connection was tried")
sys.addaudithook(lambda event, _: refuse() if event.startswith(("socket.connect", "socket.getaddrinfo")) else None)
from routeiq_appliance.cli.main import main
main()
"""


def _works(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_nothing_is_looked_up(signed_tar: Path, sigstore: PrivateSigstore, tmp_path: Path) -> None:
    """No name is resolved and no connection is tried; where namespaces are allowed, in one without any network."""
    command = [sys.executable, "-c", _NO_SOCKET, *arguments(signed_tar, sigstore.trusted_root())]
    bare = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path / "home")}
    alone = ["unshare", "--net", "--map-root-user"]
    if shutil.which("unshare") and _works([*alone, "true"]):
        command = [*alone, *command]
    done = subprocess.run(command, env=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["accepted"] is True
    assert not (tmp_path / "home").exists()  # no cache of a TUF repository was made
