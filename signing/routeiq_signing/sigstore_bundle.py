"""Sigstore bundles v0.3 that hold one signature of a plain public key.

Two forms: a message signature (over the raw bytes of `bundle.json`) and a DSSE envelope (over a model's statement).
Source: sigstore/protobuf-specs, `sigstore_bundle.proto`; DSSE v1. Certificates, timestamps and log entries are
keyless signing's and are refused here. Signatures are DER ECDSA P-256 over SHA-256; making them is `keys`' work.

Standard library only, Python 3.9: part of `verify.pyz`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Any

from routeiq_signing.errors import DocumentError
from routeiq_signing.limits import LIMITS
from routeiq_signing.strict_json import dumps, loads

__all__ = [
    "MEDIA_TYPE",
    "Envelope",
    "envelope_bundle",
    "message_bundle",
    "pre_authentication_encoding",
    "read_envelope",
    "read_message_bundle",
]

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"


@dataclass(frozen=True)
class Envelope:
    """A DSSE payload, its type, and one signature over their pre-authentication encoding."""

    payload_type: str
    payload: bytes
    signature: bytes


def message_bundle(keyid: str, message: bytes, signature: bytes) -> bytes:
    """Return the canonical bundle of `signature` over `message`; `keyid` becomes the key's hint."""
    return dumps(
        {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": keyid}},
            "messageSignature": {
                "messageDigest": {
                    "algorithm": "SHA2_256",
                    "digest": _encode(hashlib.sha256(message).digest()),
                },
                "signature": _encode(signature),
            },
        }
    )


def read_message_bundle(raw: bytes, what: str, *, keyid: str, message: bytes) -> bytes:
    """Return the signature in `raw`, which must be of this key and over this message's digest.

    The signature itself is *not* checked here. Raises `DocumentError` for anything but the exact form that
    `message_bundle` writes, so a bundle has no room for a second meaning.
    """
    document = loads(raw, what, limit=LIMITS.signature)
    try:
        signature = base64.b64decode(document["messageSignature"]["signature"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise DocumentError(
            f"{what}: no sigstore bundle v0.3 with a message signature", subject=what
        ) from None
    if message_bundle(keyid, message, signature) != raw:
        raise DocumentError(f"{what}: not the signature of key {keyid[:16]}… over these bytes", subject=what)
    return signature


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """Return DSSE v1's PAE: what is signed."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def read_envelope(raw: bytes, what: str) -> Envelope:
    """Return the DSSE envelope of a bundle made with a plain key; other makers' spellings of JSON are taken.

    Raises `DocumentError` when it holds a certificate, log entries, or not exactly one signature.
    """
    document = loads(raw, what, limit=LIMITS.manifest, canonical=False)
    try:
        material: dict[str, Any] = document["verificationMaterial"]
        envelope: dict[str, Any] = document["dsseEnvelope"]
        (signature,) = envelope["signatures"]
        result = Envelope(
            payload_type=str(envelope["payloadType"]),
            payload=base64.b64decode(envelope["payload"], validate=True),
            signature=base64.b64decode(signature["sig"], validate=True),
        )
        keyed = "publicKey" in material and not material.get("tlogEntries")
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise DocumentError(f"{what}: no sigstore bundle with one DSSE signature", subject=what) from None
    if document.get("mediaType") != MEDIA_TYPE or not keyed:
        raise DocumentError(f"{what}: not signed with a plain key (sigstore bundle v0.3)", subject=what)
    return result


def envelope_bundle(hint: str, envelope: Envelope) -> bytes:
    """Return the canonical bundle of a DSSE envelope."""
    return dumps(
        {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": _encode(envelope.payload),
                "payloadType": envelope.payload_type,
                "signatures": [{"sig": _encode(envelope.signature), "keyid": ""}],
            },
        }
    )
