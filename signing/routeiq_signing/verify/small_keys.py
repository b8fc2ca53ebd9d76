"""`keys.PublicKey` in plain Python: stands as `routeiq_signing/keys.py` in `verify.pyz`, where no `cryptography` is.

Knows public keys of ECDSA P-256 in PEM and nothing else; tests hold it against `keys`. Standard library only,
Python 3.9.
"""

from __future__ import annotations

import base64

from routeiq_signing import _p256

__all__ = ["PublicKey"]


class PublicKey:
    """A P-256 public key; `keyid` is the hex SHA-256 of its DER SubjectPublicKeyInfo, `pem` its one spelling."""

    def __init__(self, der: bytes, keyid: str, point: _p256.Point) -> None:
        self.der = der
        self.keyid = keyid
        self._point = point
        text = base64.b64encode(der).decode("ascii")
        lines = [text[at : at + 64] for at in range(0, len(text), 64)]
        self.pem = "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""]).encode()

    @classmethod
    def from_pem(cls, pem: bytes, what: str) -> PublicKey:
        """Read a PEM public key; raises `KeyFileError` for anything but P-256."""
        keyid, point = _p256.read_public_pem(pem, what)
        return cls(_p256.subject_public_key_info(point), keyid, point)

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Tell whether the DER `signature` over SHA-256 of `message` is this key's."""
        return _p256.verify(self._point, signature, message)
