"""Which public keys may have made an ECDSA P-256 signature: at most four (SEC 1, section 4.1.6).

A keyid is the digest of a public key, so signature, message and keyid together prove that this key signed, without
the key being known. Public values only. Standard library only, Python 3.9.
"""

from __future__ import annotations

import hashlib

from routeiq_signing import _p256

__all__ = ["recover_public_key"]


def recover_public_key(signature: bytes, message: bytes, keyid: str) -> bytes | None:
    """Return the DER public key named `keyid` when it made `signature` over SHA-256 of `message`, else None."""
    pair = _p256.read_der(signature)
    if pair is None or not (0 < pair[0] < _p256.N and 0 < pair[1] < _p256.N):
        return None
    r, s = pair
    digest = int.from_bytes(hashlib.sha256(message).digest(), "big")
    inverse = pow(r, -1, _p256.N)
    for x in (r, r + _p256.N):
        square = (x * x * x - 3 * x + _p256.B) % _p256.P
        y = pow(square, (_p256.P + 1) // 4, _p256.P)
        if x >= _p256.P or y * y % _p256.P != square:
            continue
        for root in (y, _p256.P - y):
            point = _p256.combine(-digest * inverse % _p256.N, _p256.G, s * inverse % _p256.N, (x, root))
            der = None if point is None else _p256.subject_public_key_info(point)
            if der is not None and hashlib.sha256(der).hexdigest() == keyid and point is not None:
                return der if _p256.verify(point, signature, message) else None
    return None
