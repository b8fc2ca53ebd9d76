"""What a field of a request may be: small checks that the dialects' tables are made of. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from routeiq_appliance.errors import CallError

__all__ = [
    "Check", "Fields", "a_boolean", "a_number", "a_string", "an_integer", "an_object", "bad", "bias", "choice",
    "functions", "one_of", "require_own_tools", "strings", "text_input", "tools", "typed_objects",
]  # fmt: skip

Check = Callable[[Any], bool]


def a_number(low: float, high: float) -> Check:
    """Return the check for a number from `low` to `high`."""
    # NaN is in no range; `math.isfinite` would fail with a whole number that no float holds.
    return lambda v: isinstance(v, int | float) and not isinstance(v, bool) and low <= v <= high


def an_integer(low: int, high: int = 2**31 - 1) -> Check:
    """Return the check for a whole number from `low` to `high`."""
    return lambda v: isinstance(v, int) and not isinstance(v, bool) and low <= v <= high


def a_string(value: Any) -> bool:
    """Whether it is a string."""
    return isinstance(value, str)


def a_boolean(value: Any) -> bool:
    """Whether it is true or false."""
    return isinstance(value, bool)


def an_object(value: Any) -> bool:
    """Whether it is an object."""
    return isinstance(value, dict)


def strings(value: Any) -> bool:
    """Whether it is a list of strings, of one at least."""
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)


def one_of(*values: str) -> Check:
    """Return the check for one of `values`."""
    return lambda v: isinstance(v, str) and v in values


def typed_objects(value: Any) -> bool:
    """Whether it is a list of objects with a `type`."""
    return isinstance(value, list) and all(
        isinstance(v, dict) and isinstance(v.get("type"), str) for v in value
    )


def functions(value: Any) -> bool:
    """Whether it is a list of objects with a `name`."""
    return isinstance(value, list) and all(
        isinstance(v, dict) and isinstance(v.get("name"), str) for v in value
    )


def bias(value: Any) -> bool:
    """Whether it is an object of token ids and numbers from -100 to 100."""
    score = a_number(-100, 100)
    return isinstance(value, dict) and all(
        key.isascii() and key.isdigit() and score(item) for key, item in value.items()
    )


def tools(value: Any) -> bool:
    """Whether it is a list of tools; a function has a name."""
    return typed_objects(value) and all(
        tool["type"] != "function"
        or (an_object(tool.get("function")) and a_string(tool["function"].get("name")))
        for tool in value
    )


def require_own_tools(given: Sequence[Mapping[str, Any]], own: frozenset[str]) -> None:
    """Raise `CallError` 400 for a tool that the upstream would run, or dial."""
    for number, tool in enumerate(given):
        if tool["type"] not in own:
            where = f"tools[{number}].type"
            raise bad(
                f"`{where}`: only tools that the caller runs are possible ({', '.join(sorted(own))})", where
            )


def choice(value: Any) -> bool:
    """Whether it is a string, or an object with a `type`."""
    return a_string(value) or (an_object(value) and a_string(value.get("type")))


def tokens(value: Any) -> bool:
    """Whether it is a list of token ids."""
    token = an_integer(0)
    return isinstance(value, list) and bool(value) and all(token(item) for item in value)


def text_input(value: Any) -> bool:
    """Whether it is a string, strings, token ids, or lists of token ids."""
    if isinstance(value, str) or strings(value) or tokens(value):
        return True
    return isinstance(value, list) and bool(value) and all(tokens(item) for item in value)


Fields = dict[str, tuple[str, Check]]
"""Name to what it must be, in words and as a check."""


def bad(message: str, param: str | None, *, code: str = "invalid_value") -> CallError:
    """Return the 400 that names a field."""
    return CallError(400, message, code=code, param=param)
