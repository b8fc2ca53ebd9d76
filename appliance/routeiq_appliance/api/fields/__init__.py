"""Checks a body, field by field: known names have their type, and no name steers where the gateway calls. Pure.

Unknown names are relayed untouched in the upstream's body (`routeiq.extra_params`); they never become keywords of the
library, which takes addresses, credentials, file names and callbacks from them.
"""

from collections.abc import Mapping
from typing import Any

from routeiq_appliance.api.fields.anthropic import COUNT_TOKENS, MESSAGES, check_messages
from routeiq_appliance.api.fields.checks import Fields, bad
from routeiq_appliance.api.fields.forbidden import is_forbidden, require_no_addresses
from routeiq_appliance.api.fields.media import IMAGE, MODERATION, RERANK, SPEECH, TRANSCRIPTION
from routeiq_appliance.api.fields.openai import (
    CHAT,
    EMBEDDING,
    TEXT,
    check_chat,
    check_sampling,
    text_texts,
)
from routeiq_appliance.api.fields.responses import RESPONSES, check_responses
from routeiq_appliance.errors import CallError
from routeiq_appliance.limits import Limits
from routeiq_appliance.pipeline.types import Kind
from routeiq_router.prompt import prompt_text

__all__ = ["EVERYTHING", "FIELDS", "REQUIRED", "check_fields", "user_text"]

EVERYTHING = "*"
"""In `extra_params`: every unknown field is relayed."""
FIELDS: Mapping[Kind, Fields] = {
    "chat": CHAT,
    "text": TEXT,
    "embedding": EMBEDDING,
    "messages": MESSAGES,
    "count_tokens": COUNT_TOKENS,
    "responses": RESPONSES,
    "rerank": RERANK,
    "moderation": MODERATION,
    "image": IMAGE,
    "speech": SPEECH,
    "transcription": TRANSCRIPTION,
}
REQUIRED: Mapping[Kind, tuple[str, ...]] = {
    "chat": ("messages",),
    "text": ("prompt",),
    "embedding": ("input",),
    "messages": ("messages", "max_tokens"),
    "count_tokens": ("messages",),
    "responses": ("input",),
    "rerank": ("query", "documents"),
    "moderation": ("input",),
    "image": ("prompt",),
    "speech": ("input", "voice"),
    "transcription": (),
}
# Ours, not the upstream's: LiteLLM's keyword of the same name steers its logging, or its cache.
_KEPT_HERE = frozenset({"cache", "metadata", "stream", "store"})
_STREAMED = frozenset[Kind]({"chat", "text", "messages", "responses"})
_MAX_EXTRA = 64
_CONVERSATIONS: Mapping[Kind, str] = {
    "chat": "messages",
    "messages": "messages",
    "count_tokens": "messages",
    "responses": "input",
}
"""Where the turns of a conversation are."""


def check_fields(
    kind: Kind, body: Any, *, extra_names: frozenset[str], limits: Limits
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return the model asked for, the dialect's fields for the upstream, and the fields beyond them.

    Raises `CallError` 400 naming the field.
    """
    if not isinstance(body, dict):
        raise bad("the request body must be a JSON object", None)
    known = FIELDS[kind]
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise bad("`model` must be a string: a model's name, or `auto`", "model")
    params, extra = _sorted(body, known, extra_names)
    if kind not in _STREAMED and body.get("stream") not in (None, False):
        status, code = (501, "not_supported") if kind == "image" else (400, "unsupported_parameter")
        raise CallError(status, f"{kind} calls are not streamed", code=code, param="stream")
    for name in REQUIRED[kind]:
        if name not in params:
            raise bad(f"`{name}` is missing", name, code="missing_required_parameter")
    _check_contents(kind, body, params, limits)
    if extra:
        require_no_addresses(extra, "", contents=False)
    return model, params, extra


def _sorted(
    body: dict[str, Any], known: Fields, extra_names: frozenset[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    params: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    everything = EVERYTHING in extra_names
    for name, value in body.items():
        if name == "model" or (value is None and name in known):
            continue
        if name in known:
            wanted, check = known[name]
            if not check(value):
                raise bad(f"`{name}` must be {wanted}", name)
            if name not in _KEPT_HERE:
                params[name] = value
        elif name not in extra_names and (not everything or is_forbidden(name)):
            raise bad(f"unknown field `{name[:64]}`", name[:64], code="unknown_parameter")
        elif name not in _KEPT_HERE:
            extra[name] = value
    if len(extra) > _MAX_EXTRA:
        raise bad(f"more than {_MAX_EXTRA} fields that the dialect does not know", None)
    return params, extra


def _check_contents(kind: Kind, body: Mapping[str, Any], params: dict[str, Any], limits: Limits) -> None:
    if kind == "chat":
        check_chat(params, limits)
    elif kind in {"messages", "count_tokens"}:
        check_messages(params, limits)
    elif kind == "responses":
        check_responses(params, limits)
        params["store"] = False
    elif kind == "rerank":
        require_no_addresses(params["documents"], "documents", contents=False)
    elif kind == "moderation":
        require_no_addresses(params["input"], "input")
    if kind in {"chat", "text"}:
        check_sampling(body, params)


def user_text(kind: Kind, params: Mapping[str, Any], limits: Limits) -> str:
    """Return what the users asked, for routing, without what harnesses add: the end of it when it is long."""
    turns = _CONVERSATIONS.get(kind)
    if turns is not None:
        text = prompt_text(params[turns]).text
    else:
        text = "\n".join(text_texts(params)) if kind == "text" else ""
    return text[-limits.routing_prompt_chars :]
