"""How two documents or two texts differ, in few words that are safe to print: the bytes are a stranger's."""

import difflib
import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

__all__ = ["line_changes", "printable", "value_changes"]

_WIDTH = 160
_LINES = 5_000  # difflib's time grows with the square of lines that repeat


def printable(text: str, width: int = _WIDTH) -> str:
    """Return `text` on one line without anything that a terminal would obey, cut to `width` characters."""
    safe = "".join(
        c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text[:width]
    )
    return safe + ("…" if len(text) > width else "")


def line_changes(before: bytes, after: bytes, most: int) -> tuple[str, ...]:
    """Return a unified diff of at most `most` lines; nothing for what is not text."""
    try:
        left, right = before.decode("utf-8").splitlines(), after.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        return ()
    if b"\0" in before or b"\0" in after or max(len(left), len(right)) > _LINES:
        return ()
    lines = list(islice(difflib.unified_diff(left, right, "before", "after", n=1, lineterm=""), 2, most + 3))
    shown = tuple(printable(line) for line in lines[:most])
    return (*shown, "…") if len(lines) > most else shown


def value_changes(before: Any, after: Any, where: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield (path, before, after) of JSON values that differ; `absent` where there is none.

    Members of a list are paired by their `name`, `path`, `bom-ref` or `digest` if each has its own, else by position.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            path = f"{where}.{printable(key)}" if where else printable(key)
            if key not in before:
                yield path, "absent", _value(after[key])
            elif key not in after:
                yield path, _value(before[key]), "absent"
            else:
                yield from value_changes(before[key], after[key], path)
    elif isinstance(before, list) and isinstance(after, list):
        yield from value_changes(_keyed(before, after), _keyed(after, before), where)
    elif before != after or type(before) is not type(after):
        yield where, _value(before), _value(after)


def _keyed(items: list[Any], others: list[Any]) -> dict[str, Any]:
    for name in ("bom-ref", "path", "name", "digest"):
        lists = [
            [item.get(name) if isinstance(item, dict) else None for item in part] for part in (items, others)
        ]
        if all(all(isinstance(key, str) for key in keys) and len(set(keys)) == len(keys) for keys in lists):
            return {str(key): item for key, item in zip(lists[0], items, strict=True)}
    return {f"[{number}]": item for number, item in enumerate(items)}


def _value(value: Any) -> str:
    return printable(value if isinstance(value, str) else json.dumps(value, sort_keys=True))
