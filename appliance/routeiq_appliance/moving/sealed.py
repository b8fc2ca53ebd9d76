"""Opens what LiteLLM encrypted under LITELLM_SALT_KEY (or its master key). Never encrypts.

Two forms: `v2:gcm:` with AES-256-GCM, and NaCl's secretbox (XSalsa20-Poly1305), which `cryptography` lacks. Salsa20's
core is here for that one use: the authenticity of each value is checked with `cryptography`'s Poly1305 before any of
it is decrypted, and the work happens once, offline, on the operator's own data.

Sources: litellm/proxy/common_utils/encrypt_decrypt_utils.py of LiteLLM 1.106; Bernstein, "The Salsa20 family of stream
ciphers" and "Extending the Salsa20 nonce"; NaCl's crypto_secretbox.
"""

import base64
import binascii
import hashlib
import struct
from collections.abc import Iterator

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.poly1305 import Poly1305

__all__ = ["SealedError", "unseal"]

_GCM = "v2:gcm:"
_GCM_NONCE, _GCM_TAG = 12, 16
_NONCE, _TAG, _BLOCK = 24, 16, 64
_CONSTANTS = struct.unpack("<4I", b"expand 32-byte k")
_WORD = 0xFFFFFFFF
_MOST = 1 << 20
"""Characters of one value: a service account's key has 3 KiB, and 64 bytes cost 50 us here."""
_QUARTERS = (
    (0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11),
    (0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14),
)  # fmt: skip
"""A double round: four columns, four rows."""
_H_WORDS = (0, 5, 10, 15, 6, 7, 8, 9)


class SealedError(Exception):
    """The value does not open with this key, or is none of LiteLLM's."""


def unseal(value: str, salt_key: str) -> str:
    """Return what LiteLLM encrypted; raises `SealedError`."""
    key = hashlib.sha256(salt_key.encode()).digest()
    if len(value) > _MOST:
        raise SealedError("too long")
    try:
        if value.startswith(_GCM):
            raw = base64.urlsafe_b64decode(value.removeprefix(_GCM))
            if len(raw) < _GCM_NONCE + _GCM_TAG:
                raise SealedError("too short")
            return AESGCM(key).decrypt(raw[:_GCM_NONCE], raw[_GCM_NONCE:], None).decode("utf-8")
        # Older versions wrote the other alphabet.
        raw = base64.b64decode(value.replace("-", "+").replace("_", "/"), validate=True)
        return _open_box(raw, key).decode("utf-8")
    except (binascii.Error, InvalidTag, InvalidSignature, ValueError):
        # ValueError: no ASCII, no UTF-8.
        raise SealedError("does not open with this key") from None


def _open_box(box: bytes, key: bytes) -> bytes:
    """NaCl's crypto_secretbox_open on nonce, tag and text."""
    if len(box) < _NONCE + _TAG:
        raise SealedError("too short")
    nonce, tag, text = box[:_NONCE], box[_NONCE : _NONCE + _TAG], box[_NONCE + _TAG :]
    stream = _stream(_h_salsa20(key, nonce[:16]), nonce[16:], 32 + len(text))
    Poly1305.verify_tag(stream[:32], text, tag)
    return bytes(left ^ right for left, right in zip(text, stream[32:], strict=False))


def _stream(key: bytes, nonce: bytes, size: int) -> bytes:
    return b"".join(_blocks(key, nonce, -(-size // _BLOCK)))


def _blocks(key: bytes, nonce: bytes, count: int) -> Iterator[bytes]:
    for number in range(count):
        start = _state(key, nonce + struct.pack("<Q", number))
        end = _rounds(start)
        yield struct.pack("<16I", *((one + other) & _WORD for one, other in zip(start, end, strict=True)))


def _h_salsa20(key: bytes, nonce: bytes) -> bytes:
    words = _rounds(_state(key, nonce))
    return struct.pack("<8I", *(words[place] for place in _H_WORDS))


def _state(key: bytes, rest: bytes) -> list[int]:
    keys, others = struct.unpack("<8I", key), struct.unpack("<4I", rest)
    zero, one, two, three = _CONSTANTS
    return [zero, *keys[:4], one, *others, two, *keys[4:], three]


def _rounds(state: list[int]) -> list[int]:
    words = list(state)
    for _ in range(10):
        for a, b, c, d in _QUARTERS:
            words[b] ^= _turned(words[a] + words[d], 7)
            words[c] ^= _turned(words[b] + words[a], 9)
            words[d] ^= _turned(words[c] + words[b], 13)
            words[a] ^= _turned(words[d] + words[c], 18)
    return words


def _turned(value: int, by: int) -> int:
    value &= _WORD
    return (value << by | value >> (32 - by)) & _WORD
