"""Crooked safetensors, GGUF, SentencePiece and JSON files."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

from tests.signing.hostile.build import (
    TENSORS,
    Corpus,
    Hostile,
    field,
    gguf,
    gguf_tensor,
    gguf_text,
    payload,
    piece,
    tensor,
    tensors,
    varint,
)

__all__ = ["CORPUS"]


def _as(name: str, data: Callable[[], bytes] | bytes, says: str) -> Callable[[Path], Hostile]:
    return lambda _: Hostile(name, data if isinstance(data, bytes) else data(), says)


def _header(entry: dict[str, object], body: int, says: str) -> Callable[[Path], Hostile]:
    return _as("w.safetensors", tensors(entry, bytes(body)), says)


def _raw(header: bytes, body: int, says: str) -> Callable[[Path], Hostile]:
    return _as("w.safetensors", tensors(header, bytes(body)), says)


_A = json.dumps(tensor(0, 4)).encode()
_TENSORS: Corpus = {
    "tensors of no bytes": _as("w.safetensors", b"", "too short"),
    "header of 2^63 bytes": _as("w.safetensors", (1 << 63).to_bytes(8, "little") + b"{}", "header length"),
    "header longer than the file": _as("w.safetensors", (99).to_bytes(8, "little") + b"{}", "header length"),
    "header of no bytes": _as("w.safetensors", bytes(10), "header length"),
    "header that is a list": _raw(b"[]", 0, "start and end as an object"),
    "header behind a space": _raw(b" {}", 0, "start and end as an object"),
    "header filled up with zeros": _raw(b'{"a": ' + _A + b"}\0\0", 4, "start and end as an object"),
    "header filled up with lines": _raw(b'{"a": ' + _A + b"\n}", 4, "not in canonical form"),
    "header that is no UTF-8": _raw(b'{"\xff": ' + _A + b"}", 4, "not UTF-8"),
    "header with a tensor twice": _raw(b'{"a": ' + _A + b', "a": ' + _A + b"}", 4, "duplicate key"),
    "header with a tensor twice in other letters": _raw(
        b'{"a": ' + _A + b', "\\u0061": ' + _A + b"}", 4, "duplicate key"
    ),
    "header with a key twice": _raw(
        b'{"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 9], "data_offsets": [0, 4]}}',
        4,
        "duplicate key",
    ),
    "offsets with fractions": _raw(
        b'{"a": {"dtype": "U8", "shape": [4], "data_offsets": [0.0, 4]}}', 4, "not in canonical form"
    ),
    "offset minus zero": _raw(
        b'{"a": {"dtype": "U8", "shape": [4], "data_offsets": [-0, 4]}}', 4, "not in canonical form"
    ),
    "offset true": _raw(b'{"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, true]}}', 4, "not allowed"),
    "offsets the wrong way round": _header({"a": tensor(0, 4, data_offsets=[4, 0])}, 4, "does not fill"),
    "offset behind the file": _header({"a": tensor(0, 1 << 40)}, 4, "does not fill"),
    "offsets of three": _header({"a": tensor(0, 4, data_offsets=[0, 4, 4])}, 4, "not allowed"),
    "tensors that overlap": _header({"a": tensor(0, 4), "b": tensor(2, 6)}, 6, "overlap or hole"),
    "tensors that are one": _header({"a": tensor(0, 4), "b": tensor(0, 4)}, 4, "overlap or hole"),
    "hole between tensors": _header({"a": tensor(0, 4), "b": tensor(5, 9)}, 9, "overlap or hole"),
    "hole before the tensors": _header({"a": tensor(4, 8)}, 8, "overlap or hole"),
    "bytes behind the tensors": _as("w.safetensors", TENSORS + b"\0", "stand behind"),
    "bytes behind no tensors": _raw(b"{}", 1, "stand behind"),
    "tensors cut off": _as("w.safetensors", TENSORS[:-1], "does not fill"),
    "shape that overflows": _header({"a": tensor(0, 4, shape=[1 << 32, 1 << 32, 4])}, 4, "does not fill"),
    "shape of a thousand dimensions": _header({"a": tensor(0, 4, shape=[1 << 62] * 1000)}, 4, "not allowed"),
    "negative shape": _header({"a": tensor(0, 4, shape=[-4])}, 4, "not in canonical form"),
    "shape of text": _header({"a": tensor(0, 4, shape="4")}, 4, "not allowed"),
    "unknown type of tensor": _header({"a": tensor(0, 4, dtype="O")}, 4, "not allowed"),
    "list as type of tensor": _header({"a": tensor(0, 4, dtype=["U8"])}, 4, "not allowed"),
    "half a byte": _header({"a": {"dtype": "F4", "shape": [3], "data_offsets": [0, 1]}}, 1, "does not fill"),
    "tensor with more to it": _header({"a": tensor(0, 4, code="x")}, 4, "not exactly"),
    "tensor that is a number": _header({"a": 4}, 4, "not exactly"),
    "metadata that is code": _header({"__metadata__": {"x": {"y": "z"}}, "a": tensor(0, 4)}, 4, "metadata"),
    "tensor whose name is a terminal's": _raw(b'{"\\u001b[2J\\n": 4}', 0, r"tensor \\x1b\[2J\\n has not"),
    "header of a million lists": _raw(
        b'{"a": [' + b"[]," * 1_000_000 + b"[]]}", 0, "more than 2000000 values"
    ),
    "header nested deeply": _raw(
        b'{"a": ' + b"[" * 400_000 + b"]" * 400_000 + b"}", 0, "not JSON|nested deeper"
    ),
}


def _value(kind: int, raw: bytes = b"", key: bytes = b"k") -> bytes:
    return gguf_text(key) + struct.pack("<I", kind) + raw


def _array(kind: int, count: int) -> bytes:
    return struct.pack("<IQ", kind, count)


_ONE = gguf_tensor(b"a", 0)
_GGUF: Corpus = {
    "GGUF cut off in its head": _as("m.gguf", b"GGUF\x03\0\0\0", "no GGUF file"),
    "GGUF of version 1": _as("m.gguf", gguf(version=1), "no GGUF file"),
    "GGUF of the other byte order": _as("m.gguf", b"GGUF\0\0\0\x03" + bytes(16), "no GGUF file"),
    "GGUF of 2^63 keys": _as("m.gguf", b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 63), "out of range"),
    "GGUF of 65,000 keys that are not there": _as(
        "m.gguf", b"GGUF" + struct.pack("<IQQ", 3, 0, 65_000), "too early"
    ),
    "GGUF text beyond the end": _as("m.gguf", gguf((_value(8, struct.pack("<Q", 1 << 60)),)), "too early"),
    "GGUF array beyond the end": _as("m.gguf", gguf((_value(9, _array(4, 1 << 61)),)), "too early"),
    "GGUF array of 2^40 arrays": _as("m.gguf", gguf((_value(9, _array(9, 1 << 40)),)), "GGUF values"),
    "GGUF arrays nested deeply": _as("m.gguf", gguf((_value(9, _array(9, 1) * 50),)), "nested deeper"),
    "GGUF value of no type": _as("m.gguf", gguf((_value(13),)), "unknown type"),
    "GGUF key twice": _as("m.gguf", gguf((_value(7, b"\1"),) * 2), "stands twice"),
    "GGUF alignment of zero": _as("m.gguf", gguf((_value(4, bytes(4), b"general.alignment"),)), "alignment"),
    "GGUF tensors that overlap": _as(
        "m.gguf", gguf(infos=(_ONE, gguf_tensor(b"b", 0)), data=bytes(64)), "overlap or hole"
    ),
    "GGUF hole between tensors": _as(
        "m.gguf", gguf(infos=(_ONE, gguf_tensor(b"b", 64)), data=bytes(96)), "overlap or hole"
    ),
    "GGUF tensor twice": _as("m.gguf", gguf(infos=(_ONE, _ONE), data=bytes(64)), "stands twice"),
    "GGUF tensor beyond the end": _as(
        "m.gguf", gguf(infos=(_ONE,), data=bytes(31)), "beyond the file|behind"
    ),
    "GGUF tensor of no type": _as(
        "m.gguf", gguf(infos=(gguf_tensor(b"a", 0, kind=99),), data=bytes(32)), "unknown type"
    ),
    "GGUF shape that overflows": _as(
        "m.gguf",
        gguf(infos=(gguf_tensor(b"a", 0, shape=(1 << 32, 1 << 32)),), data=bytes(32)),
        "beyond the file",
    ),
    "GGUF shape of half a block": _as(
        "m.gguf", gguf(infos=(gguf_tensor(b"a", 0, shape=(33,), kind=2),), data=bytes(64)), "fills no blocks"
    ),
    "GGUF with bytes behind": _as("m.gguf", gguf(infos=(_ONE,), data=bytes(32)) + bytes(32), "behind"),
    "GGUF with a pickle behind": lambda c: Hostile("m.gguf", gguf() + payload(c), "behind|padding"),
    "GGUF with something in the padding": _as(
        "m.gguf", gguf(infos=(gguf_tensor(b"a", 0, shape=(2,)),), data=bytes(31) + b"\1"), "padding"
    ),
    "SentencePiece of no pieces": _as("tokenizer.model", b"", "no pieces"),
    "SentencePiece with an unknown field": _as("tokenizer.model", piece() + field(9, b"x"), "unknown field"),
    "SentencePiece with bytes behind": _as("tokenizer.model", piece() + b"\0", "not a protobuf message"),
    "SentencePiece piece that is no text": _as("tokenizer.model", piece(b"\xff"), "no UTF-8 text"),
    "SentencePiece piece cut off": _as("tokenizer.model", piece()[:-1], "beyond its message|not a protobuf"),
    "SentencePiece number of eleven bytes": _as(
        "spiece.model", b"\x08" + b"\xff" * 10 + b"\1", "not a protobuf"
    ),
    "SentencePiece number of more bytes than it needs": _as(
        "spiece.model", varint(1 << 3 | 2)[:-1] + b"\x8a\0" + b"\0", "more bytes than it needs"
    ),
}
_JSON: Corpus = {
    "JSON of a million brackets": _as("config.json", b"[" * 1_000_000, "not JSON"),
    "JSON nested a hundred deep": _as("config.json", b"[" * 100 + b"]" * 100, "nested deeper"),
    "JSON of five million values": _as("tokenizer.json", lambda: b"[" + b"1," * 5_000_000 + b"1]", "values"),
    "JSON with a string of nine million letters": _as(
        "tokenizer.json", lambda: b'["' + b"x" * 9_000_000 + b'"]', "string"
    ),
    "JSON larger than any tokenizer": _as(
        "tokenizer.json", lambda: b'{"a":1' + b" " * (64 << 20) + b"}", "bytes, more"
    ),
    "JSON number of a million digits": _as("config.json", b"[" + b"9" * 1_000_000 + b"]", "out of range"),
    "JSON number that is infinite": _as("config.json", b"[1e999]", "out of range"),
    "JSON that is not a number": _as("config.json", b'{"a": NaN}', "no number"),
    "JSON with a key twice": _as("config.json", b'{"a": 1, "\\u0061": 2}', "duplicate key"),
    "JSON with something behind": _as("config.json", b"{}{}", "not JSON"),
    "JSON that is one string": _as("config.json", b'"a"', "neither an object nor a list"),
    "JSON of nothing": _as("config.json", b"", "not JSON"),
    "JSON behind a byte order mark": _as("config.json", b"\xef\xbb\xbf{}", "not JSON"),
    "JSON in another encoding": _as("config.json", '{"a": 1}'.encode("utf-16"), "not UTF-8"),
    "JSON with raw control characters": _as("config.json", b'["\x1b[2J"]', "not JSON"),
    "text in another encoding": _as("vocab.txt", b"caf\xe9\n", "not UTF-8"),
    "text larger than any vocabulary": _as("vocab.txt", lambda: b"x\n" * (17 << 20), "bytes, more"),
}

CORPUS: Corpus = {**_TENSORS, **_GGUF, **_JSON}
