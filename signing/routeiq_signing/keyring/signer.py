"""What signs: a private key wherever it is kept, in memory or in a token that never gives it out. Python 3.9."""

from __future__ import annotations

from typing import Protocol

from routeiq_signing.keys import PublicKey

__all__ = ["Signer"]


class Signer(Protocol):
    """An ECDSA P-256 key. A key in memory signs the same bytes the same way each time; a token need not."""

    @property
    def public(self) -> PublicKey:
        """Return its public half."""

    def sign(self, message: bytes) -> bytes:
        """Return the DER signature over SHA-256 of `message`; raises `KeyFileError` when the key does not answer."""
