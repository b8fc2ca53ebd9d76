"""What a call needs of the model that answers it, read from its parameters. Pure; reads shapes, never meanings.

Tokens are told from below: 4 bytes each, files left out, an image as 85 (OpenAI's smallest). So the filter takes away
only groups in whose window a call surely does not fit; what it lets through may still be refused by the upstream.
Shapes: OpenAI API reference (chat, responses), Anthropic API reference (messages).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from routeiq_appliance.pipeline.dialects import DIALECTS
from routeiq_appliance.pipeline.types import Call
from routeiq_appliance.routing.capabilities import Needs

__all__ = ["needs_of"]

_BYTES_PER_TOKEN = 4
_IMAGE_TOKENS = 85
_IMAGES = frozenset({"image_url", "image", "input_image"})
_AUDIO = frozenset({"input_audio"})
_DEPTH = 3
"""Of contents in contents: a tool's result may hold an image."""


def needs_of(call: Call) -> Needs:
    """Return the needs of a call that asks for text."""
    params = call.params
    parts = _Parts()
    for name in ("messages", "input"):
        turns = params.get(name)
        if isinstance(turns, list):
            for turn in turns:
                if isinstance(turn, dict):
                    parts.look(turn.get("content"), _DEPTH)
    flags = []
    if params.get("tools") or params.get("functions"):
        flags.append("tools")
    if parts.images:
        flags.append("vision")
    if _wants_schema(params):
        flags.append("json_schema")
    if parts.audio:
        flags.append("audio")
    tokens = max(0, call.request_bytes - parts.file_bytes) // _BYTES_PER_TOKEN + parts.images * _IMAGE_TOKENS
    wanted = params.get("max_completion_tokens") or params.get(DIALECTS[call.kind].wanted)
    return Needs(tuple(flags), tokens, wanted if type(wanted) is int and wanted > 0 else 0)


class _Parts:
    """Counts what contents hold beside text."""

    __slots__ = ("audio", "file_bytes", "images")

    def __init__(self) -> None:
        self.images = self.audio = self.file_bytes = 0

    def look(self, content: Any, depth: int) -> None:
        if not isinstance(content, Sequence) or isinstance(content, str) or not depth:
            return
        for part in content:
            if not isinstance(part, dict):
                continue
            kind = part.get("type")
            if not isinstance(kind, str):
                continue
            if kind in _IMAGES:
                self.images += 1
            elif kind in _AUDIO:
                self.audio += 1
            elif kind in {"text", "input_text"}:
                continue
            for value in part.values():
                self.file_bytes += _file_bytes(value)
            self.look(part.get("content"), depth - 1)


def _file_bytes(value: Any) -> int:
    """Return the length of base64 in a part: a data URL, or a field `data` (`file_data`) of an object."""
    if isinstance(value, str):
        return len(value) if value.startswith("data:") else 0
    if isinstance(value, Mapping):
        found = 0
        for name, item in value.items():
            if isinstance(item, str) and (name in {"data", "file_data"} or item.startswith("data:")):
                found += len(item)
        return found
    return 0


def _wants_schema(params: Mapping[str, Any]) -> bool:
    text = params.get("text")
    wanted = params.get("response_format") or (text.get("format") if isinstance(text, dict) else None)
    return isinstance(wanted, dict) and wanted.get("type") == "json_schema"
