"""What a caller says about routing beside the model: headers first, then `metadata`; nothing of it is binding."""

from typing import Any

from routeiq_appliance.api.http import Request
from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.types import Wishes

__all__ = ["wishes_of"]

_NONE = Wishes()
_MAX_CHARS = 256
_MAX_TAGS = 32


def wishes_of(request: Request, metadata: Any) -> Wishes:
    """Return the wishes; raises `CallError` 400 for tags that are no list of short strings."""
    hint = request.header(b"x-routeiq-hint")
    strategy = request.header(b"x-routeiq-strategy")
    conversation = request.header(b"x-routeiq-conversation")
    tags = _split(request.header(b"x-litellm-tags")) | _split(request.header(b"x-routeiq-tags"))
    if isinstance(metadata, dict):
        told = metadata.get("conversation_id")
        if not conversation and isinstance(told, str):
            conversation = told
        tags |= _tags(metadata.get("tags"))
    if not (hint or strategy or conversation or tags):
        return _NONE
    return Wishes(_short(hint), _short(strategy), conversation or None, tags)


def _short(value: str | None) -> str | None:
    return value[:_MAX_CHARS] if value else None


def _split(value: str | None) -> frozenset[str]:
    return (
        frozenset(tag.strip() for tag in value.split(",")[:_MAX_TAGS] if tag.strip())
        if value
        else frozenset()
    )


def _tags(value: Any) -> frozenset[str]:
    if value is None:
        return frozenset()
    if not isinstance(value, list) or len(value) > _MAX_TAGS or not all(isinstance(t, str) for t in value):
        raise CallError(
            400,
            f"`metadata.tags` must be a list of at most {_MAX_TAGS} strings",
            code="invalid_value",
            param="metadata.tags",
        )
    return frozenset(value)
