"""Keys: encrypted at rest, whole or not written, deterministic signatures (I8)."""

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from routeiq_signing.errors import KeyFileError, SigningError
from routeiq_signing.keys import (
    PrivateKey,
    PublicKey,
    ensure_development_key,
    generate_key_files,
    load_private_key,
    load_public_key,
)
from routeiq_signing.verify import small_keys


def test_a_key_comes_back_from_its_file(tmp_path: Path) -> None:
    made = generate_key_files(tmp_path / "k", b"secret")
    opened = load_private_key(tmp_path / "k", lambda: b"secret")
    assert opened.public.keyid == made.public.keyid == load_public_key(tmp_path / "k.pub").keyid
    assert (tmp_path / "k").stat().st_mode & 0o777 == 0o600
    assert b"ENCRYPTED" in (tmp_path / "k").read_bytes()


def test_a_wrong_passphrase_is_refused(tmp_path: Path) -> None:
    generate_key_files(tmp_path / "k", b"secret")
    with pytest.raises(KeyFileError, match="cannot be opened with this passphrase"):
        load_private_key(tmp_path / "k", lambda: b"other")


def test_an_empty_passphrase_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="passphrase is empty"):
        generate_key_files(tmp_path / "k", b"")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_key_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(b"precious")
    with pytest.raises(SigningError, match="exists already"):
        generate_key_files(tmp_path / "k", b"secret")
    assert (tmp_path / "k").read_bytes() == b"precious"
    assert not (tmp_path / "k.pub").exists()


def test_a_key_in_the_clear_is_refused(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(KeyFileError, match="no encrypted PKCS#8 or cosign key"):
        PrivateKey.from_pem(pem, b"", "k")


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)]
)
def test_other_kinds_of_key_are_refused(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    with pytest.raises(KeyFileError, match="not an ECDSA P-256 key"):
        PublicKey.from_pem(pem, "k")


def test_a_folder_in_the_place_of_a_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(SigningError, match=f"^{tmp_path}: not a regular file"):
        load_public_key(tmp_path)


def test_a_private_key_where_a_public_one_belongs_is_told_and_not_quoted(tmp_path: Path) -> None:
    for pem in (PrivateKey.generate().to_pem(b"passphrase"), b"-----BEGIN EC PRIVATE KEY-----\nc2VjcmV0\n"):
        for read in (PublicKey.from_pem, small_keys.PublicKey.from_pem):
            with pytest.raises(KeyFileError, match="^k: is a private key, and a public one is wanted$"):
                read(pem, "k")


def test_a_file_with_two_public_keys_is_refused(tmp_path: Path) -> None:
    """Whoever pins it believes that both count."""
    pem = PrivateKey.generate().public.pem + PrivateKey.generate().public.pem
    for read in (PublicKey.from_pem, small_keys.PublicKey.from_pem):
        with pytest.raises(KeyFileError, match="no PEM public key"):
            read(pem, "k")


def test_an_unknown_curve_is_refused() -> None:
    """A curve that the library does not know: one error, no traceback."""
    der = bytearray(PrivateKey.generate().public.der)
    at = der.index(bytes.fromhex("2a8648ce3d030107"))
    der[at + 7] = 0x7F
    text = base64.encodebytes(bytes(der)).decode()
    with pytest.raises(KeyFileError):
        PublicKey.from_pem(f"-----BEGIN PUBLIC KEY-----\n{text}-----END PUBLIC KEY-----\n".encode(), "k")


def test_signatures_are_deterministic() -> None:
    key = PrivateKey.generate()
    assert key.sign(b"m") == key.sign(b"m")
    assert key.public.verifies(key.sign(b"m"), b"m")
    assert not key.public.verifies(key.sign(b"m"), b"n")


def test_the_development_key_is_made_once(tmp_path: Path) -> None:
    assert (
        ensure_development_key(tmp_path / "keys").public.keyid
        == ensure_development_key(tmp_path / "keys").public.keyid
    )
    assert (tmp_path / "keys" / "development.passphrase").stat().st_mode & 0o777 == 0o600
