"""How much work a key file may demand before its passphrase is even tried: a cap on the parameters in it.

Whoever can leave a key file where somebody opens it could otherwise ask for hours or for all memory. Pure; reads the
outer DER of an encrypted PKCS#8 key (RFC 5958; PBES2 with PBKDF2, RFC 8018; scrypt, RFC 7914). Nothing is decrypted.
"""

from routeiq_signing.errors import KeyFileError

__all__ = ["check_pkcs8_cost", "check_scrypt_cost"]

_PBES2 = bytes.fromhex("2a864886f70d01050d")
_PBKDF2 = bytes.fromhex("2a864886f70d01050c")
_SCRYPT = bytes.fromhex("2b06010401da47040b")
_ITERATIONS = 10_000_000  # ~5 s; OWASP asks for 600,000
_SCRYPT_MEMORY = 256 << 20  # bytes; cosign's largest takes 128 MB
_SCRYPT_PARALLEL = 16

_SEQUENCE, _INTEGER, _OID = 0x30, 0x02, 0x06


def check_scrypt_cost(n: int, r: int, p: int, what: str) -> None:
    """Raise `KeyFileError` when scrypt with these parameters is no power of two or beyond the caps."""
    if n < 2 or n & (n - 1) or r < 1 or not 1 <= p <= _SCRYPT_PARALLEL or 128 * n * r * p > _SCRYPT_MEMORY:
        raise KeyFileError(
            f"{what}: asks for scrypt with N={n}, r={r}, p={p}; at most {_SCRYPT_MEMORY >> 20} MB is allowed",
            subject=what,
            hint="no tool writes such keys: get the key from its owner again",
        )


def check_pkcs8_cost(der: bytes, what: str) -> None:
    """Raise `KeyFileError` unless the encrypted PKCS#8 key `der` asks for an affordable PBKDF2 or scrypt."""
    try:
        algorithm = _members(_only(der))[0]
        scheme, parameters = _members(algorithm)[:2]
        kind, derivation = _members(_members(parameters)[0])[:2]
        values = _members(derivation)
        numbers = [int.from_bytes(content, "big", signed=True) for tag, content in values if tag == _INTEGER]
    except (IndexError, ValueError):
        raise KeyFileError(f"{what}: cut off or damaged: no encrypted PKCS#8 key", subject=what) from None
    if scheme == (_OID, _PBES2) and kind == (_OID, _SCRYPT) and len(numbers) >= 3:
        check_scrypt_cost(numbers[0], numbers[1], numbers[2], what)
    elif scheme == (_OID, _PBES2) and kind == (_OID, _PBKDF2) and numbers:
        if not 1 <= numbers[0] <= _ITERATIONS:
            raise KeyFileError(
                f"{what}: asks for {numbers[0]} iterations of PBKDF2, at most {_ITERATIONS} are allowed",
                subject=what,
                hint="no tool writes such keys: get the key from its owner again",
            )
    else:
        raise KeyFileError(
            f"{what}: encrypted in a way that is not read here (PBES2 with PBKDF2 or scrypt is)",
            subject=what,
            hint="`openssl pkcs8 -topk8 -in OLD -out NEW` writes such a key",
        )


_Element = tuple[int, bytes]  # tag, content


def _only(der: bytes) -> _Element:
    """Return the one element that `der` is; raises `ValueError` when bytes are missing or left over."""
    (element,) = _elements(der)
    return element


def _members(element: _Element) -> list[_Element]:
    tag, content = element
    if tag != _SEQUENCE:
        raise ValueError("no sequence")
    return _elements(content)


def _elements(data: bytes) -> list[_Element]:
    """Split DER (X.690) into its elements, one level deep."""
    found, at = [], 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            width = length & 0x7F
            if not 1 <= width <= 4 or at + width > len(data):
                raise ValueError("no definite length")
            length, at = int.from_bytes(data[at : at + width], "big"), at + width
        if at + length > len(data):
            raise ValueError("cut off")
        found.append((tag, data[at : at + length]))
        at += length
    return found
