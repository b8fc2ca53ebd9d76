"""ECDSA P-256 keys: made, kept encrypted (PKCS#8 or cosign's form), named by `keyid`, and used over SHA-256.

Signatures are deterministic (RFC 6979), so the same key over the same bytes gives the same tar. The adapter to
`cryptography`; its errors end here. Passphrases arrive as bytes and are never logged. Keys in tokens: `pkcs11`.
"""

import base64
import binascii
import hashlib
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from routeiq_signing._p256 import refuse_private_pem
from routeiq_signing.errors import KeyFileError
from routeiq_signing.files import named_file, read_capped, write_atomic
from routeiq_signing.keyring.cosign import decrypt_cosign_key, encrypt_cosign_key, is_cosign_key
from routeiq_signing.keyring.cost import check_pkcs8_cost
from routeiq_signing.limits import LIMITS

__all__ = [
    "DevelopmentKey",
    "KeyForm",
    "PrivateKey",
    "PublicKey",
    "der_signature",
    "ensure_development_key",
    "generate_key_files",
    "key_form",
    "load_private_key",
    "load_public_key",
]

KeyForm = Literal["pkcs8", "cosign"]
_PKCS8 = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"


class PublicKey:
    """A P-256 public key; `keyid` is the hex SHA-256 of its DER SubjectPublicKeyInfo."""

    def __init__(self, key: ec.EllipticCurvePublicKey) -> None:
        self._key = key
        self.der = key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.pem = key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.keyid = hashlib.sha256(self.der).hexdigest()

    @classmethod
    def from_pem(cls, pem: bytes, what: str) -> Self:
        """Read a PEM public key; raises `KeyFileError` for anything but P-256."""
        refuse_private_pem(pem, what)
        if pem.count(b"-----BEGIN") > 1:
            raise KeyFileError(f"{what}: no PEM public key alone in its file", subject=what)
        return cls._read(serialization.load_pem_public_key, pem, what, "no PEM public key")

    @classmethod
    def from_der(cls, der: bytes, what: str) -> Self:
        """Read a DER SubjectPublicKeyInfo; raises `KeyFileError` for anything but P-256."""
        return cls._read(serialization.load_der_public_key, der, what, "no DER public key")

    @classmethod
    def _read(cls, load: Callable[[bytes], object], raw: bytes, what: str, otherwise: str) -> Self:
        try:
            key = load(raw)
        except ValueError:
            raise KeyFileError(f"{what}: {otherwise}", subject=what) from None
        except UnsupportedAlgorithm:
            raise KeyFileError(f"{what}: not an ECDSA P-256 key", subject=what) from None
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise KeyFileError(f"{what}: not an ECDSA P-256 key", subject=what)
        return cls(key)

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Tell whether the DER `signature` over SHA-256 of `message` is this key's."""
        try:
            self._key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


class PrivateKey:
    """A P-256 private key in memory."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key())

    @classmethod
    def generate(cls) -> Self:
        """Make a new key."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_pem(cls, pem: bytes, passphrase: bytes, what: str) -> Self:
        """Open an encrypted key of either form; a key that is not encrypted is refused with `KeyFileError`."""
        try:
            if is_cosign_key(pem):
                key = serialization.load_der_private_key(decrypt_cosign_key(pem, passphrase, what), None)
            else:
                check_pkcs8_cost(_pkcs8(pem, what), what)
                key = serialization.load_pem_private_key(pem, passphrase)
        except (ValueError, TypeError):
            raise KeyFileError(f"{what}: cannot be opened with this passphrase", subject=what) from None
        except UnsupportedAlgorithm:
            raise KeyFileError(f"{what}: not an ECDSA P-256 key", subject=what) from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise KeyFileError(f"{what}: not an ECDSA P-256 key", subject=what)
        return cls(key)

    def to_pem(self, passphrase: bytes, form: KeyForm = "pkcs8") -> bytes:
        """Return the key in `form`, encrypted under `passphrase` (at least one byte)."""
        if not passphrase:
            raise KeyFileError("the passphrase is empty", hint="keys are never stored in the clear")
        if form == "cosign":
            der = self._key.private_bytes(
                serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            return encrypt_cosign_key(
                der, passphrase, salt=secrets.token_bytes(32), nonce=secrets.token_bytes(24)
            )
        return self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(passphrase),
        )

    def sign(self, message: bytes) -> bytes:
        """Return the DER signature over SHA-256 of `message`, the same each time (RFC 6979)."""
        return self._key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


class DevelopmentKey(PrivateKey):
    """A key that stands with its passphrase in the build folder: for trying things, never for a release."""


def der_signature(raw: bytes, what: str) -> bytes:
    """Return the DER form of a signature that is r and s side by side, 32 bytes each, as tokens give it."""
    if len(raw) != 64:
        raise KeyFileError(f"{what}: a signature of {len(raw)} bytes is not of P-256", subject=what)
    return encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))


def load_public_key(path: Path) -> PublicKey:
    """Read a PEM public key file."""
    return PublicKey.from_pem(read_capped(path, LIMITS.key_file), str(path))


def load_private_key(path: Path, passphrase: Callable[[], bytes]) -> PrivateKey:
    """Open an encrypted key file; `passphrase` is called once the file was read."""
    return PrivateKey.from_pem(read_capped(path, LIMITS.key_file), passphrase(), str(path))


def key_form(pem: bytes) -> KeyForm | None:
    """Return in which form `pem` holds a private key, or None when it holds none."""
    if is_cosign_key(pem):
        return "cosign"
    return "pkcs8" if b"PRIVATE KEY-----" in pem else None


def generate_key_files(path: Path, passphrase: bytes, form: KeyForm = "pkcs8") -> PrivateKey:
    """Make a key; write it to `path` (0600) and its public half to `path` + `.pub`. Neither may exist yet."""
    public = named_file(path).with_name(path.name + ".pub")
    if public.exists():
        raise KeyFileError(f"{public}: exists already", subject=str(public), hint="name another file")
    key = PrivateKey.generate()
    write_atomic(path, key.to_pem(passphrase, form), mode=0o600, replace=False)
    write_atomic(public, key.public.pem, replace=False)
    return key


def ensure_development_key(directory: Path) -> DevelopmentKey:
    """Open `development.key` in `directory` with the passphrase beside it; make both when there are none."""
    path, secret = directory / "development.key", directory / "development.passphrase"
    if not path.exists():
        write_atomic(secret, secrets.token_hex(16).encode(), mode=0o600)
        generate_key_files(path, read_capped(secret, LIMITS.passphrase))
    passphrase = read_capped(secret, LIMITS.passphrase)
    return DevelopmentKey.from_pem(read_capped(path, LIMITS.key_file), passphrase, str(path))


def _pkcs8(pem: bytes, what: str) -> bytes:
    """Return the DER of the encrypted PKCS#8 key in `pem`."""
    begin = pem.find(_PKCS8)
    if begin < 0:
        raise KeyFileError(
            f"{what}: no encrypted PKCS#8 or cosign key",
            subject=what,
            hint="make one with `routeiq key generate`",
        )
    body = pem[begin + len(_PKCS8) :].partition(b"-----END ENCRYPTED PRIVATE KEY-----")[0]
    try:
        return base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error:
        raise KeyFileError(f"{what}: cut off or damaged: no encrypted PKCS#8 key", subject=what) from None
