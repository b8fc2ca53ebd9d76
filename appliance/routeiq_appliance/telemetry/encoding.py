"""Finished spans as the bytes of an ExportTraceServiceRequest (opentelemetry/proto/trace/v1/trace.proto).

Written by hand for the few kinds of value that our spans have: OpenTelemetry's encoder takes several times as long as
all other work on a traced call. A test compares the two.
"""

import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

__all__ = ["encode_spans"]

# A field's tag is its number times 8, plus 0 for varints, 1 for 8 bytes, 2 for what has a length, 5 for 4 bytes.
_TRACE_ID = b"\x0a\x10"
_SPAN_ID = b"\x12\x08"
_STATE = b"\x1a"
_PARENT = b"\x22\x08"
_NAME = b"\x2a"
_KIND_AND_TIMES = struct.Struct("<BBBQBQ")
_ATTRIBUTE = b"\x4a"
_STATUS_ERROR = b"\x7a\x02\x18\x02"
_STATUS_UNSET = b"\x7a\x00"
_FLAGS = b"\x85\x01"
_HAS_REMOTE = struct.pack("<I", 0x100)
_IS_REMOTE = struct.pack("<I", 0x300)
_DOUBLE = struct.Struct("<Bd")


def encode_spans(spans: Sequence[ReadableSpan]) -> bytes:
    """Return the request; all spans have the resource and the scope of the first."""
    if not spans:
        return b""
    first = spans[0]
    scope = first.instrumentation_scope
    named = b"" if scope is None else _block(b"\x0a", _block(b"\x0a", scope.name.encode()))
    resource = b"".join(_attribute(b"\x0a", key, value) for key, value in first.resource.attributes.items())
    body = named + b"".join([_block(b"\x12", _span(span)) for span in spans])
    return _block(b"\x0a", _block(b"\x0a", resource) + _block(b"\x12", body))


def _span(span: ReadableSpan) -> bytes:
    context: SpanContext = span.context
    parent = span.parent
    parts = [_TRACE_ID, context.trace_id.to_bytes(16), _SPAN_ID, context.span_id.to_bytes(8)]
    if context.trace_state:
        parts.append(_block(_STATE, context.trace_state.to_header().encode()))
    if parent is not None:
        parts += (_PARENT, parent.span_id.to_bytes(8))
    parts.append(_block(_NAME, span.name.encode()))
    # OTLP counts the kinds from 1: 0 is unspecified.
    times = (0x30, span.kind.value + 1, 0x39, span.start_time or 0, 0x41, span.end_time or 0)
    parts.append(_KIND_AND_TIMES.pack(*times))
    attributes: Mapping[str, Any] = span.attributes or {}
    parts += [_attribute(_ATTRIBUTE, key, value) for key, value in attributes.items()]
    parts.append(_STATUS_UNSET if span.status.is_unset else _STATUS_ERROR)
    parts += (_FLAGS, _IS_REMOTE if parent is not None and parent.is_remote else _HAS_REMOTE)
    return b"".join(parts)


def _attribute(tag: bytes, key: str, value: Any) -> bytes:
    return _block(tag, _key(key) + _block(b"\x12", _value(value)))


@lru_cache(maxsize=256)
def _key(key: str) -> bytes:
    # The same few dozen names in every call.
    return _block(b"\x0a", key.encode())


def _value(value: Any) -> bytes:
    """Encode an AnyValue: str, bool, int, float, or a sequence of them."""
    if isinstance(value, str):
        return _block(b"\x0a", value.encode(errors="replace"))
    if value is True or value is False:
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        return b"\x18" + _varint(value & 0xFFFF_FFFF_FFFF_FFFF)
    if isinstance(value, float):
        return _DOUBLE.pack(0x21, value)
    return _block(b"\x2a", b"".join([_block(b"\x0a", _value(item)) for item in value]))


def _block(tag: bytes, content: bytes) -> bytes:
    size = len(content)
    return tag + (_ONE_BYTE[size] if size < 128 else _varint(size)) + content


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


_ONE_BYTE = tuple(bytes([size]) for size in range(128))
