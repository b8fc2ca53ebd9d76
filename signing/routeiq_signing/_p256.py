"""ECDSA P-256 verification in plain Python, for hosts that have nothing but Python.

Verification handles public values only, so it need not run in constant time. Sources: FIPS 186-5 section 6.4.2,
SEC 1 section 4.1.4, curve constants of SP 800-186. Points are Jacobian (x/z^2, y/z^3). Standard library only,
Python 3.9. Held against `cryptography` and Wycheproof-like edge cases by tests; the `routeiq` command uses
`cryptography`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Optional, Tuple

from routeiq_signing.errors import KeyFileError

__all__ = [
    "B",
    "G",
    "N",
    "P",
    "Point",
    "combine",
    "read_der",
    "read_public_pem",
    "refuse_private_pem",
    "subject_public_key_info",
    "verify",
]

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
# SubjectPublicKeyInfo of an uncompressed P-256 point up to the point itself (RFC 5480); DER has one spelling.
_SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")

Point = Tuple[int, int]
_Jacobian = Tuple[int, int, int]
_PEM = re.compile(rb"\s*-----BEGIN PUBLIC KEY-----\s+([A-Za-z0-9+/=\s]+?)\s*-----END PUBLIC KEY-----\s*\Z")


def refuse_private_pem(pem: bytes, what: str) -> None:
    """Raise `KeyFileError` for a private key, of whatever form, where a public one belongs."""
    if b"PRIVATE KEY-----" in pem:
        raise KeyFileError(
            f"{what}: is a private key, and a public one is wanted",
            subject=what,
            hint="give the public half, the file in `.pub`; if the private key was carried here, replace it",
        )


def read_public_pem(pem: bytes, what: str) -> tuple[str, Point]:
    """Return (keyid, point) of a PEM public key; raises `KeyFileError` unless it is a valid P-256 point."""
    refuse_private_pem(pem, what)
    match = _PEM.match(pem)
    try:
        der = base64.b64decode(b"".join(match.group(1).split()), validate=True) if match else b""
    except binascii.Error:
        der = b""
    if len(der) != 91 or not der.startswith(_SPKI) or der[26] != 4:
        raise KeyFileError(f"{what}: no PEM public key of ECDSA P-256", subject=what)
    x, y = int.from_bytes(der[27:59], "big"), int.from_bytes(der[59:91], "big")
    if x >= P or y >= P or (y * y - (x * x * x - 3 * x + B)) % P:
        raise KeyFileError(f"{what}: its point is not on P-256", subject=what)
    return hashlib.sha256(der).hexdigest(), (x, y)


def subject_public_key_info(point: Point) -> bytes:
    """Return the DER SubjectPublicKeyInfo of `point`."""
    return _SPKI + b"\4" + point[0].to_bytes(32, "big") + point[1].to_bytes(32, "big")


def verify(point: Point, signature: bytes, message: bytes) -> bool:
    """Tell whether the DER `signature` over SHA-256 of `message` is `point`'s."""
    pair = read_der(signature)
    if pair is None:
        return False
    r, s = pair
    if not (0 < r < N and 0 < s < N):
        return False
    digest = int.from_bytes(hashlib.sha256(message).digest(), "big")
    inverse = pow(s, -1, N)
    total = combine(digest * inverse % N, G, r * inverse % N, point)
    return total is not None and total[0] % N == r


def read_der(raw: bytes) -> Optional[tuple[int, int]]:
    """Return (r, s) of a DER SEQUENCE of two INTEGERs in its one shortest spelling, else None."""
    if len(raw) < 8 or len(raw) > 72 or raw[0] != 0x30 or raw[1] != len(raw) - 2:
        return None
    numbers = []
    rest = raw[2:]
    for _ in range(2):
        if len(rest) < 3 or rest[0] != 2 or not 0 < rest[1] <= len(rest) - 2:
            return None
        body, rest = rest[2 : 2 + rest[1]], rest[2 + rest[1] :]
        if body[0] & 0x80 or (len(body) > 1 and body[0] == 0 and not body[1] & 0x80):
            return None
        numbers.append(int.from_bytes(body, "big"))
    return None if rest else (numbers[0], numbers[1])


def combine(a: int, first: Point, b: int, second: Point) -> Optional[Point]:
    """Return a·first + b·second, or None for the point at infinity; both scalars are below N."""
    x, y, z = _sum_of_products(a, first, b, second)
    if z == 0:
        return None
    return x * pow(z, -2, P) % P, y * pow(z, -3, P) % P


def _sum_of_products(a: int, first: Point, b: int, second: Point) -> _Jacobian:
    """Return a·first + b·second by reading both scalars bit by bit together (Shamir's trick)."""
    one, two = (first[0], first[1], 1), (second[0], second[1], 1)
    both = _add(one, two)
    result: _Jacobian = (0, 1, 0)
    for bit in range(255, -1, -1):
        result = _double(result)
        pick = (a >> bit & 1, b >> bit & 1)
        if pick == (1, 1):
            result = _add(result, both)
        elif pick == (1, 0):
            result = _add(result, one)
        elif pick == (0, 1):
            result = _add(result, two)
    return result


def _double(point: _Jacobian) -> _Jacobian:
    x, y, z = point
    if z == 0 or y == 0:
        return (0, 1, 0)
    square = y * y % P
    s = 4 * x * square % P
    m = 3 * (x - z * z) * (x + z * z) % P
    x3 = (m * m - 2 * s) % P
    return (x3, (m * (s - x3) - 8 * square * square) % P, 2 * y * z % P)


def _add(one: _Jacobian, two: _Jacobian) -> _Jacobian:
    if one[2] == 0:
        return two
    if two[2] == 0:
        return one
    z1, z2 = one[2] * one[2] % P, two[2] * two[2] % P
    u1, u2 = one[0] * z2 % P, two[0] * z1 % P
    s1, s2 = one[1] * z2 * two[2] % P, two[1] * z1 * one[2] % P
    if u1 == u2:
        return _double(one) if s1 == s2 else (0, 1, 0)
    h, r = (u2 - u1) % P, (s2 - s1) % P
    square = h * h % P
    cube, v = h * square % P, u1 * square % P
    x3 = (r * r - cube - 2 * v) % P
    return (x3, (r * (v - x3) - s1 * cube) % P, h * one[2] * two[2] % P)
