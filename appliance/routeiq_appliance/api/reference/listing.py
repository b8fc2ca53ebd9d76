"""An OpenAPI document as rows that can be shown: one per operation, with its fields. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Field", "Listed", "listed"]


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter, or a field of a body or an answer."""

    name: str
    place: str
    """`path`, `query`, `header`, `body` or `form`."""
    type: str
    required: bool
    description: str


@dataclass(frozen=True, slots=True)
class Listed:
    """One operation."""

    method: str
    path: str
    tag: str
    summary: str
    who: str
    takes: tuple[Field, ...]
    gives: tuple[Field, ...]
    media: tuple[str, ...]
    statuses: tuple[str, ...]


def listed(document: Mapping[str, Any]) -> list[Listed]:
    """Return the operations in order of tag and path."""
    found = [
        Listed(
            method.upper(),
            path,
            operation["tags"][0],
            operation.get("description") or operation.get("summary", ""),
            operation["x-routeiq-access"],
            (*_parameters(operation, document), *_body(operation, document)),
            tuple(_fields(_answer(operation), "answer", document)),
            tuple(operation["responses"]["200"].get("content", {})),
            tuple(operation["responses"]),
        )
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return sorted(found, key=lambda item: (item.tag, item.path, item.method))


def _parameters(operation: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[Field]:
    for item in operation.get("parameters", ()):
        schema = item.get("schema", {})
        yield Field(
            item["name"],
            item["in"],
            _type(schema, document),
            bool(item.get("required")),
            item.get("description") or schema.get("description", ""),
        )


def _body(operation: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[Field]:
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        yield from _fields(content["schema"], "form" if media.startswith("multipart") else "body", document)


def _answer(operation: Mapping[str, Any]) -> Mapping[str, Any]:
    content = operation["responses"]["200"].get("content", {})
    found: Mapping[str, Any] = content.get("application/json", {}).get("schema", {})
    return found


def _fields(schema: Mapping[str, Any], place: str, document: Mapping[str, Any]) -> Iterator[Field]:
    schema = _resolved(schema, document)
    choices = [_resolved(item, document) for item in schema.get("anyOf", ())]
    chosen = next((item for item in choices if item.get("type") != "null"), schema)
    if chosen.get("type") == "array":
        chosen = _resolved(chosen.get("items", {}), document)
    required = chosen.get("required", ())
    for name, field in chosen.get("properties", {}).items():
        yield Field(name, place, _type(field, document), name in required, field.get("description", ""))


def _resolved(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def _type(schema: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    """Return a word for a schema: `string`, `list of integer`, `object`, or choices of these."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "enum" in schema:
        return " or ".join(f"`{item}`" for item in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        words = dict.fromkeys(_type(item, document) for item in choices)
        return " or ".join(word for word in words if word != "null") or "null"
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}), document)}"
    return str(kind)
