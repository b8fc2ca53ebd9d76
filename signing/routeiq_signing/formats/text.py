"""JSON documents, and plain text under the names that model repositories use for it."""

import json
from typing import Any

from routeiq_signing.errors import FormatError
from routeiq_signing.formats.danger import pickle_acts
from routeiq_signing.formats.interface import Format
from routeiq_signing.limits import LIMITS

__all__ = ["JSON", "TEXT"]

_NAMES = {"readme.md", "license", "licence", "license.txt", "notice", "notice.txt", "vocab.txt", "merges.txt"}


def _check_json(data: bytes | memoryview, name: str) -> None:
    text = _text(data, name)
    try:
        json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{name}: not JSON: {error}", subject=name) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return result


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _check_text(data: bytes | memoryview, name: str) -> None:
    text = _text(data, name)
    if any(ord(character) < 32 and character not in "\t\n\r\f" for character in text):
        raise FormatError(f"{name}: holds control characters, so it is no plain text", subject=name)
    if pickle_acts(bytes(data)):
        raise FormatError(f"{name}: a Python pickle, which runs code when it is loaded", subject=name)


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
