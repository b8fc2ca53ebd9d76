"""JSON documents, and plain text under the names that model repositories use for it."""

import json

from routeiq_signing.errors import FormatError
from routeiq_signing.formats.danger import describe_danger
from routeiq_signing.formats.interface import Format
from routeiq_signing.limits import LIMITS

__all__ = ["JSON", "TEXT"]

_NAMES = {"readme.md", "license", "licence", "license.txt", "notice", "notice.txt", "vocab.txt", "merges.txt"}


def _check_json(data: bytes | memoryview, name: str) -> None:
    text = _text(data, name)
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{name}: not JSON: {error}", subject=name) from None


def _check_text(data: bytes | memoryview, name: str) -> None:
    text = _text(data, name)
    if any(ord(character) < 32 and character not in "\t\n\r\f" for character in text):
        raise FormatError(f"{name}: holds control characters, so it is no plain text", subject=name)
    danger = describe_danger(data)
    if danger is not None and "pickle" in danger and text.rstrip("\n").endswith("."):
        raise FormatError(f"{name}: {danger}", subject=name)


def _text(data: bytes | memoryview, name: str) -> str:
    if len(data) > LIMITS.model_document:
        raise FormatError(
            f"{name}: {len(data)} bytes, more than the {LIMITS.model_document} allowed", subject=name
        )
    try:
        return bytes(data).decode("utf-8")
    except UnicodeDecodeError:
        raise FormatError(f"{name}: not UTF-8 text", subject=name) from None


JSON = Format("json", lambda name: name.endswith(".json"), _check_json)
TEXT = Format("text", lambda name: name in _NAMES, _check_text)
