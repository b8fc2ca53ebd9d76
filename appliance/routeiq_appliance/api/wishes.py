"""What a caller says about routing beside the model: headers first, then `metadata`; nothing of it is binding."""

from typing import Any

from routeiq_appliance.api.http import Request
from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.types import Wishes
from routeiq_router.errors import RouterError
from routeiq_router.objective import Objective, read_objective

__all__ = ["wishes_of"]

_NONE = Wishes()
_MAX_CHARS = 256
_MAX_TAGS = 32


def wishes_of(request: Request, metadata: Any) -> Wishes:
    """Return the wishes; raises `CallError` 400 for tags that are no list of short strings, or no objective."""
    hint = request.header(b"x-routeiq-hint")
    strategy = request.header(b"x-routeiq-strategy")
    conversation = request.header(b"x-routeiq-conversation")
    objective = request.header(b"x-routeiq-objective")
    tags = _split(request.header(b"x-litellm-tags")) | _split(request.header(b"x-routeiq-tags"))
    if isinstance(metadata, dict):
        told = metadata.get("conversation_id")
        if not conversation and isinstance(told, str):
            conversation = told
        tags |= _tags(metadata.get("tags"))
    if not (hint or strategy or conversation or tags or objective is not None):
        return _NONE
    return Wishes(
        _short(hint), _short(strategy), conversation or None, tags,
        None if objective is None else _objective(objective),
    )  # fmt: skip


def _objective(value: str) -> Objective:
    try:
        return read_objective(value)
    except RouterError as error:
        raise CallError(
            400,
            f"`x-routeiq-objective`: {str(error).removeprefix('objective: ')}; {error.hint}",
            code="invalid_value",
            param="x-routeiq-objective",
        ) from None


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
