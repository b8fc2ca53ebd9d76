"""An answer at rest: what it is in memory, and as bytes in Redis. Pure.

In Redis: `RQC1`, flags, when it was made and until when it holds (Unix ms), tokens in and out, length of the JSON;
then 32 bytes of HMAC-SHA256 over the key it is kept under, that head and the payload; then the payload, JSON or that
JSON by zlib. So an entry that was changed, cut, or moved to another key is none, and nothing of it is parsed.
"""

import hmac
import struct
import zlib
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

__all__ = ["OVERHEAD", "Entry", "pack", "unpack"]

_MAGIC = b"RQC1"
_HEAD = struct.Struct(">4sBQQIII")
_MAC_BYTES = 32
_STREAM, _ZIPPED = 1, 2
_WORTH_ZIPPING = 1024
_MAX_COUNT = 2**32 - 1
OVERHEAD = _HEAD.size + _MAC_BYTES
"""What bytes in Redis have beside the payload."""


@dataclass(frozen=True, slots=True)
class Entry:
    """`payload` is JSON: a body, or the list of a stream's events. Times are Unix seconds."""

    payload: bytes
    stream: bool
    made_at: float
    until: float
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def body(self) -> dict[str, Any]:
        """Return the body, each time a new one."""
        body: dict[str, Any] = from_json(self.payload)
        return body

    def events(self) -> list[dict[str, Any]]:
        """Return the events, each time new ones."""
        events: list[dict[str, Any]] = from_json(self.payload)
        return events


def pack(entry: Entry, key: bytes, secret: bytes) -> bytes:
    """Return the bytes for Redis; zipped where that saves a fifth or more."""
    payload, flags = entry.payload, _STREAM if entry.stream else 0
    if len(payload) >= _WORTH_ZIPPING:
        zipped = zlib.compress(payload, 1)
        if len(zipped) * 5 <= len(payload) * 4:
            payload, flags = zipped, flags | _ZIPPED
    head = _HEAD.pack(
        _MAGIC,
        flags,
        round(entry.made_at * 1000),
        round(entry.until * 1000),
        min(entry.prompt_tokens, _MAX_COUNT),
        min(entry.completion_tokens, _MAX_COUNT),
        len(entry.payload),
    )
    return head + _mac(secret, key, head, payload) + payload


def unpack(raw: bytes, key: bytes, secret: bytes, *, stream: bool, max_bytes: int) -> Entry | None:
    """Return the entry of these bytes, None unless we have made them for this very key and form."""
    if not OVERHEAD < len(raw) <= OVERHEAD + max_bytes:
        return None
    head, mac, payload = raw[: _HEAD.size], raw[_HEAD.size : OVERHEAD], raw[OVERHEAD:]
    if not hmac.compare_digest(mac, _mac(secret, key, head, payload)):
        return None
    magic, flags, made_at, until, prompt, completion, length = _HEAD.unpack(head)
    if (
        magic != _MAGIC
        or flags & ~(_STREAM | _ZIPPED)
        or bool(flags & _STREAM) is not stream
        or length > max_bytes
    ):
        return None
    if flags & _ZIPPED:
        try:
            payload = zlib.decompressobj().decompress(payload, max_bytes)
        except zlib.error:
            return None
    if len(payload) != length or not _is_answer(payload, stream=stream):
        return None
    return Entry(payload, stream, made_at / 1000, until / 1000, prompt, completion)


def _is_answer(payload: bytes, *, stream: bool) -> bool:
    try:
        value = from_json(payload)
    except ValueError:
        return False
    if stream:
        return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)
    return isinstance(value, dict)


def _mac(secret: bytes, key: bytes, head: bytes, payload: bytes) -> bytes:
    return hmac.digest(secret, b"".join((key, head, payload)), "sha256")
