"""JSON from outside, read strictly: UTF-8, no duplicate names, no NaN or Infinity, bounded nesting.

Decides whether bytes are one acceptable JSON value (RFC 8259, I-JSON's RFC 7493 rules on names and
numbers); what the value means is for the caller.
"""

import json
import math
from typing import Any

from routeiq_router.errors import RouterError

__all__ = ["parse_json"]


def parse_json(data: bytes, *, subject: str) -> Any:
    """Return the value in `data`; raises `RouterError` that starts with `subject`."""
    try:
        return json.loads(
            data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite
        )
    except UnicodeDecodeError as error:
        raise RouterError(f"{subject}: not UTF-8 at byte {error.start}", subject=subject) from error
    except RecursionError as error:
        raise RouterError(f"{subject}: JSON nested too deeply", subject=subject) from error
    except ValueError as error:  # JSONDecodeError is one
        raise RouterError(f"{subject}: not valid JSON: {error}", subject=subject) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in pairs:
        if name in result:
            raise ValueError(f"name {name[:80]!r} appears twice")
        result[name] = value
    return result


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"number {text[:40]} is out of range")
    return value
