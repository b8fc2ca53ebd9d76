"""ONNX, walked as protobuf to its last field, to know that it loads and runs nothing but ONNX's own operators.

Refused: tensors with their data in another file (a path that the runtime would open; weights in the model's own
folder too, for the gateway loads from bytes and there is no folder then), operators of domains that are not ONNX's
or ONNX Runtime's own (native code), operators that load compiled code or call Python, functions (they can stand for
any operator and unfold without end; exporters inline them), training graphs, fields that onnx.proto does not have,
graphs nested too deeply, and tensors whose shape does not fill their data. Field numbers are those of onnx.proto.
"""

from collections.abc import Mapping

from routeiq_signing.formats.content import Content
from routeiq_signing.formats.interface import Format
from routeiq_signing.formats.limits import FORMAT_LIMITS
from routeiq_signing.formats.protobuf import Schema, Span, Walk
from routeiq_signing.formats.shown import shown

__all__ = ["ONNX"]

_DOMAINS = {b"", b"ai.onnx", b"ai.onnx.ml", b"com.microsoft", b"com.microsoft.nchwc"}
# ONNX Runtime writes these into every model that it optimised; no operator of theirs passes.
_IMPORTS = _DOMAINS | {
    b"ai.onnx.preview", b"ai.onnx.training", b"ai.onnx.preview.training",
    b"com.microsoft.experimental", b"com.ms.internal.nhwc",
    b"org.pytorch.aten",
}  # fmt: skip
_OPERATORS = {
    b"EPContext": "loads compiled code",
    b"PythonOp": "calls Python",
    b"PythonOpGrad": "calls Python",
    b"PyOp": "calls Python",
    b"ATen": "calls PyTorch",
}
_NUMBER, _TEXT, _BYTES = ("number", False), ("text", False), ("bytes", False)
_NUMBERS, _TEXTS = ("number", True), ("text", True)
_ENTRIES = ("entry", True)
_SCHEMA: Schema = {
    "model": {
        1: _NUMBER, 2: _TEXT, 3: _TEXT, 4: _TEXT, 5: _NUMBER, 6: _TEXT, 7: ("graph", False), 8: ("opset", True),
        14: ("setting", True), 20: ("training", True), 25: ("function", True),
    },
    "opset": {1: _TEXT, 2: _NUMBER},
    "entry": {1: _TEXT, 2: _TEXT},
    "setting": {1: _TEXT, 2: _TEXT},
    "graph": {
        1: ("node", True), 2: _TEXT, 5: ("tensor", True), 10: _TEXT, 11: ("value", True), 12: ("value", True),
        13: ("value", True), 14: ("annotation", True), 15: ("sparse", True), 16: _ENTRIES,
    },
    "annotation": {1: _TEXT, 2: _ENTRIES},
    "node": {
        1: _TEXTS, 2: _TEXTS, 3: _TEXT, 4: _TEXT, 5: ("attribute", True), 6: _TEXT, 7: _TEXT, 8: _TEXT, 9: _ENTRIES,
    },
    "attribute": {
        1: _TEXT, 2: ("fixed32", False), 3: _NUMBER, 4: _BYTES, 5: ("tensor", False), 6: ("graph", False),
        7: ("fixed32", True), 8: _NUMBERS, 9: ("bytes", True), 10: ("tensor", True), 11: ("graph", True), 13: _TEXT,
        14: ("type", False), 15: ("type", True), 20: _NUMBER, 21: _TEXT, 22: ("sparse", False), 23: ("sparse", True),
    },
    "tensor": {
        1: _NUMBERS, 2: _NUMBER, 3: ("segment", False), 4: ("fixed32", True), 5: _NUMBERS, 6: ("bytes", True),
        7: _NUMBERS, 8: _TEXT, 9: _BYTES, 10: ("fixed64", True), 11: _NUMBERS, 12: _TEXT, 13: ("external", True),
        14: _NUMBER, 16: _ENTRIES,
    },
    "external": {1: _TEXT, 2: _TEXT},
    "sparse": {1: ("tensor", False), 2: ("tensor", False), 3: _NUMBERS},
    "value": {1: _TEXT, 2: ("type", False), 3: _TEXT, 4: _ENTRIES},
    "type": {
        1: ("tensor type", False), 4: ("element", False), 5: ("map", False), 6: _TEXT, 8: ("tensor type", False),
        9: ("element", False),
    },
    "tensor type": {1: _NUMBER, 2: ("shape", False)},
    "element": {1: ("type", False)},
    "map": {1: _NUMBER, 2: ("type", False)},
    "shape": {1: ("dimension", True)},
    "dimension": {1: _NUMBER, 2: _TEXT, 3: _TEXT},
    "training": None,
    "function": None,
    "segment": None,
}  # fmt: skip
_FORBIDDEN = {
    "training": "training graphs are not for inference",
    "function": "an ONNX model with functions of its own; inline them on export",
    "segment": "an ONNX tensor in segments",
}
# Bits of a value in raw_data, by TensorProto.DataType.
_BITS = {
    1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64, 15: 128, 16: 16,
    17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8, 25: 2, 26: 2,
}  # fmt: skip
_RAW, _EXTERNAL_LOCATION = 9, 14
_TYPED = {4, 5, 6, 7, 10, 11}


class _Walk(Walk):
    schema = _SCHEMA

    def __init__(self, data: Content, name: str) -> None:
        super().__init__(data, name)
        self.met_graph = False
        self._graphs = 0

    def enter(self, message: str) -> None:
        if message in _FORBIDDEN:
            raise self.refuse(_FORBIDDEN[message])
        if message == "graph":
            self.met_graph = True
            self._graphs += 1
            if self._graphs > FORMAT_LIMITS.graph_depth:
                raise self.refuse(f"ONNX graphs nested deeper than {FORMAT_LIMITS.graph_depth}")

    def leave(self, message: str) -> None:
        if message == "graph":
            self._graphs -= 1

    def judge(self, message: str, values: Mapping[int, list[int | Span]]) -> None:
        if message == "model" and not _number(values, 1):
            raise self.refuse("no ONNX model (no version)")
        if message == "external":
            self._external(values)
        elif message == "tensor":
            self._tensor(values)
        elif message == "node":
            self._node(values)
        elif message == "opset" and self._text_of(values, 1) not in _IMPORTS:
            raise self._domain(self._text_of(values, 1))
        elif message == "setting" and self._text_of(values, 1).lower() == b"ort_config":
            raise self.refuse("an ONNX model that brings settings of ONNX Runtime's (ort_config)")

    def _text_of(self, values: Mapping[int, list[int | Span]], number: int) -> bytes:
        for value in values.get(number, []):
            if not isinstance(value, int):
                return self.bytes_of(value)
        return b""

    def _external(self, values: Mapping[int, list[int | Span]]) -> None:
        key, value = self._text_of(values, 1), self._text_of(values, 2)
        where = f" ({shown(value.decode('utf-8', 'replace'), 80)})" if key == b"location" else ""
        raise self.refuse(f"an ONNX tensor keeps its data in another file{where}")

    def _domain(self, domain: bytes) -> Exception:
        text = shown(domain[:60].decode("utf-8", "replace"))
        return self.refuse(f"ONNX operator domain '{text}' is not allowed")

    def _node(self, values: Mapping[int, list[int | Span]]) -> None:
        operator = self._text_of(values, 4)
        domain = self._text_of(values, 7)
        if domain not in _DOMAINS:
            raise self._domain(domain)
        if operator in _OPERATORS:
            raise self.refuse(f"ONNX operator {operator.decode()} {_OPERATORS[operator]}")
        if self._text_of(values, 8):
            raise self.refuse("an ONNX operator that names an overload of a function")

    def _tensor(self, values: Mapping[int, list[int | Span]]) -> None:
        if _number(values, _EXTERNAL_LOCATION):
            raise self.refuse("an ONNX tensor keeps its data in another file")
        count = 1
        for dimension in self.numbers(values.get(1, [])):
            if dimension < 0:
                raise self.refuse("an ONNX tensor of a negative dimension")
            count = min(count * dimension, 1 << 62)
        for raw in values.get(_RAW, []):
            bits = _BITS.get(_number(values, 2))
            if isinstance(raw, int) or bits is None or any(number in values for number in _TYPED):
                raise self.refuse("an ONNX tensor with raw data of no known type, or with data twice")
            if raw[1] - raw[0] != (count * bits + 7) // 8:
                raise self.refuse("an ONNX tensor whose shape does not fill its data")


def _number(values: Mapping[int, list[int | Span]], number: int) -> int:
    found = values.get(number, [0])[0]
    return found if isinstance(found, int) else 0


def _check(data: Content, name: str) -> None:
    walk = _Walk(data, name)
    if not 0 < len(data) <= FORMAT_LIMITS.onnx:
        raise walk.refuse("no ONNX model: empty, or larger than protobuf allows")
    walk.walk("model", 0, len(data))
    if not walk.met_graph:
        raise walk.refuse("no ONNX model (no graph)")


ONNX = Format("onnx", lambda name: name.endswith(".onnx"), _check)
