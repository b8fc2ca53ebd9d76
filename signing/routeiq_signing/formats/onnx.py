"""ONNX, walked as protobuf far enough to know that it loads nothing but itself.

Refused: tensors with external data (a path that the runtime would open), operators of domains that are not ONNX's or
ONNX Runtime's own (a custom operator is native code), EPContext (compiled code), training graphs, and bytes that are
no protobuf message. Field numbers are those of onnx.proto3. All that can hold a tensor or a node is walked.
"""

from collections.abc import Iterator

from routeiq_signing.errors import FormatError
from routeiq_signing.formats.interface import Format
from routeiq_signing.limits import LIMITS

__all__ = ["ONNX"]

_DOMAINS = {b"", b"ai.onnx", b"ai.onnx.ml", b"com.microsoft", b"com.microsoft.nchwc"}
_MAX_DEPTH = 32
# message → {field: message inside}; the rest is not looked into.
_TREE = {
    "model": {7: "graph", 8: "opset", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "function": {7: "node", 9: "opset", 11: "attribute"},
    "sparse": {1: "tensor", 2: "tensor"},
}


def _check(data: bytes | memoryview, name: str) -> None:
    if len(data) > LIMITS.onnx:
        raise FormatError(f"{name}: larger than protobuf allows", subject=name)
    view = memoryview(data)
    version = graph = False
    for field, wire, value in _fields(view, name):
        if field == 20:
            raise FormatError(
                f"{name}: an ONNX model with training graphs is not for inference", subject=name
            )
        version = version or (field == 1 and wire == 0)
        graph = graph or (field == 7 and isinstance(value, memoryview) and len(value) > 0)
    if not (version and graph):
        raise FormatError(f"{name}: no ONNX model (no version or no graph)", subject=name)
    _walk(view, "model", name, 0)


def _walk(view: memoryview, kind: str, name: str, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise FormatError(f"{name}: ONNX graphs nested deeper than {_MAX_DEPTH}", subject=name)
    inside = _TREE.get(kind, {})
    for field, _, value in _fields(view, name):
        if kind == "tensor" and (field == 13 or (field == 14 and value != 0)):
            raise FormatError(f"{name}: an ONNX tensor keeps its data in another file", subject=name)
        if (kind, field) == ("node", 4) and isinstance(value, memoryview) and bytes(value) == b"EPContext":
            raise FormatError(f"{name}: ONNX operator EPContext loads compiled code", subject=name)
        if (kind, field) in {("node", 7), ("opset", 1), ("function", 10)}:
            domain = bytes(value) if isinstance(value, memoryview) else b"?"
            if domain not in _DOMAINS:
                text = domain[:60].decode("utf-8", "replace")
                raise FormatError(f"{name}: ONNX operator domain {text!r} is not allowed", subject=name)
        if field in inside:
            if not isinstance(value, memoryview):
                raise FormatError(f"{name}: ONNX field {kind}.{field} has the wrong type", subject=name)
            _walk(value, inside[field], name, depth + 1)


def _fields(view: memoryview, name: str) -> Iterator[tuple[int, int, int | memoryview]]:
    """Yield (field number, wire type, value) of one message (protobuf encoding guide)."""
    at = 0
    while at < len(view):
        tag, at = _varint(view, at, name)
        field, wire = tag >> 3, tag & 7
        if field == 0:
            raise FormatError(f"{name}: not a protobuf message", subject=name)
        if wire == 0:
            number, at = _varint(view, at, name)
            yield field, wire, number
            continue
        if wire == 2:
            size, at = _varint(view, at, name)
        elif wire in {1, 5}:
            size = 8 if wire == 1 else 4
        else:
            raise FormatError(f"{name}: not a protobuf message", subject=name)
        if size > len(view) - at:
            raise FormatError(f"{name}: a protobuf field goes beyond its message", subject=name)
        yield field, wire, view[at : at + size]
        at += size


def _varint(view: memoryview, at: int, name: str) -> tuple[int, int]:
    result = 0
    for shift in range(0, 70, 7):
        if at >= len(view):
            break
        byte = view[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, at
    raise FormatError(f"{name}: not a protobuf message", subject=name)


ONNX = Format("onnx", lambda name: name.endswith(".onnx"), _check)
