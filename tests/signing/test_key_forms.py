"""Key files of either form: foreign ones open, hostile ones cost nothing, broken ones are one error (I8)."""

import base64
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st
from nacl.secret import SecretBox

from routeiq_appliance.cli.main import main
from routeiq_signing.errors import KeyFileError
from routeiq_signing.keyring.cost import check_pkcs8_cost
from routeiq_signing.keys import PrivateKey, generate_key_files, key_form, load_private_key


def cosign_file(
    inner: bytes, *, label: str = "ENCRYPTED SIGSTORE PRIVATE KEY", n: int = 32768, **changed: Any
) -> bytes:
    """Write the format by hand, as cosign does, with libsodium."""
    salt, nonce = os.urandom(32), os.urandom(24)
    key = hashlib.scrypt(b"hello", salt=salt, n=32768, r=8, p=1, dklen=32, maxmem=1 << 27)
    document: dict[str, Any] = {
        "kdf": {
            "name": "scrypt",
            "params": {"N": n, "r": 8, "p": 1},
            "salt": base64.b64encode(salt).decode(),
        },
        "cipher": {"name": "nacl/secretbox", "nonce": base64.b64encode(nonce).decode()},
        "ciphertext": base64.b64encode(SecretBox(key).encrypt(inner, nonce).ciphertext).decode(),
        **changed,
    }
    body = base64.encodebytes(json.dumps(document).encode()).decode()
    return f"-----BEGIN {label}-----\n{body}-----END {label}-----\n".encode()


def pkcs8(key: Any) -> bytes:
    return bytes(
        key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


@pytest.fixture(scope="module")
def foreign() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize("label", ["ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"])
def test_a_key_that_cosign_wrote_opens(label: str, foreign: ec.EllipticCurvePrivateKey) -> None:
    opened = PrivateKey.from_pem(cosign_file(pkcs8(foreign), label=label), b"hello", "k")
    assert opened.public.verifies(opened.sign(b"m"), b"m")
    der = foreign.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert opened.public.der == der


def test_a_key_that_we_write_in_cosigns_form_opens_with_libsodium(tmp_path: Path) -> None:
    made = generate_key_files(tmp_path / "k", b"hello", "cosign")
    pem = (tmp_path / "k").read_bytes()
    assert key_form(pem) == "cosign"
    document = json.loads(base64.b64decode(b"".join(pem.splitlines()[1:-1])))
    assert document["kdf"]["params"] == {"N": 65536, "r": 8, "p": 1}
    salt = base64.b64decode(document["kdf"]["salt"])
    key = hashlib.scrypt(b"hello", salt=salt, n=65536, r=8, p=1, dklen=32, maxmem=1 << 28)
    inner = SecretBox(key).decrypt(
        base64.b64decode(document["ciphertext"]), base64.b64decode(document["cipher"]["nonce"])
    )
    assert inner == pkcs8(serialization.load_der_private_key(inner, None))
    assert load_private_key(tmp_path / "k", lambda: b"hello").public.keyid == made.public.keyid


def test_a_wrong_passphrase_for_a_cosign_key_is_refused(foreign: ec.EllipticCurvePrivateKey) -> None:
    with pytest.raises(KeyFileError, match="k: cannot be opened with this passphrase"):
        PrivateKey.from_pem(cosign_file(pkcs8(foreign)), b"other", "k")


def test_a_cosign_file_around_another_kind_of_key_is_refused() -> None:
    with pytest.raises(KeyFileError, match="not an ECDSA P-256 key"):
        PrivateKey.from_pem(cosign_file(pkcs8(ed25519.Ed25519PrivateKey.generate())), b"hello", "k")


def never(*_: Any, **__: Any) -> Any:
    raise AssertionError("the work was begun")


@pytest.mark.parametrize("n", [1 << 30, 1 << 62, 0, -1, 32767, 1 << 18])
def test_scrypt_bomb_in_a_cosign_key_is_refused_before_any_work(
    n: int, foreign: ec.EllipticCurvePrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = cosign_file(pkcs8(foreign), n=n)
    monkeypatch.setattr(hashlib, "scrypt", never)
    with pytest.raises(KeyFileError, match="scrypt|damaged"):
        PrivateKey.from_pem(pem, b"hello", "k")


_UNKNOWN: dict[str, dict[str, Any]] = {
    "kdf": {"kdf": {"name": "argon2", "params": {"N": 1, "r": 1, "p": 1}, "salt": ""}},
    "cipher": {"cipher": {"name": "aes", "nonce": base64.b64encode(bytes(24)).decode()}},
    "nonce": {"cipher": {"name": "nacl/secretbox", "nonce": "AAAA"}},
    "kdf_of_another_type": {"kdf": []},
    "numbers_as_text": {"kdf": {"name": "scrypt", "params": {"N": "1", "r": "1", "p": "1"}, "salt": ""}},
    "no_ciphertext": {"ciphertext": 1},
    "empty_ciphertext": {"ciphertext": ""},
}


@pytest.mark.parametrize("name", _UNKNOWN)
def test_a_cosign_key_of_another_making_is_refused(name: str, foreign: ec.EllipticCurvePrivateKey) -> None:
    with pytest.raises(KeyFileError, match=r"^k: "):
        PrivateKey.from_pem(cosign_file(pkcs8(foreign), **_UNKNOWN[name]), b"hello", "k")


@pytest.fixture(scope="module")
def ours() -> dict[str, bytes]:
    key = PrivateKey.generate()
    return {"pkcs8": key.to_pem(b"hello"), "cosign": key.to_pem(b"hello", "cosign")}


@pytest.mark.parametrize("form", ["pkcs8", "cosign"])
@pytest.mark.parametrize("keep", [30, 100, 0.5, 0.9])
def test_a_truncated_key_file_is_one_error(form: str, keep: float, ours: dict[str, bytes]) -> None:
    pem = ours[form]
    with pytest.raises(KeyFileError, match=r"^k: "):
        PrivateKey.from_pem(pem[: int(keep if keep > 1 else keep * len(pem))], b"hello", "k")


def pbes2(derivation: bytes) -> bytes:
    """Return the DER of an encrypted PKCS#8 key that asks for `derivation` (RFC 8018, appendix A)."""

    def sequence(*parts: bytes) -> bytes:
        body = b"".join(parts)
        assert len(body) < 256
        return bytes([0x30, 0x81, len(body)]) + body

    scheme = bytes.fromhex("06092a864886f70d01050d")
    cipher = sequence(bytes.fromhex("060960864801650304012a"), b"\x04\x10" + bytes(16))
    return sequence(sequence(scheme, sequence(derivation, cipher)), b"\x04\x10" + bytes(16))


def pbkdf2(iterations: bytes) -> bytes:
    body = b"\x04\x08" + bytes(8) + bytes([0x02, len(iterations)]) + iterations
    inner = bytes([0x30, len(body)]) + body
    kind = bytes.fromhex("06092a864886f70d01050c")
    return bytes([0x30, len(kind + inner)]) + kind + inner


def scrypt(n: bytes) -> bytes:
    body = b"\x04\x08" + bytes(8) + bytes([0x02, len(n)]) + n + b"\x02\x01\x08\x02\x01\x01"
    inner = bytes([0x30, len(body)]) + body
    kind = bytes.fromhex("06092b06010401da47040b")
    return bytes([0x30, len(kind + inner)]) + kind + inner


BOMBS = {
    "pbkdf2_of_two_thousand_million": (pbkdf2(b"\x7f\xff\xff\xff"), "iterations of PBKDF2"),
    "pbkdf2_of_none": (pbkdf2(b"\0"), "iterations of PBKDF2"),
    "pbkdf2_of_less_than_none": (pbkdf2(b"\xff"), "iterations of PBKDF2"),
    "scrypt_of_a_terabyte": (scrypt(b"\x40\0\0\0"), "scrypt"),
    "scrypt_of_no_power_of_two": (scrypt(b"\x03"), "scrypt"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_kdf_bomb_in_pkcs8_is_refused_before_any_work(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    derivation, message = BOMBS[name]
    body = base64.encodebytes(pbes2(derivation)).decode()
    pem = f"-----BEGIN ENCRYPTED PRIVATE KEY-----\n{body}-----END ENCRYPTED PRIVATE KEY-----\n".encode()
    monkeypatch.setattr(serialization, "load_pem_private_key", never)
    with pytest.raises(KeyFileError, match=message):
        PrivateKey.from_pem(pem, b"hello", "k")


@pytest.mark.parametrize("derivation", [pbkdf2(b"\x08\x00"), pbkdf2(b"\x09\x27\xc0"), scrypt(b"\x01\0\0")])
def test_what_openssl_writes_is_affordable(derivation: bytes) -> None:
    check_pkcs8_cost(pbes2(derivation), "k")


@given(st.binary(max_size=200))
def test_any_bytes_in_a_key_file_are_one_error(noise: bytes) -> None:
    with pytest.raises(KeyFileError):
        check_pkcs8_cost(noise, "k")
    for label in ("ENCRYPTED PRIVATE KEY", "ENCRYPTED SIGSTORE PRIVATE KEY"):
        body = base64.b64encode(noise)
        with pytest.raises(KeyFileError):
            PrivateKey.from_pem(
                f"-----BEGIN {label}-----\n".encode() + body + f"\n-----END {label}-----\n".encode(),
                b"x",
                "k",
            )


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Result]:
    (tmp_path / "one").write_bytes(b"first\n")
    (tmp_path / "two").write_bytes(b"second\n")
    return lambda *arguments: CliRunner().invoke(main, ["key", *map(str, arguments)])


@pytest.mark.parametrize("form", ["pkcs8", "cosign"])
def test_show_tells_form_and_fingerprint_and_no_secret(
    form: str, run: Callable[..., Result], tmp_path: Path
) -> None:
    secret = ("--passphrase-file", tmp_path / "one")
    made = json.loads(run("generate", "--out", tmp_path / "k", "--format", form, *secret, "--json").stdout)
    shown = json.loads(run("show", tmp_path / "k", *secret, "--json").stdout)
    public = json.loads(run("show", tmp_path / "k.pub", "--json").stdout)
    assert (shown["form"], public["form"]) == (form, "public")
    assert shown["keyid"] == public["keyid"] == made["keyid"]
    assert shown["public"] == (tmp_path / "k.pub").read_text()
    assert "PRIVATE" not in json.dumps(shown)


def test_show_refuses_a_wrong_passphrase_in_one_line(run: Callable[..., Result], tmp_path: Path) -> None:
    run("generate", "--out", tmp_path / "k", "--passphrase-file", tmp_path / "one")
    result = run("show", tmp_path / "k", "--passphrase-file", tmp_path / "two")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {tmp_path / 'k'}: cannot be opened with this passphrase")
    assert "second" not in result.output
