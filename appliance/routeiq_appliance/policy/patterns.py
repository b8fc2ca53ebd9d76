"""Regular expressions over callers' text, found in time linear in the text. Pure.

The engine is Rust's `regex`, through pydantic-core: automata, no backtracking; look-around and back-references do not
exist. Its time is bounded by text x states, so both are: a pattern whose repetitions, written out, are longer than
`MAX_EXPANDED` is refused, and so is one whose states take more than 10 MB (a repeated `\\w` is large: all of Unicode).
"""

import re
from collections.abc import Callable

from pydantic_core import SchemaError, SchemaValidator, core_schema

from routeiq_appliance.errors import ConfigError

__all__ = ["MAX_EXPANDED", "compile_pattern", "expanded", "slowest"]

MAX_EXPANDED = 300
"""Atoms of a pattern with its counted repetitions written out; a repeated atom costs every character of a text."""
_MAX_SHOWN = 200
_TRIED = 50_000
_HARD = ("a", "é", "ab1 ", "12345 ", "word ")
"""Repeated: what ordinary classes match without an end."""
_COUNTED = re.compile(r"\{\s*(\d+)\s*(,)?\s*(\d*)\s*\}")
_CLASS_ESCAPE = re.compile(r"\\[pPxuU](\{[^}]*\}|[0-9A-Za-z])?")


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """Return whether `pattern` is found in a text; raises `ConfigError` for one that is none or too large."""
    size = expanded(pattern)
    if size > MAX_EXPANDED:
        raise ConfigError(f"is too large: its repetitions, written out, are more than {MAX_EXPANDED} long")
    try:
        validator = SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except SchemaError as error:
        raise ConfigError(f"cannot be used: {_reason(str(error))}") from None
    found = validator.isinstance_python

    def search(text: str) -> bool:
        # What is no Unicode (a lone surrogate) must not hide the rest from the engine, which takes UTF-8 only.
        return found(text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8"))

    return search


def expanded(pattern: str) -> int:
    """Return the number of atoms once `x{2,5}` is `xxxxx`, from above; what is no pattern has some number."""
    stack: list[int] = []
    total = last = 0
    position = 0
    while position < len(pattern):
        char = pattern[position]
        counted = _COUNTED.match(pattern, position) if char == "{" else None
        if counted is not None:
            times = max(int(counted[1][:7]), int(counted[3][:7] or "0"), 1)
            total += last * (times - 1)
            last *= times
            position = counted.end()
            continue
        step = 1
        if char == "(":
            stack += [total, last]
            total = last = 0
        elif char == ")" and stack:
            inner, _, before = total, stack.pop(), stack.pop()
            total, last = before + inner, inner
        elif char in "?*+":
            pass  # belongs to the atom before
        else:
            step = _atom(pattern, position)
            last = 1
            total += 1
        position += step
    while stack:
        stack.pop()
        total += stack.pop()
    return total


def slowest(pattern: str, chars: int, clock: Callable[[], float]) -> float:
    """Return about how many seconds a text of `chars` characters can take, tried on texts that find nothing early.

    `clock`: seconds of this process's work.
    """
    search = compile_pattern(pattern)
    seconds = 0.0
    for text in _HARD:
        before = clock()
        search((text * (_TRIED // len(text) + 1))[:_TRIED])
        seconds = max(seconds, clock() - before)
    return seconds * chars / _TRIED


def _atom(pattern: str, position: int) -> int:
    """Return the length of the character, escape or class at `position`."""
    if pattern[position] == "\\":
        long = _CLASS_ESCAPE.match(pattern, position)
        return len(long[0]) if long else 2
    if pattern[position] != "[":
        return 1
    depth, end = 0, position
    while end < len(pattern):
        if pattern[end] == "\\":
            end += 1
        elif pattern[end] == "[":
            depth += 1
        elif pattern[end] == "]" and end > position + 1 + (pattern[position + 1 : position + 2] == "^"):
            depth -= 1
            if depth == 0:
                break
        end += 1
    return end + 1 - position


def _reason(text: str) -> str:
    found = re.search(r"error: (.*?)(?:\n|\[type|$)", text) or re.search(r"SchemaError: (.*?)(?:\n|$)", text)
    return (found[1] if found else "not understood").strip().lower()[:_MAX_SHOWN]
