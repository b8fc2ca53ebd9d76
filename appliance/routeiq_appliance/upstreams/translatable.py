"""What of Anthropic's messages a chat can hold: the rest is told, never dropped in silence. Pure.

The library passes over blocks and documents that it has no place for; a model would then answer another question.
Shapes: Anthropic API reference.
"""

from typing import Any

from routeiq_appliance.errors import UpstreamError

__all__ = ["chat_blocks", "untranslatable"]

_KEPT = frozenset({"redacted_thinking", "text", "thinking", "tool_use"})


def untranslatable(what: str) -> UpstreamError:
    """Return the caller's 400."""
    return UpstreamError("caller", 400, f"the request cannot be translated for this model: {what}")


def chat_blocks(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the messages with documents and search results as text; raises `UpstreamError` for what a chat lacks."""
    made = []
    for number, message in enumerate(messages):
        content = message["content"]
        if isinstance(content, list):
            content = _blocks(content, f"messages[{number}].content")
            message = {**message, "content": content}  # noqa: PLW2901 - the caller's is left as it is
        if content in ("", []):
            raise untranslatable(f"`messages[{number}].content` is empty")
        made.append(message)
    return made


def _blocks(content: list[dict[str, Any]], where: str) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for number, block in enumerate(content):
        kind, place = block["type"], f"{where}[{number}]"
        if kind in _KEPT:
            made.append(_whole(block, place))
        elif kind == "image":
            _require_data(block.get("source"), place)
            made.append(block)
        elif kind == "document":
            made += _document(block, place)
        elif kind == "search_result":
            made += _blocks(_list(block.get("content"), place), f"{place}.content")
        elif kind == "tool_result":
            made.append(_result(block, place))
        else:
            raise untranslatable(f"`{place}.type`")
    return made


def _whole(block: dict[str, Any], place: str) -> dict[str, Any]:
    needed = {"text": ("text",), "tool_use": ("id", "name")}.get(block["type"], ())
    for name in needed:
        if not isinstance(block.get(name), str):
            raise untranslatable(f"`{place}.{name}` must be a string")
    return block


def _document(block: dict[str, Any], place: str) -> list[dict[str, Any]]:
    source = block.get("source")
    if isinstance(source, dict) and source.get("type") == "text" and isinstance(source.get("data"), str):
        return [{"type": "text", "text": source["data"]}]
    if isinstance(source, dict) and source.get("type") == "content":
        content = source.get("content")
        if isinstance(content, str):
            return [{"type": "text", "text": content}]
        return _blocks(_list(content, place), f"{place}.source.content")
    _require_data(source, place)
    return [block]


def _result(block: dict[str, Any], place: str) -> dict[str, Any]:
    content = block.get("content")
    if not isinstance(block.get("tool_use_id"), str):
        raise untranslatable(f"`{place}.tool_use_id` must be a string")
    if content is None or isinstance(content, str):
        return block
    return {**block, "content": _blocks(_list(content, place), f"{place}.content")}


def _list(value: Any, place: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(
        isinstance(v, dict) and isinstance(v.get("type"), str) for v in value
    ):
        raise untranslatable(f"`{place}.content` must be a list of blocks with a `type`")
    return value


def _require_data(source: Any, place: str) -> None:
    if not (
        isinstance(source, dict)
        and source.get("type") == "base64"
        and isinstance(source.get("media_type"), str)
        and isinstance(source.get("data"), str)
    ):
        raise untranslatable(f"`{place}.source` must be data, in base64 or text")
