"""The kinds of fields that bodies have, each with the bounds within which a value can be kept and enforced."""

import json
from collections.abc import Mapping
from decimal import Decimal
from math import isfinite
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from routeiq_appliance.api.management.context import near
from routeiq_appliance.errors import CallError
from routeiq_appliance.state.records import duration_seconds
from routeiq_router.errors import RouterError
from routeiq_router.objective import read_objective

__all__ = [
    "NO_END",
    "Alias",
    "Budgets",
    "Count",
    "Counts",
    "Dollars",
    "Duration",
    "Email",
    "Extension",
    "Instant",
    "KeyReference",
    "Metadata",
    "Models",
    "Name",
    "Parallel",
    "parse_duration",
]

NO_END = "-1"
"""LiteLLM's duration of a key that does not expire."""
_METADATA_BYTES = 64 << 10
_MOST_DOLLARS = 9_000_000
"""SQLite counts pico-dollars in 64 bits."""
_ROUTEIQ = frozenset({"strategy", "fail_closed", "objective"})
_FORM = "must look like 30s, 30m, 30h, 30d, 4w or 1mo"
_BUDGET_NAMES = ("budget_limit", "max_budget")


def parse_duration(text: str) -> int:
    """Return the seconds of a duration in LiteLLM's form; raises `CallError` 400."""
    seconds = duration_seconds(text)
    if seconds is None:
        raise CallError(400, f"`duration` {_FORM}", code="invalid_value", param="duration")
    return seconds


def _duration(text: str) -> str:
    if duration_seconds(text) is None:
        raise PydanticCustomError("duration", _FORM)
    return text


def _extension(text: str) -> str:
    return text if text == NO_END else _duration(text)


def _printable(text: str) -> str:
    # Not a matter of taste: PostgreSQL keeps no NUL, UTF-8 no lone surrogate.
    if not text.isprintable():
        raise PydanticCustomError("printable", "must hold printable characters only")
    return text


def _whole(value: Any) -> Any:
    # JSON has one kind of number: 60.0 is a whole one, and some clients write it so.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _decimal(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PydanticCustomError("dollars", "must be a number of dollars")
    if isinstance(value, int):
        return Decimal(value)
    if not isfinite(value):
        raise PydanticCustomError("dollars", "must be a finite number")
    # The shortest text that is this float: what the caller wrote.
    return Decimal(repr(value))


def _budgets(value: Any) -> Any:
    """Take `{group: dollars}` and LiteLLM's `{group: {"budget_limit": dollars}}`; a period is not enforced."""
    if not isinstance(value, dict):
        return value
    return {group: _budget(entry) for group, entry in value.items()}


def _budget(entry: Any) -> Any:
    if not isinstance(entry, dict):
        return entry
    given = {name: item for name, item in entry.items() if item is not None}
    other = next((name for name in given if name not in _BUDGET_NAMES), None)
    if other is not None:
        raise PydanticCustomError(
            "not_enforced", "`{name}` of a model's budget is not enforced: leave it out", {"name": other[:64]}
        )
    if len(given) != 1:
        raise PydanticCustomError("budget", "must be dollars, or an object with `budget_limit`")
    return next(iter(given.values()))


def _metadata(value: dict[str, Any]) -> dict[str, Any]:
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        size = len(text.encode("utf-8"))
    except (ValueError, RecursionError):
        raise PydanticCustomError("metadata", "holds what JSON cannot say in UTF-8") from None
    if "\\u0000" in text.replace("\\\\", ""):
        raise PydanticCustomError("metadata", "must not hold the character U+0000")
    if size > _METADATA_BYTES:
        raise PydanticCustomError("metadata", "must be shorter than 64 KiB")
    if value.get("routeiq") is not None:
        _own_metadata(value["routeiq"])
    return value


def _own_metadata(own: Any) -> None:
    """Check `metadata.routeiq`: what is in it is acted on, so a mistake in it is one."""
    if not isinstance(own, Mapping):
        raise PydanticCustomError("metadata", "`metadata.routeiq` must be an object")
    for name, item in own.items():
        if name not in _ROUTEIQ:
            raise PydanticCustomError(
                "metadata",
                "unknown field `metadata.routeiq.{name}`{advice}",
                {"name": name[:128], "advice": near(name, _ROUTEIQ)},
            )
        if name == "fail_closed" and not isinstance(item, bool):
            raise PydanticCustomError("metadata", "`metadata.routeiq.fail_closed` must be true or false")
        if name == "strategy" and not (isinstance(item, str) and 0 < len(item) <= 64 and item.isprintable()):
            raise PydanticCustomError("metadata", "`metadata.routeiq.strategy` must be a strategy's name")
        if name == "objective":
            try:
                read_objective(item)
            except RouterError as error:
                said = f"{error}; {error.hint}".removeprefix("objective: ")
                raise PydanticCustomError(
                    "metadata", "`metadata.routeiq.objective`: {said}", {"said": said}
                ) from None


_PRINTABLE = {"pattern": r"^[^\x00-\x1f\x7f-\x9f]*$"}
"""For the API's document: the most of `str.isprintable` that every dialect of patterns can say."""
_PERIOD = (
    r"(?:[1-9][0-9]{0,8}s|[1-9][0-9]{0,6}m|[1-9][0-9]{0,4}h|[1-9][0-9]{0,3}d|[1-9][0-9]{0,2}(?:w|mo)"
    r"|hourly|daily|weekly|monthly)"
)
_NUMBER = WithJsonSchema({"type": "number", "minimum": 0, "maximum": _MOST_DOLLARS})

Name = Annotated[
    str, Field(min_length=1, max_length=128, json_schema_extra=_PRINTABLE), AfterValidator(_printable)
]
KeyReference = Annotated[
    str, Field(min_length=1, max_length=512, json_schema_extra=_PRINTABLE), AfterValidator(_printable)
]
"""A key, or its token id."""
Alias = Annotated[
    str, Field(min_length=1, max_length=256, json_schema_extra=_PRINTABLE), AfterValidator(_printable)
]
Email = Annotated[
    str, Field(min_length=3, max_length=320, pattern=r"^[^@\s]+@[^@\s]+$"), AfterValidator(_printable)
]
Instant = Annotated[
    str,
    Field(
        max_length=40,
        json_schema_extra={"anyOf": [{"format": "date"}, {"format": "date-time"}]},
    ),
]
"""A day (UTC) or a time, as `queries.instant` reads it."""
Count = Annotated[int, Field(ge=0, le=10**12), BeforeValidator(_whole)]
Parallel = Annotated[int, Field(ge=0, le=1_000_000), BeforeValidator(_whole)]
Duration = Annotated[str, Field(json_schema_extra={"pattern": f"^{_PERIOD}$"}), AfterValidator(_duration)]
Dollars = Annotated[Decimal, Field(ge=0, le=_MOST_DOLLARS), BeforeValidator(_decimal), _NUMBER]
Extension = Annotated[
    str, Field(json_schema_extra={"pattern": f"^(?:{_PERIOD}|-1)$"}), AfterValidator(_extension)
]
Models = Annotated[list[str], Field(max_length=1000)]
Counts = Annotated[dict[str, Count], Field(max_length=1000)]
Budgets = Annotated[dict[str, Dollars], Field(max_length=1000), BeforeValidator(_budgets)]
Metadata = Annotated[dict[str, Any], AfterValidator(_metadata)]
