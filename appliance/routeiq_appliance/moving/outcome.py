"""What becomes of one row: carried, with what is written and what changes; or held back, with the reason."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Carried", "Held", "Outcome"]


@dataclass(frozen=True, slots=True)
class Carried:
    """`values` are the columns of our table; `period` is the start of the budget's period, Unix seconds."""

    name: str
    """How the report calls the row; never a secret."""
    values: Mapping[str, Any]
    scope: str
    spent: int = 0
    """Pico-dollars in that period."""
    period: int = 0
    changes: tuple[str, ...] = ()
    """What is not as it was, one reason each."""


@dataclass(frozen=True, slots=True)
class Held:
    """The row stays behind."""

    name: str
    reason: str


Outcome = Carried | Held
