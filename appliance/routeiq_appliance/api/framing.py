"""How each dialect writes a stream and an error. Pure.

Shapes: OpenAI API reference (chat's `data:` lines and `[DONE]`, responses' named events), Anthropic API reference
(named events, errors by type); event streams: WHATWG HTML, 9.2.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from routeiq_appliance.api.http import error_body, json_bytes
from routeiq_appliance.errors import CallError

__all__ = ["ANTHROPIC", "OPENAI", "RESPONSES", "Framing", "anthropic_error"]

ErrorBody = Callable[[CallError, str], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Framing:
    """`frame` writes an event, `done` follows the last one; `error` is a body, `failure` ends a broken stream."""

    frame: Callable[[dict[str, Any]], bytes]
    done: bytes
    error: ErrorBody
    failure: ErrorBody


def anthropic_error(error: CallError, request_id: str) -> dict[str, Any]:
    """Return Anthropic's error shape, with the request id."""
    kind = _ANTHROPIC_KINDS.get(error.status, "api_error" if error.status >= 500 else "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": str(error)}, "request_id": request_id}


def _responses_failure(error: CallError, request_id: str) -> dict[str, Any]:
    return {
        "type": "error",
        "code": error.code or error.kind,
        "message": str(error),
        "param": error.param,
        "request_id": request_id,
    }


def _data(event: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % json_bytes(event)


def _named(event: dict[str, Any]) -> bytes:
    kind = event.get("type")
    # A name of several lines would end the field: what is no plain word is not an upstream's event type.
    if isinstance(kind, str) and kind.isascii() and kind.isprintable():
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), json_bytes(event))
    return _data(event)


_ANTHROPIC_KINDS: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    501: "not_supported_error",
    503: "overloaded_error",
    504: "timeout_error",
}
OPENAI = Framing(_data, b"data: [DONE]\n\n", error_body, error_body)
RESPONSES = Framing(_named, b"", error_body, _responses_failure)
ANTHROPIC = Framing(_named, b"", anthropic_error, anthropic_error)
