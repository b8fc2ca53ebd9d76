"""cosign's encrypted private keys: a PEM block around JSON, scrypt, and NaCl's secretbox around PKCS#8.

Bytes in, bytes out; `keys` knows what the PKCS#8 inside may be. The format is that of go-securesystemslib's `encrypted`
package, which knows three sets of parameters and refuses others; so does this. Both labels that cosign has used are
read, the newer one is written. secretbox is PyNaCl's: where it is not installed (the gateway's image, which holds no
private keys), that is the error.
"""

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING, Any

from routeiq_signing.errors import DocumentError, KeyFileError
from routeiq_signing.keyring.cost import check_scrypt_cost
from routeiq_signing.limits import LIMITS
from routeiq_signing.strict_json import loads

if TYPE_CHECKING:
    from nacl.secret import SecretBox

__all__ = ["decrypt_cosign_key", "encrypt_cosign_key", "is_cosign_key"]

_WRITTEN = "ENCRYPTED SIGSTORE PRIVATE KEY"
_LABELS = (_WRITTEN, "ENCRYPTED COSIGN PRIVATE KEY")
_PARAMETERS = {"N": 65536, "r": 8, "p": 1}  # "Standard": what cosign writes today; 2^15 and 2^17 are read too
_READ_N = frozenset({1 << 15, 1 << 16, 1 << 17})
_NONCE = 24


def is_cosign_key(pem: bytes) -> bool:
    """Tell whether `pem` says that it is such a key."""
    return any(f"-----BEGIN {label}-----".encode() in pem for label in _LABELS)


def decrypt_cosign_key(pem: bytes, passphrase: bytes, what: str) -> bytes:
    """Return the PKCS#8 DER inside; raises `KeyFileError` for a wrong passphrase or another form."""
    sealed, salt, nonce, parameters = _parse(pem, what)
    box = _box(_derived(passphrase, salt, parameters), what)
    from nacl.exceptions import CryptoError  # noqa: PLC0415  not in the gateway's image

    try:
        return box.decrypt(sealed, nonce)
    except CryptoError:
        raise KeyFileError(f"{what}: cannot be opened with this passphrase", subject=what) from None


def encrypt_cosign_key(pkcs8: bytes, passphrase: bytes, *, salt: bytes, nonce: bytes) -> bytes:
    """Return the PEM of the key `pkcs8` (DER) under `passphrase`; `salt` (32) and `nonce` (24) are fresh bytes."""
    what = "cosign key"
    if not passphrase:
        raise KeyFileError("the passphrase is empty", hint="keys are never stored in the clear")
    sealed = _box(_derived(passphrase, salt, _PARAMETERS), what).encrypt(pkcs8, nonce).ciphertext
    # The member order is that of Go's encoder, for who compares files by eye; readers do not care.
    text = (
        f'{{"kdf":{{"name":"scrypt","params":{{"N":{_PARAMETERS["N"]},"r":{_PARAMETERS["r"]},"p":{_PARAMETERS["p"]}}},'
        f'"salt":"{_encode(salt)}"}},"cipher":{{"name":"nacl/secretbox","nonce":"{_encode(nonce)}"}},'
        f'"ciphertext":"{_encode(sealed)}"}}'
    )
    encoded = _encode(text.encode("ascii"))
    lines = [encoded[at : at + 64] for at in range(0, len(encoded), 64)]
    return "\n".join([f"-----BEGIN {_WRITTEN}-----", *lines, f"-----END {_WRITTEN}-----", ""]).encode("ascii")


def _parse(pem: bytes, what: str) -> tuple[bytes, bytes, bytes, dict[str, int]]:
    """Return ciphertext, salt, nonce and scrypt's parameters, which are checked before anything is computed."""
    try:
        document = loads(_body(pem), what, limit=LIMITS.key_file, canonical=False)
        derivation: dict[str, Any] = document["kdf"]
        cipher: dict[str, Any] = document["cipher"]
        known = derivation["name"] == "scrypt" and cipher["name"] == "nacl/secretbox"
        parameters = {name: derivation["params"][name] for name in ("N", "r", "p")}
        salt, nonce = _decode(derivation["salt"]), _decode(cipher["nonce"])
        sealed = _decode(document["ciphertext"])
    except (DocumentError, KeyError, TypeError, ValueError, binascii.Error):
        raise KeyFileError(f"{what}: cut off or damaged: no cosign key", subject=what) from None
    if not known or len(nonce) != _NONCE or not all(type(number) is int for number in parameters.values()):
        raise KeyFileError(f"{what}: encrypted in a way that cosign does not know", subject=what)
    check_scrypt_cost(parameters["N"], parameters["r"], parameters["p"], what)
    if parameters["N"] not in _READ_N or (parameters["r"], parameters["p"]) != (8, 1):
        raise KeyFileError(f"{what}: scrypt's parameters {parameters} are none of cosign's", subject=what)
    return sealed, salt, nonce, parameters


def _body(pem: bytes) -> bytes:
    """Return what the one PEM block of `pem` holds; raises `ValueError` when there is none that is whole."""
    text = pem.decode("ascii").strip()
    for label in _LABELS:
        begin, end = f"-----BEGIN {label}-----", f"-----END {label}-----"
        if text.startswith(begin) and text.endswith(end):
            return _decode("".join(text[len(begin) : -len(end)].split()))
    raise ValueError("no PEM block")


def _derived(passphrase: bytes, salt: bytes, parameters: dict[str, int]) -> bytes:
    n, r, p = parameters["N"], parameters["r"], parameters["p"]
    return hashlib.scrypt(passphrase, salt=salt, n=n, r=r, p=p, dklen=32, maxmem=129 * n * r * p + (1 << 20))


def _box(key: bytes, what: str) -> "SecretBox":
    try:
        from nacl.secret import SecretBox  # noqa: PLC0415  not in the gateway's image
    except ImportError:
        raise KeyFileError(
            f"{what}: cosign's form wants PyNaCl, which is not installed here",
            subject=what,
            hint="sign where `routeiq` was installed from the wheelhouse, or keep the key as PKCS#8",
        ) from None
    return SecretBox(key)


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decode(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
