"""PKCS#11 without a token: the URI's rules (RFC 7512), and what a module answers, in words (I8)."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pkcs11
import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from routeiq_signing.errors import KeyFileError, TokenError
from routeiq_signing.keyring.pkcs11 import TokenKey, open_token_key
from routeiq_signing.keyring.pkcs11_uri import TokenUri, parse_token_uri
from routeiq_signing.keys import PrivateKey


def test_a_uri_names_token_key_pin_and_module() -> None:
    uri = parse_token_uri(
        "pkcs11:token=My%20Token;serial=4711;object=a%3Bb;id=%00%ff;type=private"
        "?pin-source=file:///run/pin&module-path=/usr/lib/m.so"
    )
    assert uri == TokenUri(
        token={"token": "My Token", "serial": "4711"},
        label="a;b",
        identifier=b"\0\xff",
        pin_source="/run/pin",
        module="/usr/lib/m.so",
    )
    assert uri.shown() == "pkcs11:token=My Token;serial=4711;object=a;b;id=00ff"


@pytest.mark.parametrize(
    "source", ["/run/pin", "file:/run/pin", "file:///run/pin", "file://localhost/run/pin"]
)
def test_each_spelling_of_a_pin_file(source: str) -> None:
    assert parse_token_uri(f"pkcs11:object=k?pin-source={source}").pin_source == "/run/pin"


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("pkcs11:object=k?pin-value=1234", "holds the PIN"),
        ("pkcs11:object=k?pin-source=|cat%20/run/pin", "no absolute path"),
        ("pkcs11:object=k?pin-source=relative", "no absolute path"),
        ("pkcs11:token=t", "names no key"),
        ("pkcs11:", "names no key"),
        ("pkcs11:object=k;object=l", "stands twice"),
        ("pkcs11:object", "not NAME=VALUE"),
        ("pkcs11:object=k;type=cert", "wanted is a key"),
        ("pkcs11:object=k;slot-id=0", "'slot-id' is not read here"),
        ("pkcs11:object=k?x-odd=1", "'x-odd' is not read here"),
        ("pkcs11:object=k\n", "no URI of RFC 7512"),
        ("pkcs11:object=" + "k" * 5000, "no URI of RFC 7512"),
        ("file:/k", "no URI of RFC 7512"),
    ],
)
def test_a_uri_that_is_none_is_refused(uri: str, message: str) -> None:
    with pytest.raises(KeyFileError, match=message) as error:
        parse_token_uri(uri)
    assert "1234" not in str(error.value)


@given(st.text(max_size=80))
def test_any_text_is_a_uri_or_one_error(text: str) -> None:
    try:
        parse_token_uri(f"pkcs11:{text}")
    except KeyFileError:
        pass


def test_no_module_and_no_such_module_are_told() -> None:
    with pytest.raises(TokenError, match="no PKCS#11 module"):
        open_token_key("pkcs11:object=k", module=None, pin=lambda: b"")
    with pytest.raises(TokenError, match=r"/absent\.so: no such PKCS#11 module"):
        open_token_key("pkcs11:object=k", module=Path("/absent.so"), pin=lambda: b"")


def library(token: Any) -> Callable[[str], Any]:
    return lambda path: SimpleNamespace(
        get_slots=lambda token_present: [SimpleNamespace(get_token=lambda: token)]
    )


def fake_token(answer: Exception | None = None, flags: Any = None) -> Any:
    def open_session(user_pin: str | None = None) -> Any:
        assert answer is not None
        raise answer

    return SimpleNamespace(
        label="t",
        serial=b"1",
        manufacturer_id="m",
        model="o",
        flags=flags or pkcs11.TokenFlag(0),
        open=open_session,
    )


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (pkcs11.PinIncorrect(), "the PIN is wrong"),
        (pkcs11.PinLocked(), "the PIN is locked"),
        (pkcs11.PinExpired(), "the PIN has expired"),
        (pkcs11.UserPinNotInitialized(), "the token has no PIN yet"),
        (pkcs11.TokenNotPresent(), "the token was removed"),
        (pkcs11.DeviceError(), "the token's module says DeviceError"),
    ],
)
def test_what_a_module_answers_is_said_in_words(
    answer: Exception, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pkcs11, "lib", library(fake_token(answer)))
    (tmp_path / "m.so").touch()
    with pytest.raises(TokenError, match=message):
        open_token_key("pkcs11:token=t;object=k", module=tmp_path / "m.so", pin=lambda: b"1234")


def test_a_locked_pin_is_not_tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def never() -> bytes:
        raise AssertionError("the PIN was asked for")

    monkeypatch.setattr(pkcs11, "lib", library(fake_token(flags=pkcs11.TokenFlag.USER_PIN_LOCKED)))
    (tmp_path / "m.so").touch()
    with pytest.raises(TokenError, match="the PIN is locked"):
        open_token_key("pkcs11:token=t;object=k", module=tmp_path / "m.so", pin=never)


def test_a_token_that_signs_with_another_key_than_it_shows_is_caught() -> None:
    shown, used = PrivateKey.generate(), PrivateKey.generate()

    def sign(digest: bytes, mechanism: Any) -> bytes:
        assert digest == hashlib.sha256(b"m").digest()
        r, s = decode_dss_signature(used.sign(b"m"))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    key: Any = SimpleNamespace(sign=sign)
    assert TokenKey(None, key, used.public, "t").sign(b"m")  # type: ignore[arg-type]
    with pytest.raises(TokenError, match="not of the public key beside it"):
        TokenKey(None, key, shown.public, "t").sign(b"m")  # type: ignore[arg-type]
