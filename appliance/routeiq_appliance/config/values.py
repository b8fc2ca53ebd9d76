"""The kinds of value that several sections share: whole numbers, seconds, prices, names of groups."""

import inspect
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.fields import FieldInfo

from routeiq_appliance.money import pico

__all__ = ["Acted", "Dollars", "Fallbacks", "Group", "Number", "Strict", "Whole", "own_first"]


class Strict(BaseModel):
    """A section of our own: an unknown name or a wrong type is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=())


class Acted(BaseModel):
    """A section of LiteLLM's: names that we do not act on are kept, and told by `config.ignored`."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())


def own_first(model: type[BaseModel]) -> list[tuple[str, FieldInfo]]:
    """Return a section's fields for a reader: its own before those that it shares with others."""
    own = inspect.get_annotations(model)
    return sorted(model.model_fields.items(), key=lambda item: item[0] not in own)


def _no_bool(value: Any) -> Any:
    # True is 1 to Python, and `rpm: yes` a mistake.
    if isinstance(value, bool):
        raise ValueError("input should be a number")
    return value


def _price(value: Any) -> Decimal:
    # YAML reads `1e-7` as text and `1.0e-7` as a float; a float's shortest decimal is what the file says.
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError("input should be a price in dollars, for example 1.5e-7")
    try:
        amount = Decimal(str(value).strip())
    except InvalidOperation:
        raise ValueError("input should be a price in dollars, for example 1.5e-7") from None
    if not amount.is_finite() or not 0 <= amount <= 1_000_000:
        raise ValueError("input should be a price in dollars from 0 to 1,000,000")
    if amount and not pico(amount):
        raise ValueError("price is below half a pico-dollar (5e-13) and would count as free")
    return amount


Whole = Annotated[int, BeforeValidator(_no_bool)]
Number = Annotated[float, BeforeValidator(_no_bool), Field(allow_inf_nan=False)]
Dollars = Annotated[
    Decimal,
    BeforeValidator(_price),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}]}),
]
"""Dollars, exactly as the file writes them."""
Group = Annotated[str, Field(min_length=1, max_length=128)]
Fallbacks = list[dict[str, list[Group]]]
"""LiteLLM's form: `[{group: [group, …]}, …]`; the name `*` stands for every group without an entry."""
