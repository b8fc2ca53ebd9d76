"""The OpenAPI document: FastAPI's of the management API, with what it cannot know, and the data plane's routes."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from routeiq_appliance.api.reference.dataplane import OPERATIONS, Who, operation_of
from routeiq_appliance.pipeline.roles import OWN_PATHS, READ_BY_POST

__all__ = ["describe", "who_may"]

_REFUSALS = {
    "400": "A field is missing, unknown or wrong, or is not enforced by this release",
    "401": "No key, or one that is not valid, blocked or expired",
    "403": "The key's role is not enough",
    "404": "There is no such thing",
    "409": "It is in another state than that",
    "413": "The body is too large",
    "431": "The request's headers, with its query, are too large",
    "503": "The database, or what the path needs, does not answer",
}
_ERROR = {
    "type": "object",
    "description": "OpenAI's error shape",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                "code": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                "request_id": {"type": "string"},
            },
        }
    },
}
_ANTHROPIC_ERROR = {
    "type": "object",
    "description": "Anthropic's error shape",
    "required": ["type", "error"],
    "properties": {
        "type": {"const": "error"},
        "error": {
            "type": "object",
            "required": ["type", "message"],
            "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
        },
        "request_id": {"type": "string"},
    },
}
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer KEY`"},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}


def describe(management: Mapping[str, Any], *, version: str) -> dict[str, Any]:
    """Return the whole document; `management` is FastAPI's, and stays as it is."""
    document = deepcopy(dict(management))
    document["info"] = {
        "title": "RouteIQ Appliance",
        "version": version,
        "description": "An LLM gateway: calls in OpenAI's and Anthropic's dialects, and LiteLLM's management API."
        " Every path needs a key but liveliness and readiness.",
    }
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas |= {"Error": _ERROR, "AnthropicError": _ANTHROPIC_ERROR}
    document["components"]["securitySchemes"] = _SCHEMES
    document["security"] = [{"bearer": []}, {"x-api-key": []}]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            _complete(operation, method.upper(), path)
    for operation in OPERATIONS:
        document["paths"].setdefault(operation.path, {})[operation.method.lower()] = operation_of(operation)
    return document


def who_may(method: str, path: str) -> Who:
    """Return who may use a management path."""
    if method == "GET":
        return "any key, of itself" if path in OWN_PATHS else "viewer or admin"
    return "viewer or admin" if path in READ_BY_POST else "admin"


def _complete(operation: dict[str, Any], method: str, path: str) -> None:
    operation["x-routeiq-access"] = who_may(method, path)
    operation["x-routeiq-management"] = True
    responses = operation["responses"]
    # FastAPI's own refusal; ours is 400, in the shape of all others.
    responses.pop("422", None)
    responses |= {
        status: {
            "description": text,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        }
        for status, text in _REFUSALS.items()
        if status not in responses
    }
