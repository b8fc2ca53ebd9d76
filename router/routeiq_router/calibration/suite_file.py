"""A suite of the site's own: JSON Lines, one prompt each, read strictly.

`{"id", "prompt", "answer", "check", "skill", "difficulty"}`, all of them, nothing else. The first fault ends the
reading, with file and line. Decides what is well formed, not whether an answer is true.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from routeiq_router.calibration.checks import CHECKS, answer_fault
from routeiq_router.calibration.item import Item
from routeiq_router.errors import RouterError
from routeiq_router.strict_json import parse_json
from routeiq_router.text import prompt_key
from routeiq_signing.files import read_capped

__all__ = ["MAX_BYTES", "MAX_ITEMS", "MAX_PROMPT_CHARS", "parse_suite", "read_suites"]

MAX_BYTES = 64 << 20
MAX_ITEMS = 20_000
MAX_PROMPT_CHARS = 100_000
_MAX_NAME = 200
_MEMBERS = ("id", "prompt", "answer", "check", "skill", "difficulty")


def read_suites(paths: Sequence[Path], before: Sequence[Item] = ()) -> tuple[Item, ...]:
    """Return the items of `before` and of all files; raises `RouterError` or `SigningError` (no file, too large)."""
    found = list(before)
    for path in paths:
        if path.is_dir():
            raise RouterError(f"{path}: not a regular file", subject=str(path))
        found += parse_suite(read_capped(path, MAX_BYTES), subject=str(path))
    _check_unique(found)
    return tuple(found)


def parse_suite(data: bytes, *, subject: str) -> list[Item]:
    """Return the items of one file; raises `RouterError` that names the line."""
    items: list[Item] = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        if len(items) == MAX_ITEMS:
            raise RouterError(f"{subject}: more than {MAX_ITEMS} prompts", subject=subject)
        items.append(_item(line, f"{subject}:{number}"))
    if not items:
        raise RouterError(f"{subject}: no prompt in it", subject=subject)
    _check_unique(items, subject)
    return items


def _item(line: bytes, where: str) -> Item:
    value = parse_json(line, subject=where)
    if not isinstance(value, dict):
        raise RouterError(f"{where}: not a JSON object", subject=where)
    for name in _MEMBERS:
        if name not in value:
            raise RouterError(f"{where}: {name!r} is missing", subject=where)
    unknown = sorted(set(value) - set(_MEMBERS))
    if unknown:
        raise RouterError(f"{where}: unknown member {unknown[0][:80]!r}", subject=where)
    check, difficulty = value["check"], value["difficulty"]
    if not isinstance(check, str) or check not in CHECKS:
        raise RouterError(f"{where}: check is not one of {', '.join(CHECKS)}", subject=where)
    if isinstance(difficulty, bool) or not isinstance(difficulty, int) or not 1 <= difficulty <= 10:
        raise RouterError(f"{where}: difficulty is not a whole number from 1 to 10", subject=where)
    fault = answer_fault(check, value["answer"])
    if fault:
        raise RouterError(f"{where}: answer of a {check!r} check: {fault}", subject=where)
    return Item(
        _text(value, "id", _MAX_NAME, where),
        _text(value, "prompt", MAX_PROMPT_CHARS, where),
        value["answer"],
        check,
        _text(value, "skill", _MAX_NAME, where),
        difficulty,
    )


def _text(value: dict[str, Any], name: str, most: int, where: str) -> str:
    text = value[name]
    if not isinstance(text, str) or not text.strip():
        raise RouterError(f"{where}: {name} is not a text, or is blank", subject=where)
    if len(text) > most:
        raise RouterError(f"{where}: {name} is longer than {most} characters", subject=where)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RouterError(f"{where}: {name} has half a surrogate pair", subject=where) from None
    if name != "prompt" and not text.isprintable():
        raise RouterError(f"{where}: {name} has control characters", subject=where)
    return text


def _check_unique(items: Sequence[Item], subject: str = "suite") -> None:
    names, prompts = set[str](), set[str]()
    for item in items:
        if item.id in names:
            raise RouterError(f"{subject}: id {item.id[:80]!r} appears twice", subject=subject)
        key = prompt_key(item.prompt)
        if key in prompts:
            raise RouterError(f"{subject}: the prompt of {item.id[:80]!r} appears twice", subject=subject)
        names.add(item.id)
        prompts.add(key)
