"""A sigstore of one's own in memory: a certificate authority, a certificate log, a transparency log, a trusted root.

What it signs is what Fulcio and Rekor (v1) would have given; the library's own verifier judges it. Each fault of the
tests is an argument. Sources: Fulcio's certificate specification (OIDs 1.3.6.1.4.1.57264.1), RFC 6962, C2SP
signed-note.
"""

import base64
import hashlib
import json
import struct
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

__all__ = ["ISSUER", "WHO", "PrivateSigstore"]

WHO, ISSUER = "release@example.org", "https://accounts.example.org"
_FULCIO = "1.3.6.1.4.1.57264.1"
_SCT_LIST = "1.3.6.1.4.1.11129.2.4.2"
_ORIGIN = "log.example.org - 1"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def _der(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


class PrivateSigstore:
    """Three keys and a root certificate; `sign` gives a bundle, `trusted_root` the file that knows the three keys."""

    def __init__(self) -> None:
        self.ca, self.ct, self.log = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "private fulcio")])
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        self.root = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.ca.public_key())
            .serial_number(1)
            .not_valid_before(BEGIN - timedelta(days=30))
            .not_valid_after(BEGIN + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.ca.public_key()), critical=False)
            .sign(self.ca, hashes.SHA256())
        )

    def trusted_root(self) -> bytes:
        """Return `trusted_root.json`."""

        def log(key: ec.EllipticCurvePrivateKey, url: str) -> dict[str, object]:
            start = {"start": "2025-01-01T00:00:00Z"}
            details = {
                "rawBytes": _text(_der(key)),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": start,
            }
            identifier = {"keyId": _text(hashlib.sha256(_der(key)).digest())}
            return {"baseUrl": url, "hashAlgorithm": "SHA2_256", "publicKey": details, "logId": identifier}

        der = self.root.public_bytes(serialization.Encoding.DER)
        authority = {
            "subject": {"organization": "example.org", "commonName": "private fulcio"},
            "uri": "https://fulcio.example.org",
            "certChain": {"certificates": [{"rawBytes": _text(der)}]},
            "validFor": {"start": "2025-01-01T00:00:00Z"},
        }
        document = {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(self.log, "https://log.example.org")],
            "certificateAuthorities": [authority],
            "ctlogs": [log(self.ct, "https://ct.example.org")],
            "timestampAuthorities": [],
        }
        return json.dumps(document).encode()

    def sign(
        self,
        message: bytes,
        *,
        who: str = WHO,
        issuer: str = ISSUER,
        logged: bytes | None = None,
        at: datetime = BEGIN + timedelta(minutes=5),
        checkpoint_by: ec.EllipticCurvePrivateKey | None = None,
    ) -> bytes:
        """Return the bundle of `message`; `logged` is what the log entry speaks of, `at` the log's time."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._certificate(key, who, issuer)
        signature = _sign(key, message)
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        body = self._body(message if logged is None else logged, signature, pem)
        return json.dumps(
            {
                "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
                "verificationMaterial": {
                    "certificate": {"rawBytes": _text(certificate.public_bytes(serialization.Encoding.DER))},
                    "tlogEntries": [self._entry(body, at, checkpoint_by or self.log)],
                },
                "messageSignature": {
                    "messageDigest": {
                        "algorithm": "SHA2_256",
                        "digest": _text(hashlib.sha256(message).digest()),
                    },
                    "signature": _text(signature),
                },
            }
        ).encode()

    def _certificate(self, key: ec.EllipticCurvePrivateKey, who: str, issuer: str) -> x509.Certificate:
        utf8 = bytes([0x0C, len(issuer)]) + issuer.encode()
        usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.root.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(BEGIN)
            .not_valid_after(BEGIN + timedelta(minutes=10))
            .add_extension(usage, critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.ca.public_key()), critical=False
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.RFC822Name(who)]), critical=True)
            .add_extension(
                x509.UnrecognizedExtension(ObjectIdentifier(f"{_FULCIO}.1"), issuer.encode()), critical=False
            )
            .add_extension(x509.UnrecognizedExtension(ObjectIdentifier(f"{_FULCIO}.8"), utf8), critical=False)
        )
        precertificate = builder.sign(self.ca, hashes.SHA256()).tbs_certificate_bytes
        scts = self._sct_list(precertificate)
        wrapped = bytes([0x04, 0x81, len(scts)] if len(scts) > 127 else [0x04, len(scts)]) + scts
        extension = x509.UnrecognizedExtension(ObjectIdentifier(_SCT_LIST), wrapped)
        return builder.add_extension(extension, critical=False).sign(self.ca, hashes.SHA256())

    def _sct_list(self, precertificate: bytes) -> bytes:
        """RFC 6962, sections 3.2 and 3.3: one timestamp over the certificate without this very extension."""
        time = int(BEGIN.timestamp() * 1000)
        issuer = hashlib.sha256(_der(self.ca)).digest()
        entry = issuer + len(precertificate).to_bytes(3, "big") + precertificate
        signed = struct.pack("!BBQH", 0, 0, time, 1) + entry + b"\0\0"
        signature = _sign(self.ct, signed)
        sct = b"\0" + hashlib.sha256(_der(self.ct)).digest() + struct.pack("!Q", time) + b"\0\0"
        sct += b"\x04\x03" + struct.pack("!H", len(signature)) + signature
        listed = struct.pack("!H", len(sct)) + sct
        return struct.pack("!H", len(listed)) + listed

    def _body(self, message: bytes, signature: bytes, pem: bytes) -> bytes:
        spec = {
            "data": {"hash": {"algorithm": "sha256", "value": hashlib.sha256(message).hexdigest()}},
            "signature": {"content": _text(signature), "publicKey": {"content": _text(pem)}},
        }
        document = {"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": spec}
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()

    def _entry(
        self, body: bytes, at: datetime, checkpoint_by: ec.EllipticCurvePrivateKey
    ) -> dict[str, object]:
        """A log of two: the entry and an older neighbour, whose hash is the whole proof."""
        identifier = hashlib.sha256(_der(self.log)).digest()
        leaf, neighbour = hashlib.sha256(b"\0" + body).digest(), hashlib.sha256(b"\0older").digest()
        root = hashlib.sha256(b"\1" + neighbour + leaf).digest()
        note = f"{_ORIGIN}\n2\n{_text(root)}\n"
        signed = identifier[:4] + _sign(checkpoint_by, note.encode())
        envelope = f"{note}\n\u2014 log.example.org {_text(signed)}\n"
        seconds = int(at.timestamp())
        promise = json.dumps(
            {"body": _text(body), "integratedTime": seconds, "logID": identifier.hex(), "logIndex": 1},
            sort_keys=True,
            separators=(",", ":"),
        )
        return {
            "logIndex": "1",
            "logId": {"keyId": _text(identifier)},
            "kindVersion": {"kind": "hashedrekord", "version": "0.0.1"},
            "integratedTime": str(seconds),
            "inclusionPromise": {"signedEntryTimestamp": _text(_sign(self.log, promise.encode()))},
            "inclusionProof": {
                "logIndex": "1",
                "rootHash": _text(root),
                "treeSize": "2",
                "hashes": [_text(neighbour)],
                "checkpoint": {"envelope": envelope},
            },
            "canonicalizedBody": _text(body),
        }
