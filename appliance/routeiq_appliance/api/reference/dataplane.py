"""What the routes of `api.routes` are for, what they take and answer: kept by hand, a test compares the paths."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from routeiq_appliance.api.azure import PREFIXES as AZURE
from routeiq_appliance.api.reference.bodies import body_schema
from routeiq_appliance.pipeline.types import Kind

__all__ = ["OPERATIONS", "Operation", "Who", "operation_of"]

Who = Literal["anyone", "any key", "any key, of itself", "viewer or admin", "admin"]
Answer = Literal["json", "events", "audio", "file"]
_STREAM: tuple[Answer, ...] = ("json", "events")
_JSON: tuple[Answer, ...] = ("json",)
_REFUSALS = {
    400: "A field is missing, unknown, wrong, or must not be given",
    401: "No key, or one that is not valid, blocked or expired",
    403: "The key may not use this model, or not call at all",
    404: "There is no such model",
    413: "The body is too large",
    429: "A limit of the key, its team or user is reached; `Retry-After` says for how long",
    501: "No server of the model speaks this dialect, and the gateway does not translate it",
    502: "The model's servers failed",
    503: "No server of the model is there, or the gateway is full",
    504: "A deadline passed",
}
_MEDIA = {
    "json": ("application/json", {"type": "object"}),
    "events": ("text/event-stream", {"type": "string"}),
    "audio": ("audio/*", {"type": "string", "format": "binary"}),
    "file": ("text/html", {"type": "string"}),
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One route. `{name}` in `path` stands for what follows a route's path that ends in `/`."""

    method: Literal["GET", "POST"]
    path: str
    summary: str
    who: Who = "any key"
    kind: Kind | None = None
    answers: tuple[Answer, ...] = _JSON
    refusals: tuple[int, ...] = (400, 401, 403, 404, 413, 429, 501, 502, 503, 504)


def _calls(prefix: str) -> tuple[Operation, ...]:
    return (
        Operation("POST", f"{prefix}/chat/completions", "Chat, as OpenAI has it", kind="chat", answers=_STREAM),
        Operation("POST", f"{prefix}/completions", "Completion of a text", kind="text", answers=_STREAM),
        Operation("POST", f"{prefix}/embeddings", "Embeddings of texts", kind="embedding"),
        Operation("GET", f"{prefix}/models", "The models that this key may ask for", refusals=(401, 503)),
        Operation("GET", f"{prefix}/models/{{model}}", "One of these models", refusals=(401, 404, 503)),
        Operation("POST", f"{prefix}/responses", "OpenAI's responses, without state unless relayed", kind="responses",
                  answers=_STREAM),
        Operation("POST", f"{prefix}/rerank", "Documents in order of relevance (Cohere, Jina)", kind="rerank"),
        Operation("POST", f"{prefix}/moderations", "Whether texts are harmful", kind="moderation"),
        Operation("POST", f"{prefix}/images/generations", "Images from a text", kind="image"),
        Operation("POST", f"{prefix}/audio/speech", "Speech from a text", kind="speech", answers=("audio",)),
        Operation("POST", f"{prefix}/audio/transcriptions", "Text of a recording; a form with `file`",
                  kind="transcription"),
    )  # fmt: skip


OPERATIONS: tuple[Operation, ...] = (
    Operation("GET", "/_health/live", "Whether the process lives", "anyone", refusals=()),
    Operation("GET", "/health/liveliness", "Whether the process lives", "anyone", refusals=()),
    Operation("GET", "/health/liveness", "Whether the process lives", "anyone", refusals=()),
    Operation("GET", "/health/readiness", "Whether calls are taken, and what is degraded", "anyone", refusals=(503,)),
    Operation("GET", "/ui/{file}", "The console; the key may be the password of HTTP Basic", answers=("file",),
              refusals=(401, 404)),
    *_calls("/v1"),
    *_calls(""),
    Operation("POST", "/v2/rerank", "Documents in order of relevance (Cohere's second version)", kind="rerank"),
    *(
        Operation("POST", f"{prefix}{{call}}", "A call as Azure's clients make it: `MODEL/chat/completions` and others")
        for prefix in AZURE
    ),
    Operation("POST", "/v1/messages", "Chat, as Anthropic has it", kind="messages", answers=_STREAM),
    Operation("POST", "/v1/messages/count_tokens", "Tokens of a chat, counted by the model's own server",
              kind="count_tokens"),
)  # fmt: skip


def operation_of(operation: Operation) -> dict[str, Any]:
    """Return the OpenAPI object of an operation."""
    found: dict[str, Any] = {
        "tags": ["gateway" if operation.who == "anyone" or operation.path.startswith("/ui") else "calls"],
        "summary": operation.summary,
        "operationId": f"{operation.method.lower()}{operation.path}".translate(_PLAIN),
        "x-routeiq-access": operation.who,
        "responses": {
            "200": {
                "description": "The answer",
                "content": {
                    name: {"schema": schema} for name, schema in map(_MEDIA.__getitem__, operation.answers)
                },
            },
            **_refusals(operation),
        },
    }
    if "{" in operation.path:
        name = operation.path.partition("{")[2].rstrip("}")
        found["parameters"] = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}}]
    if operation.kind is not None:
        found["requestBody"] = {"required": True, "content": _content(operation.kind)}
    if operation.who == "anyone":
        found["security"] = []
    return found


_PLAIN = str.maketrans(dict.fromkeys("/-{}", "_"))


def _refusals(operation: Operation) -> Mapping[str, Any]:
    shape = "AnthropicError" if operation.path.startswith("/v1/messages") else "Error"
    schema = {"$ref": f"#/components/schemas/{shape}"} if operation.who != "anyone" else {"type": "object"}
    return {
        str(status): {
            "description": _REFUSALS[status],
            "content": {"application/json": {"schema": schema}},
        }
        for status in operation.refusals
    }


def _content(kind: Kind) -> dict[str, Any]:
    schema = body_schema(kind)
    if kind != "transcription":
        return {"application/json": {"schema": schema}}
    schema["properties"]["file"] = {"type": "string", "format": "binary"}
    schema["required"].append("file")
    return {"multipart/form-data": {"schema": schema}}
