"""Values that LiteLLM encrypted. The boxes were made with PyNaCl's `SecretBox(sha256(key)).encrypt(text, nonce)`."""

import base64
import hashlib
import os

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from routeiq_appliance.moving.sealed import SealedError, unseal

KEY = "sk-salt-of-the-tests"
BOXES = {
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXRm-i4Hv82dt2IYNbpKJR7w==": "",
    "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcY1qA2rCHQg63q9xvQqryuiE0BMWQLTLuhzQIP": "sk-upstream",
    "AgMEBQYHCAkKCwwNDg8QERITFBUWFxgZAokcU81xQChgdXEMuDWfsmOuYsj9bjqGHGdT_uL0Hf6LgCT-PV4d5NUtmloLTOU=":
        "https://h.example/v1 \N{EN DASH} na\u00efve",
    "AwQFBgcICQoLDA0ODxAREhMUFRYXGBkat45F38TZTTSye4sxnxwmz87SapQefhMFEEQMMdbjZ21ovN6fgXUvasRaBNUJioCWvbEY_Yp_fkuFSZ4TOI"
    "U109H9OD4d5TeIB24LzwlC1j7GZSecQ8r1krvXiydozWEP-bIJsNPtRNxxjJ9evUlX_jCYFMGGHlDITAu555KnRlimiTYZi_UnBPbnDrAAzq63NJ4XBr"
    "jxfq3pb8rUMsCh1-ZRyCWZtT40BotAeROtdsZOCuYt82-52DyKalERWUOC3p246IImchW5V2nhfLNQUwyfSpcQ2rBg": "x" * 200,
}  # fmt: skip


@pytest.mark.parametrize(("box", "text"), BOXES.items())
def test_a_box_of_nacl_is_opened(box: str, text: str) -> None:  # L4
    assert unseal(box, KEY) == text


def test_a_box_in_the_older_alphabet_is_opened() -> None:
    for box, text in BOXES.items():
        assert unseal(box.replace("-", "+").replace("_", "/"), KEY) == text


def test_the_core_gives_the_published_vector_of_xsalsa20poly1305() -> None:
    # NaCl, tests/secretbox.c: the first 16 bytes of the box are the tag.
    from routeiq_appliance.moving import sealed

    key = bytes.fromhex("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389")
    nonce = bytes.fromhex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37")
    box = bytes.fromhex("f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a118"
                        "6ac0dfc17c98dce87b4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae"
                        "90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74"
                        "e355a5")  # fmt: skip
    assert sealed._open_box(nonce + box, key).hex().startswith("be075fc53c81f2d5cf141316ebeb0c7b")


def test_aes_gcm_values_are_opened() -> None:  # L4
    nonce = os.urandom(12)
    sealed = nonce + AESGCM(hashlib.sha256(KEY.encode()).digest()).encrypt(nonce, b"sk-upstream", None)
    value = "v2:gcm:" + base64.urlsafe_b64encode(sealed).decode()
    assert unseal(value, KEY) == "sk-upstream"
    with pytest.raises(SealedError):
        unseal(value, KEY + "x")
    with pytest.raises(SealedError):
        unseal(value[:20], KEY)


@pytest.mark.parametrize("value", ["", "*", "gpt-4", "sk-not-encrypted", "AAAA", "é" * 60, "A" * (2 << 20)])
def test_what_is_not_encrypted_is_refused(value: str) -> None:
    with pytest.raises(SealedError):
        unseal(value, KEY)


def test_one_changed_bit_is_refused() -> None:
    raw = bytearray(base64.urlsafe_b64decode(list(BOXES)[1]))
    for place in range(len(raw)):
        raw[place] ^= 1
        with pytest.raises(SealedError):
            unseal(base64.urlsafe_b64encode(raw).decode(), KEY)
        raw[place] ^= 1
    with pytest.raises(SealedError):
        unseal(list(BOXES)[1], "another key")
