"""A key in a PKCS#11 token: it signs where it lies and never comes out.

The adapter to python-pkcs11; its errors end here. Which key is meant is a URI (`pkcs11_uri`); the module is what the
token's maker supplies (`.so`), named by an option, an environment variable or the URI. A PIN is tried once: tokens
count wrong ones and lock. A token draws its own random numbers, so two signatures over the same bytes differ; what
names a bundle does not depend on them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from routeiq_signing.errors import KeyFileError, TokenError
from routeiq_signing.files import read_capped
from routeiq_signing.keyring.pkcs11_uri import TokenUri, parse_token_uri
from routeiq_signing.keys import PublicKey, der_signature
from routeiq_signing.limits import LIMITS

if TYPE_CHECKING:
    import pkcs11

__all__ = ["TokenKey", "open_token_key", "read_token_public_key"]

# What a person can do about a module's answer; others are shown by their name.
_SAID = {
    "PinIncorrect": ("the PIN is wrong", "it was tried once; a token locks after a few wrong ones"),
    "PinLenRange": ("the PIN is wrong: too short or too long", None),
    "PinInvalid": ("the PIN is wrong: it holds characters that the token does not take", None),
    "PinExpired": ("the PIN has expired", "set a new one with the tool of the token's maker"),
    "PinLocked": ("the PIN is locked", "unlock it with the security officer's PIN (the token maker's tool)"),
    "UserPinNotInitialized": ("the token has no PIN yet", "initialise it with its maker's tool"),
    "DeviceRemoved": ("the token was removed", None),
    "TokenNotPresent": ("the token was removed", None),
    "MechanismInvalid": ("the token does not sign with ECDSA", None),
    "UserNotLoggedIn": ("the token wants a PIN for each signature, which is not done here", None),
}


class TokenKey:
    """An open key in a token: a `Signer`. Close it, or use it as a context manager."""

    def __init__(
        self, session: pkcs11.Session, private: pkcs11.SignMixin, public: PublicKey, what: str
    ) -> None:
        self._session = session
        self._private = private
        self._what = what
        self.public = public

    def sign(self, message: bytes) -> bytes:
        """Return the DER signature over SHA-256 of `message`; raises `TokenError` when the token does not sign."""
        import pkcs11  # noqa: PLC0415  not in the gateway's image

        with _translated(self._what):
            raw = self._private.sign(hashlib.sha256(message).digest(), mechanism=pkcs11.Mechanism.ECDSA)
        signature = der_signature(raw, self._what)
        if not self.public.verifies(signature, message):
            raise TokenError(
                f"{self._what}: what it signs is not of the public key beside it", subject=self._what
            )
        return signature

    def close(self) -> None:
        """Log out."""
        with _translated(self._what):
            self._session.close()


def open_token_key(uri: str, *, module: Path | None, pin: Callable[[], bytes]) -> TokenKey:
    """Log in and return the key that `uri` names.

    `module` is the PKCS#11 library unless the URI names one; `pin` is asked unless the URI says in which file it is.
    Raises `TokenError`, or `KeyFileError` for a URI that is none.
    """
    wanted = parse_token_uri(uri)
    what = wanted.shown()
    token = _token(wanted, module)
    secret = read_capped(Path(wanted.pin_source), LIMITS.passphrase) if wanted.pin_source else pin()
    with _translated(what):
        session = token.open(user_pin=_pin(secret, what))
    try:
        private = _one(session, wanted, "private")
        public = _public(session, wanted, private)
    except KeyFileError:
        session.close()
        raise
    return TokenKey(session, private, public, what)


def read_token_public_key(uri: str, *, module: Path | None, pin: Callable[[], bytes]) -> PublicKey:
    """Return the public key that `uri` names; the PIN is only asked for where the token hides public keys."""
    wanted = parse_token_uri(uri)
    token = _token(wanted, module)
    with _translated(wanted.shown()):
        session = token.open()
    try:
        found = _objects(session, wanted, "public")
        if len(found) == 1:
            return _encoded(found[0], wanted.shown())
    finally:
        session.close()
    key = open_token_key(uri, module=module, pin=pin)
    key.close()
    return key.public


def _token(wanted: TokenUri, module: Path | None) -> pkcs11.Token:
    what = wanted.shown()
    path = Path(wanted.module) if wanted.module else module
    if path is None:
        raise TokenError(
            f"{what}: no PKCS#11 module",
            subject=what,
            hint="name the library of the token's maker: --pkcs11-module FILE.so, or ROUTEIQ_PKCS11_MODULE",
        )
    if not path.is_file():
        raise TokenError(f"{path}: no such PKCS#11 module", subject=str(path))
    try:
        import pkcs11  # noqa: PLC0415  not in the gateway's image
    except ImportError:
        raise TokenError(
            f"{what}: python-pkcs11 is not installed here",
            subject=what,
            hint="sign where `routeiq` was installed from the wheelhouse",
        ) from None
    with _translated(str(path)):
        library = pkcs11.lib(str(path.absolute()))
        present = [slot.get_token() for slot in library.get_slots(token_present=True)]
    found = [token for token in present if _suits(token, wanted)]
    if len(found) != 1:
        names = ", ".join(sorted(token.label for token in present if token.label)) or "none"
        raise TokenError(
            f"{what}: {len(found)} tokens are so named" if found else f"{what}: no such token is present",
            subject=what,
            hint=f"present are: {names}",
        )
    (token,) = found
    if token.flags & pkcs11.TokenFlag.USER_PIN_LOCKED:
        raise TokenError(f"{what}: {_SAID['PinLocked'][0]}", subject=what, hint=_SAID["PinLocked"][1])
    return token


def _suits(token: pkcs11.Token, wanted: TokenUri) -> bool:
    serial = token.serial.decode("utf-8", "replace") if isinstance(token.serial, bytes) else token.serial
    held = {
        "token": token.label,
        "manufacturer": token.manufacturer_id,
        "model": token.model,
        "serial": serial,
    }
    return all(held[name].strip() == value for name, value in wanted.token.items())


def _objects(session: pkcs11.Session, wanted: TokenUri, kind: str) -> list[Any]:
    import pkcs11  # noqa: PLC0415  not in the gateway's image

    classes = {"private": pkcs11.ObjectClass.PRIVATE_KEY, "public": pkcs11.ObjectClass.PUBLIC_KEY}
    attributes: dict[pkcs11.Attribute, Any] = {pkcs11.Attribute.CLASS: classes[kind]}
    if wanted.label is not None:
        attributes[pkcs11.Attribute.LABEL] = wanted.label
    if wanted.identifier is not None:
        attributes[pkcs11.Attribute.ID] = wanted.identifier
    with _translated(wanted.shown()):
        return list(session.get_objects(attributes))


def _one(session: pkcs11.Session, wanted: TokenUri, kind: str) -> Any:
    found, what = _objects(session, wanted, kind), wanted.shown()
    if len(found) != 1:
        count = f"{len(found)} {kind} keys are" if found else f"no {kind} key is"
        raise TokenError(
            f"{what}: {count} so named in the token",
            subject=what,
            hint="name it by label and id: pkcs11:token=LABEL;object=KEYLABEL;id=%01",
        )
    return found[0]


def _public(session: pkcs11.Session, wanted: TokenUri, private: Any) -> PublicKey:
    """Return the public half: the object beside it with the same name, else what the private object says of it."""
    found = _objects(session, wanted, "public")
    return _encoded(found[0] if len(found) == 1 else private, wanted.shown())


def _encoded(key: Any, what: str) -> PublicKey:
    import pkcs11  # noqa: PLC0415  not in the gateway's image
    from pkcs11.util.ec import encode_ec_public_key  # noqa: PLC0415

    with _translated(what):
        if key.key_type != pkcs11.KeyType.EC:
            raise TokenError(f"{what}: not an ECDSA P-256 key", subject=what)
        try:
            der = encode_ec_public_key(key)
        except (KeyError, ValueError, TypeError, pkcs11.AttributeTypeInvalid):
            raise TokenError(
                f"{what}: the token does not tell its public key",
                subject=what,
                hint="keep the public key as an object of the same label and id beside it",
            ) from None
    return PublicKey.from_der(der, what)


def _pin(secret: bytes, what: str) -> str:
    try:
        return secret.removesuffix(b"\n").removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        raise TokenError(f"{what}: the PIN is no UTF-8 text", subject=what) from None


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turn the library's errors into ours; its messages hold no secret and are named, not quoted."""
    import pkcs11  # noqa: PLC0415  not in the gateway's image

    try:
        yield
    except pkcs11.PKCS11Error as error:
        name = type(error).__name__
        said, hint = _SAID.get(name, (f"the token's module says {name}", None))
        raise TokenError(f"{what}: {said}", subject=what, hint=hint) from None
