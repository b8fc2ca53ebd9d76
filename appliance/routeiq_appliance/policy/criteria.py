"""Criteria as functions of a call, compiled once: cheap ones first, patterns last. Pure.

Apart are those on the model, which a call may have several of (`auto`, fallbacks, rewriting), from the rest, which is
the same for all of them.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

from routeiq_appliance.policy.patterns import compile_pattern
from routeiq_appliance.policy.schema import Criteria, Size
from routeiq_appliance.policy.verdict import Facts, Unreadable
from routeiq_appliance.policy.windows import compile_window

__all__ = ["Compiled", "compile_criteria", "is_pattern", "model_matcher"]

Test = Callable[[Facts, datetime], bool]
ModelTest = Callable[[str], bool]
_NAMED = ("keys", "teams", "users", "organizations", "roles", "tags")


@dataclass(frozen=True, slots=True)
class Compiled:
    """`models` None: any model; all of `tests` must hold."""

    models: ModelTest | None
    tests: tuple[Test, ...]


def compile_criteria(criteria: Criteria) -> Compiled:
    """Compile; raises `ConfigError` for a pattern or a time zone that is none."""
    models = model_matcher(criteria.models) if criteria.models is not None else None
    return Compiled(models, tuple(_tests(criteria)))


def is_pattern(name: str) -> bool:
    """Whether `name` stands for more than one model."""
    return "*" in name or "?" in name


def model_matcher(names: list[str]) -> ModelTest:
    """Return whether a model's name is one of `names`; `*` and `?` are wild, everything else is itself."""
    exact = frozenset(name for name in names if not is_pattern(name))
    wild = [name for name in names if is_pattern(name)]
    if not wild:
        return exact.__contains__
    if "*" in wild:
        return lambda _name: True
    # Groups that are atomic, each the shortest: no name makes it go back and forth.
    joined = "|".join(_glob(name) for name in wild)
    found = re.compile(joined, re.DOTALL).fullmatch
    return lambda name: name in exact or found(name) is not None


def _glob(name: str) -> str:
    first, *rest = [
        "".join("." if char == "?" else re.escape(char) for char in part) for part in re.split(r"\*+", name)
    ]
    if not rest:
        return first
    *middle, last = rest
    return first + "".join(f"(?>.*?{part})" for part in middle) + f".*{last}"


def _tests(criteria: Criteria) -> Iterator[Test]:
    for name in _NAMED:
        wanted = getattr(criteria, name)
        if wanted is not None:
            yield _any_of(name, frozenset(wanted))
    if criteria.stream is not None:
        yield _equal("stream", frozenset({criteria.stream}))
    if criteria.dialects is not None:
        yield _equal("dialect", frozenset(criteria.dialects))
    if criteria.kinds is not None:
        yield _equal("kind", frozenset(criteria.kinds))
    if criteria.size is not None:
        yield from _sizes(criteria.size)
    if criteria.time is not None:
        windows = tuple(compile_window(window) for window in criteria.time)
        yield lambda _facts, now: any(within(now) for within in windows)
    if criteria.text is not None:
        yield _text([compile_pattern(item) for item in criteria.text], only_user=criteria.text_of == "user")


def _any_of(name: str, wanted: frozenset[str]) -> Test:
    apart, value = wanted.isdisjoint, attrgetter(name)
    return lambda facts, _now: not apart(value(facts))


def _equal(name: str, wanted: frozenset[Any]) -> Test:
    value = attrgetter(name)
    return lambda facts, _now: value(facts) in wanted


def _sizes(size: Size) -> Iterator[Test]:
    for what in ("bytes", "messages", "tokens"):
        low, high = getattr(size, f"min_{what}"), getattr(size, f"max_{what}")
        if low is not None or high is not None:
            yield _between(what, low or 0, float("inf") if high is None else high)


def _between(what: str, low: int, high: float) -> Test:
    value = attrgetter(what)
    return lambda facts, _now: low <= value(facts) <= high


def _text(searches: Sequence[Callable[[str], bool]], *, only_user: bool) -> Test:
    def found(facts: Facts, _now: datetime) -> bool:
        text = facts.user_text if only_user else facts.text
        if any(search(text) for search in searches):
            return True
        if facts.unreadable:
            # What was not read may hold it: nobody can say that it does not.
            raise Unreadable(facts.unreadable)
        return False

    return found
