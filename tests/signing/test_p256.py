"""The verifier's own P-256 against `cryptography` and the edges of ECDSA."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from routeiq_signing._p256 import G, N, P, read_public_pem, verify
from routeiq_signing.errors import KeyFileError
from routeiq_signing.keys import PrivateKey

KEY = PrivateKey.generate()
KEYID, POINT = read_public_pem(KEY.public.pem, "key")


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=300))
def test_it_accepts_what_cryptography_signs(message: bytes) -> None:
    key = PrivateKey.generate()
    keyid, point = read_public_pem(key.public.pem, "key")
    signature = key.sign(message)
    assert keyid == key.public.keyid
    assert verify(point, signature, message)
    assert not verify(point, signature, message + b"x")
    assert not verify(POINT, signature, message)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 71), st.integers(1, 255))
def test_a_changed_signature_is_judged_as_cryptography_does(at: int, mask: int) -> None:
    signature = bytearray(KEY.sign(b"message"))
    signature[at % len(signature)] ^= mask
    assert verify(POINT, bytes(signature), b"message") == KEY.public.verifies(bytes(signature), b"message")


@pytest.mark.parametrize(
    ("r", "s"),
    [(0, 0), (0, 1), (1, 0), (N, 1), (1, N), (N + 1, 1), (P, 1), (1, 1), (N - 1, N - 1), (G[0] % N, 1)],
)
def test_numbers_at_the_edges_are_refused(r: int, s: int) -> None:
    assert not verify(POINT, encode_dss_signature(r, s), b"message")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x30\x00",
        b"\x30\x06\x02\x01\x00\x02\x01\x00",
        b"\x30\x06\x02\x01\x81\x02\x01\x01",
        b"\x31" * 70,
    ],
)
def test_broken_der_is_refused(raw: bytes) -> None:
    assert not verify(POINT, raw, b"message")


def test_a_longer_spelling_of_a_signature_is_refused() -> None:
    signature = KEY.sign(b"message")
    padded = (
        b"\x30" + bytes([signature[1] + 1]) + b"\x02" + bytes([signature[3] + 1]) + b"\x00" + signature[4:]
    )
    assert not verify(POINT, padded, b"message")


def pem(der: bytes) -> bytes:
    return b"-----BEGIN PUBLIC KEY-----\n" + base64.encodebytes(der) + b"-----END PUBLIC KEY-----\n"


def test_a_point_off_the_curve_is_refused() -> None:
    der = bytearray(KEY.public.der)
    der[-1] ^= 1
    with pytest.raises(KeyFileError, match="not on P-256"):
        read_public_pem(pem(bytes(der)), "key.pem")


@pytest.mark.parametrize("raw", [b"", b"x", pem(b"\x30\x00"), pem(b"\x00" * 91), KEY.to_pem(b"p")])
def test_what_is_no_p256_key_is_refused(raw: bytes) -> None:
    with pytest.raises(KeyFileError, match="no PEM public key|is a private key"):
        read_public_pem(raw, "key.pem")
