"""Whether a reply is right: one function a kind of answer. Pure, and bounded whatever a model says.

Tolerant of manner (a sentence around the number, Markdown, a code fence, thoughts in `<think>`), strict about matter: a
reply that says two different things is wrong, and a wrong reply is never made right by what else is in it. Of a reply
longer than `MAX_CHARS` only the end is looked at, where the answer is.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from routeiq_router.errors import RouterError
from routeiq_router.strict_json import parse_json

__all__ = ["CHECKS", "MAX_ANSWER_CHARS", "MAX_CHARS", "answer_fault", "is_right"]

MAX_CHARS = 8192
MAX_ANSWER_CHARS = 2000
_MAX_DIGITS = 40
_TOLERANCE = Fraction(1, 10**6)

_THOUGHT = "</think>"
_NUMBER = re.compile(r"(?<![\w.,])[-\u2212+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:/\d+)?(?![\w/]|[.,]\d)")
_SAID = re.compile(r"(?:\banswer\b(?:\s+is)?\s*[:=]?|\\boxed\{|####|=)\s*", re.IGNORECASE)
_LETTER = re.compile(r"^\(?([A-Z])\)?(?:[.):]|\s*$)")
_SAID_LETTER = re.compile(
    r"\b(?:answer|option|choice)(?:\s+is)?\s*:?\s*\(?([A-Z])\)?(?![\w'])", re.IGNORECASE
)
_FENCE = re.compile(r"```[a-zA-Z]*\n?(.*?)```", re.DOTALL)
_SPLIT = re.compile(r"\s*[,;\n]\s*(?:and\s+)?|\s+and\s+")
_BULLET = re.compile(r"^\s*(?:[-*\u2022]|\d+[.)])\s+")
_MARKS = " \t\r\n\"'`*_.!\u201c\u201d\u2018\u2019"


def is_right(check: str, answer: Any, reply: str) -> bool:
    """Tell whether `reply` says `answer`; `check` is a name in `CHECKS`, `answer` one that `answer_fault` passed."""
    text = unicodedata.normalize("NFKC", reply[-MAX_CHARS:])
    text = text.rpartition(_THOUGHT)[2].strip()
    return bool(text) and CHECKS[check](answer, text)


def answer_fault(check: str, answer: Any) -> str | None:
    """Return what is wrong with an answer of this kind, None if nothing is."""
    wanted, fits = _ANSWERS[check]
    if len(json.dumps(answer)) > MAX_ANSWER_CHARS:
        return f"longer than {MAX_ANSWER_CHARS} characters"
    return None if fits(answer) else f"not {wanted}"


def _number(answer: Any, text: str) -> bool:
    want = Fraction(str(answer))
    said = _SAID.split(text.replace("**", "").replace("$", ""))
    found = [_NUMBER.findall(part) for part in said]
    if len(said) > 1 and found[-1]:
        candidates = found[-1][:1]
    else:
        candidates = [number for part in found for number in part]
        # "12 apples and 3 pears" does not answer what 12 is asked for.
        candidates = candidates[-1:] if "\n" in text and _alone(text) else candidates
    values = {_value(number) for number in candidates}
    if len(values) != 1:
        return False
    got = values.pop()
    return got is not None and abs(got - want) <= _TOLERANCE * max(Fraction(1), abs(want))


def _alone(text: str) -> bool:
    """Tell whether the last line is a number and little else."""
    last = text.splitlines()[-1]
    return len(_NUMBER.findall(last)) == 1 and len(last.split()) <= 4


def _value(number: str) -> Fraction | None:
    if len(number) > _MAX_DIGITS:
        return None
    try:
        return Fraction(number.replace(",", "").replace("\u2212", "-"))
    except (ValueError, ZeroDivisionError):
        return None


def _exact(answer: Any, text: str) -> bool:
    wanted = {_plain(one) for one in (answer if isinstance(answer, list) else [answer])}
    lines = text.splitlines()
    said = re.split(r"\banswer\b(?:\s+is)?\s*:?", text, flags=re.IGNORECASE)
    return any(_plain(part) in wanted for part in (text, lines[-1], said[-1]))


def _contains(answer: Any, text: str) -> bool:
    wanted = [_plain(one) for one in (answer if isinstance(answer, list) else [answer])]
    said = re.sub(r"\s+", " ", text).casefold()
    return any(re.search(rf"(?<!\w){re.escape(one)}(?!\w)", said) for one in wanted)


def _choice(answer: Any, text: str) -> bool:
    said = {letter.upper() for letter in _SAID_LETTER.findall(text)}
    if not said:
        lines = [line.strip(" *`\"'") for line in text.splitlines()]
        starts = [found[1] for line in lines if (found := _LETTER.match(line))]
        said = set(starts)
    return said == {answer}


def _json(answer: Any, text: str) -> bool:
    fenced = _FENCE.findall(text)
    for part in (text, *fenced[-1:], _braced(text)):
        try:
            value = parse_json(part.strip().encode("utf-8", "replace"), subject="reply")
        except RouterError:
            continue
        return _same(value, answer)
    return False


def _braced(text: str) -> str:
    starts = [at for at in (text.find("{"), text.find("[")) if at >= 0]
    return text[min(starts) : max(text.rfind("}"), text.rfind("]")) + 1] if starts else ""


def _same(got: Any, want: Any) -> bool:
    if isinstance(want, dict) and isinstance(got, dict):
        return got.keys() == want.keys() and all(_same(got[name], want[name]) for name in want)
    if isinstance(want, list) and isinstance(got, list):
        return len(got) == len(want) and all(map(_same, got, want))
    if isinstance(got, bool) or isinstance(want, bool):
        return got is want
    return bool(got == want)


def _set(answer: Any, text: str) -> bool:
    found = _parts(text)
    return len(found) == len(set(found)) and set(found) == {_plain(str(one)) for one in answer}


def _list(answer: Any, text: str) -> bool:
    return _parts(text) == [_plain(str(one)) for one in answer]


def _parts(text: str) -> list[str]:
    """Return the members of a list in a reply: between commas or on lines, after a colon that introduces them."""
    body = re.sub(r"^[^:\n]{0,120}:\s*", "", text, count=1).strip(" []{}()\n.")
    lines = [_BULLET.sub("", line) for line in body.splitlines() if line.strip()]
    return [part for line in lines for one in _SPLIT.split(line) if (part := _plain(one.strip("[]{}()")))]


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text.strip(_MARKS)).casefold()


CHECKS: Mapping[str, Callable[[Any, str], bool]] = {
    "number": _number,
    "exact": _exact,
    "contains": _contains,
    "choice": _choice,
    "json": _json,
    "set": _set,
    "list": _list,
}
"""By kind: the number; the words alone (any of a list); the words anywhere; the letter; an equal JSON value; the
members; those in order. `contains` is the lenient one: a reply that names everything is right."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 10**_MAX_DIGITS


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(_plain(value))


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_text, value))


_ANSWERS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "number": ("a number", _is_number),
    "exact": ("a text, or a list of texts any of which is right", lambda v: _is_text(v) or _is_texts(v)),
    "contains": ("a text, or a list of texts any of which is right", lambda v: _is_text(v) or _is_texts(v)),
    "choice": ("a letter from A to Z", lambda v: isinstance(v, str) and re.fullmatch("[A-Z]", v) is not None),
    "json": ("an object or a list", lambda v: isinstance(v, dict | list)),
    "set": ("a list of different texts", lambda v: _is_texts(v) and len(set(map(_plain, v))) == len(v)),
    "list": ("a list of texts", _is_texts),
}
