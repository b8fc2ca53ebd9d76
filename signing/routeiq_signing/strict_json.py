"""JSON that has one reading and one spelling.

Rules, all of which a document must meet:
* at most `limit` bytes, UTF-8 without a byte order mark, nested at most `LIMITS.json_depth` deep;
* an object, no duplicate keys, keys in ASCII;
* no floats, NaN or infinities; integers within ±(2^53 - 1), so that every reader agrees on them (RFC 7493);
* where `canonical` is asked for, its bytes are its own RFC 8785 form.

With ASCII keys and integers only, RFC 8785 is what `json.dumps` writes with sorted keys; a property test holds it
against an implementation of the whole RFC. Standard library only, Python 3.9: this module is part of `verify.pyz`.
"""

from __future__ import annotations

import json
from typing import Any

from routeiq_signing.errors import DocumentError
from routeiq_signing.limits import LIMITS

__all__ = ["dumps", "loads"]

_MAX_INT = 2**53 - 1


def dumps(document: Any) -> bytes:
    """Return the RFC 8785 bytes of `document`, which holds no float and only ASCII keys."""
    _check(document, "document", 0)
    return _spell(document)


def loads(raw: bytes, what: str, *, limit: int, canonical: bool = True) -> dict[str, Any]:
    """Return the object in `raw`; `what` names it in errors. Raises `DocumentError`."""
    if len(raw) > limit:
        raise DocumentError(f"{what}: {len(raw)} bytes, more than the {limit} allowed", subject=what)
    try:
        document = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_float=_refuse,
            parse_constant=_refuse,
            parse_int=_integer,
        )
    except RecursionError:
        raise DocumentError(f"{what}: nested too deeply", subject=what) from None
    except (UnicodeDecodeError, ValueError) as error:
        raise DocumentError(f"{what}: not strict JSON: {error}", subject=what) from None
    if not isinstance(document, dict):
        raise DocumentError(f"{what}: not a JSON object", subject=what)
    _check(document, what, 0)
    if canonical and _spell(document) != raw:
        raise DocumentError(f"{what}: not in canonical form (RFC 8785)", subject=what)
    return document


def _spell(document: Any) -> bytes:
    text = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise DocumentError("a string holds half of a surrogate pair") from None


def _check(value: Any, what: str, depth: int) -> None:
    if depth > LIMITS.json_depth:
        raise DocumentError(f"{what}: nested deeper than {LIMITS.json_depth}", subject=what)
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise DocumentError(f"{what}: key {key!r} is not ASCII", subject=what)
            _check(item, what, depth + 1)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check(item, what, depth + 1)
    elif isinstance(value, bool) or value is None or isinstance(value, str):
        return
    elif not isinstance(value, int) or abs(value) > _MAX_INT:
        raise DocumentError(f"{what}: {value!r} is no integer within 53 bits", subject=what)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"duplicate key {twice!r}")
    return result


def _refuse(text: str) -> Any:
    raise ValueError(f"number {text[:20]} is not an integer")


def _integer(text: str) -> int:
    if len(text) > 17:
        raise ValueError(f"number {text[:20]}… is out of range")
    return int(text)
