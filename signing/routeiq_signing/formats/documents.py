"""JSON that a stranger wrote: one reading, bounded before it is parsed and looked through afterwards.

Looser than `routeiq_signing.strict_json`, which is for what we sign: configurations and tokenizers hold floats, keys
in any script and large integers. Refused are duplicate keys, `NaN` and infinities, also as `1e999`, and what is not
an object or a list.
"""

import json
import math
from typing import Any

from routeiq_signing.errors import FormatError
from routeiq_signing.formats.content import Content
from routeiq_signing.formats.limits import FORMAT_LIMITS
from routeiq_signing.formats.shown import shown

__all__ = ["read_json", "read_text"]


def read_json(data: Content, name: str, *, size: int, values: int) -> Any:
    """Return the object or list in `data`, of at most `size` bytes and about `values` values; `name` is for errors."""
    text = read_text(data, name, size)
    # Before parsing: what a parser makes of `[[],[],…` is many times its size. Those in strings count too.
    if sum(map(text.count, "[{,")) > values:
        raise FormatError(f"{name}: more than {values} values", subject=name)
    try:
        document = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_number,
            parse_float=_finite,
            parse_int=_integer,
        )
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{name}: not JSON: {shown(str(error), 200)}", subject=name) from None
    if not isinstance(document, dict | list):
        raise FormatError(f"{name}: not JSON: neither an object nor a list", subject=name)
    _look_through(document, name)
    return document


def read_text(data: Content, name: str, size: int) -> str:
    """Return `data` as UTF-8 text of at most `size` bytes; raises `FormatError`."""
    if len(data) > size:
        raise FormatError(f"{name}: {len(data)} bytes, more than the {size} allowed", subject=name)
    try:
        return bytes(data[:]).decode("utf-8")
    except UnicodeDecodeError:
        raise FormatError(f"{name}: not UTF-8 text", subject=name) from None


def _look_through(document: Any, name: str) -> None:
    level, depth = [document], 0
    while level:
        depth += 1
        if depth > FORMAT_LIMITS.json_depth:
            raise FormatError(f"{name}: nested deeper than {FORMAT_LIMITS.json_depth}", subject=name)
        inside: list[Any] = []
        for value in level:
            items = [*value, *value.values()] if isinstance(value, dict) else value
            for item in items:
                if isinstance(item, dict | list):
                    inside.append(item)
                elif isinstance(item, str) and len(item) > FORMAT_LIMITS.json_string:
                    most = FORMAT_LIMITS.json_string
                    raise FormatError(f"{name}: a string of more than {most} characters", subject=name)
        level = inside


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"duplicate key {key[:60]!r}")
            seen.add(key)
    return result


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:20]} is out of range")
    return value


def _integer(text: str) -> int:
    if len(text) > 40:
        raise ValueError(f"number {text[:20]}… is out of range")
    return int(text)
