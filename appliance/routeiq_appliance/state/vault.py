"""Encrypts what the database must not be able to read: AES-256-GCM under a key derived from `ROUTEIQ_STORE_KEY`.

A sealed value is one byte of version, a nonce of 12 random bytes, the ciphertext and its tag. It opens only for the
row it was sealed for (`owner`, authenticated, not stored): whoever may write to the database cannot move one to another
row.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from routeiq_appliance.errors import StateError

__all__ = ["Vault"]

_VERSION = b"\x01"
_NONCE_BYTES = 12


class Vault:
    """Thread-safe. `secret` is long and random (settings want 32 characters): it is not stretched."""

    def __init__(self, secret: bytes) -> None:
        derived = HKDF(SHA256(), 32, salt=None, info=b"routeiq store, version 1").derive(secret)
        self._cipher = AESGCM(derived)

    def seal(self, plain: bytes, owner: str) -> bytes:
        """Return `plain`, sealed for the row `owner`."""
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, plain, owner.encode())

    def open(self, sealed: bytes, owner: str) -> bytes:
        """Return what was sealed; raises `StateError` for another key, another row, or other bytes."""
        nonce, text = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        if sealed[:1] == _VERSION and len(nonce) == _NONCE_BYTES:
            try:
                return self._cipher.decrypt(nonce, text, owner.encode())
            except InvalidTag:
                pass
        raise StateError(
            f"models: row {owner[:64]!r} does not open with ROUTEIQ_STORE_KEY",
            subject="ROUTEIQ_STORE_KEY",
            hint="set it to the secret that the models were stored under, the same for all replicas",
        )
