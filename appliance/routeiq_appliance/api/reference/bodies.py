"""JSON Schemas of the data plane's bodies, made from the tables that bodies are checked by (`api.fields`).

A field that is not in a table is relayed where `routeiq.extra_params` names it, so no schema is closed.
"""

from collections.abc import Mapping
from typing import Any

from routeiq_appliance.api.fields import FIELDS, REQUIRED
from routeiq_appliance.pipeline.types import Kind

__all__ = ["body_schema"]

_TYPES: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("a string or", {}),
    ("a string,", {}),
    ("a string", {"type": "string"}),
    ("true or false", {"type": "boolean"}),
    ("a whole number", {"type": "integer"}),
    ("a number", {"type": "number"}),
    ("a list", {"type": "array"}),
    ("an object", {"type": "object"}),
)
"""What the words of a table begin with, and what that is in JSON Schema; the first that fits."""


def body_schema(kind: Kind) -> dict[str, Any]:
    """Return the schema of a call's body; of a form, without its file."""
    properties: dict[str, Any] = {
        "model": {"type": "string", "description": "A group, one of its other names, or `auto`"}
    }
    for name, (words, _) in sorted(FIELDS[kind].items()):
        properties[name] = {**_type(words), "description": words[:1].upper() + words[1:]}
    return {"type": "object", "properties": properties, "required": ["model", *REQUIRED[kind]]}


def _type(words: str) -> Mapping[str, Any]:
    return next((schema for start, schema in _TYPES if words.startswith(start)), {})
