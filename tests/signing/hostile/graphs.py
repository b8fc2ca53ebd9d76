"""ONNX models that reach out, bring code, hide something or unfold without end; and bombs in archives."""

import bz2
import gzip
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.signing.hostile.build import (
    ADD,
    Corpus,
    Hostile,
    field,
    node,
    onnx,
    payload,
    tarred,
    varint,
    zipped,
)

__all__ = ["CORPUS"]


def _model(data: bytes, says: str) -> Callable[[Path], Hostile]:
    return lambda _: Hostile("model.onnx", data, says)


def _as(name: str, data: Callable[[], bytes], says: str) -> Callable[[Path], Hostile]:
    return lambda _: Hostile(name, data(), says)


def _external(location: bytes) -> bytes:
    return field(13, field(1, b"location") + field(2, location)) + field(14, 1)


def _nested(levels: int) -> bytes:
    graph = node()
    for _ in range(levels):
        graph = node(field(4, b"If"), field(5, field(6, graph)))
    return onnx(graph)


def _typed(levels: int) -> bytes:
    kind = field(1, field(1, 1))
    for _ in range(levels):
        kind = field(4, field(1, kind))
    return onnx(node(), field(11, field(1, b"x") + field(2, kind)))


_UP = _external(b"../../../../etc/passwd")
_GRAPHS: Corpus = {
    "ONNX weights in a folder above": _model(onnx(field(5, _UP)), r"another file \(../../../../etc/passwd\)"),
    "ONNX weights at an absolute path": _model(
        onnx(field(5, _external(b"/etc/shadow"))), r"file \(/etc/shadow\)"
    ),
    "ONNX weights beside it": _model(onnx(field(5, _external(b"model.onnx_data"))), "another file"),
    "ONNX weights at a name for terminals": _model(
        onnx(field(5, _external(b"\x1b[2J"))), r"file \(\\x1b\[2J\)"
    ),
    "ONNX weights elsewhere without a name": _model(onnx(field(5, field(14, 1))), "another file"),
    "ONNX weights elsewhere in a constant": _model(onnx(node(field(5, field(5, _UP)))), "another file"),
    "ONNX weights elsewhere in constants": _model(onnx(node(field(5, field(10, _UP)))), "another file"),
    "ONNX weights elsewhere in a branch": _model(
        onnx(node(field(5, field(6, field(5, _UP))))), "another file"
    ),
    "ONNX weights elsewhere in branches": _model(
        onnx(node(field(5, field(11, field(5, _UP))))), "another file"
    ),
    "ONNX weights elsewhere, sparse": _model(onnx(field(15, field(1, _UP))), "another file"),
    "ONNX weights elsewhere in a sparse constant": _model(
        onnx(node(field(5, field(22, field(2, _UP))))), "another file"
    ),
    "ONNX operator of a stranger": _model(
        onnx(node(ADD, field(7, b"evil.ops"))), "'evil.ops' is not allowed"
    ),
    "ONNX operator of a stranger in a branch": _model(
        onnx(node(field(5, field(6, node(ADD, field(7, b"evil.ops")))))), "'evil.ops' is not allowed"
    ),
    "ONNX operators of Python": _model(
        onnx(node(field(4, b"PyOp"), field(7, b"ai.onnx.contrib"))), "is not allowed"
    ),
    "ONNX import of a stranger's operators": _model(onnx(more=field(8, field(1, b"evil.ops"))), "'evil.ops'"),
    "ONNX domain with a line break": _model(onnx(node(field(7, b"a\nb"))), r"'a\\nb' is not allowed"),
    "ONNX with compiled code": _model(
        onnx(node(field(4, b"EPContext"), field(7, b"com.microsoft"))), "compiled code"
    ),
    "ONNX that calls Python": _model(
        onnx(node(field(4, b"PythonOp"), field(7, b"com.microsoft"))), "calls Python"
    ),
    "ONNX with functions": _model(
        onnx(more=field(25, field(1, b"f") + field(7, ADD))), "functions of its own"
    ),
    "ONNX with a training graph": _model(onnx(more=field(20, field(1, node()))), "training graphs"),
    "ONNX with settings of the runtime": _model(
        onnx(more=field(14, field(1, b"ort_config") + field(2, b"{}"))), "ort_config"
    ),
    "ONNX graphs nested too deeply": _model(_nested(17), "graphs nested deeper than 16"),
    "ONNX graphs nested a thousand deep": _model(_nested(1000), "nested deeper"),
    "ONNX types nested a thousand deep": _model(_typed(1000), "nested deeper than 64"),
    "ONNX opaque type": _model(
        onnx(node(), field(11, field(2, field(7, field(1, b"evil"))))), "unknown field 7 in type"
    ),
    "ONNX with an unknown field": _model(onnx(more=field(99, b"x")), "unknown field 99 in model"),
    "ONNX with two graphs": _model(onnx(more=field(7, node())), "field 7 stands twice"),
    "ONNX operator with two names": _model(onnx(node(ADD, field(4, b"EPContext"))), "field 4 stands twice"),
    "ONNX without a graph": _model(field(1, 8), "no graph"),
    "ONNX without a version": _model(field(7, node()), "no version"),
    "ONNX of nothing": _model(b"", "no ONNX model"),
    "ONNX cut off": _model(onnx()[:-1], "beyond its message|not a protobuf"),
    "ONNX with bytes behind": _model(onnx() + b"\0", "not a protobuf"),
    "ONNX with a pickle behind": lambda c: Hostile(
        "model.onnx", onnx() + payload(c), "not a protobuf|wrong type|unknown|beyond"
    ),
    "ONNX with a group": _model(onnx(more=varint(6 << 3 | 3)), "not a protobuf"),
    "ONNX field zero": _model(onnx(more=b"\x02\0"), "not a protobuf"),
    "ONNX number of more bytes than it needs": _model(b"\x88\x80\0\x08" + onnx(), "more bytes than it needs"),
    "ONNX number of 70 bits": _model(
        b"\x08" + b"\xff" * 9 + b"\x7f", "more bytes than it needs|not a protobuf"
    ),
    "ONNX field of the wrong type": _model(onnx(more=field(6, 1)), "wrong type"),
    "ONNX name that is no text": _model(onnx(node(field(3, b"\xff"))), "no UTF-8 text"),
    "ONNX tensor whose shape is larger than its data": _model(
        onnx(field(5, field(1, 1 << 40) + field(2, 1) + field(9, bytes(4)))), "does not fill"
    ),
    "ONNX tensor with bytes behind its shape": _model(
        onnx(field(5, field(1, 1) + field(2, 1) + field(9, bytes(8)))), "does not fill"
    ),
    "ONNX tensor of a negative dimension": _model(
        onnx(field(5, field(1, (1 << 64) - 1))), "negative dimension"
    ),
    "ONNX tensor of a thousand dimensions": _model(onnx(field(5, field(1, b"\1" * 1000))), "dimensions"),
    "ONNX tensor with data twice": _model(
        onnx(field(5, field(1, 1) + field(2, 1) + field(4, bytes(4)) + field(9, bytes(4)))), "data twice"
    ),
    "ONNX tensor in segments": _model(onnx(field(5, field(3, b""))), "segments"),
    "ONNX of two million fields": _as(
        "model.onnx", lambda: onnx(node(field(1, b"") * 5_000_000)), "protobuf fields"
    ),
}


def _wrapped(times: int) -> bytes:
    data = b"x"
    for _ in range(times):
        data = gzip.compress(data)
    return data


def _greedy_xz() -> bytes:
    raw = bytearray(lzma.compress(b"x", format=lzma.FORMAT_ALONE))
    raw[1:5] = b"\xff\xff\xff\xff"
    return lzma.compress(bytes(raw))


def _tree(depth: int) -> bytes:
    data = b"\x80\x04N."
    for _ in range(depth):
        data = zipped(*((f"{number}.zip", data) for number in range(8)))
    return data


def _crooked_tar() -> bytes:
    raw = bytearray(tarred(("m", b"x")))
    raw[124:136] = b"\xff" * 12
    return bytes(raw)


_ZEROS = 32 << 20
_BOMBS: Corpus = {
    "zip bomb": _as(
        "model.pt", lambda: zipped(("data.pkl", bytes(_ZEROS)), method=zipfile.ZIP_DEFLATED), "a zip archive"
    ),
    "gzip bomb": _as("model.safetensors", lambda: gzip.compress(bytes(_ZEROS), 1), "a gzip file"),
    "gzip bomb in a gzip": _as("x.gz", lambda: gzip.compress(gzip.compress(bytes(_ZEROS), 1)), "a gzip file"),
    "gzip in gzip, thirty deep": _as("x.gz", lambda: _wrapped(30), "a gzip file"),
    "bzip2 bomb": _as("x.tar.bz2", lambda: bz2.compress(bytes(_ZEROS)), "a bzip2 file"),
    "xz bomb": _as("x.tar.xz", lambda: lzma.compress(bytes(_ZEROS), preset=0), "an xz file"),
    "xz that wants four gigabytes": _as("x.xz", _greedy_xz, "an xz file"),
    "zip of ten thousand members": _as(
        "x.zip", lambda: zipped(*((str(number), b"") for number in range(10_000))), "a zip archive"
    ),
    "zip of zips of zips": _as("x.zip", lambda: _tree(5), "a zip archive"),
    "tar that climbs out": _as("m.tar", lambda: tarred(("../../evil.py", b"x")), "a tar archive"),
    "tar with a link": _as("m.tar", lambda: tarred(link="/etc/passwd"), "a tar archive"),
    "tar whose size is no number": _as("m.tar", _crooked_tar, "a tar archive"),
    "zip that climbs out": _as("m.zip", lambda: zipped(("../../evil.py", b"x")), "a zip archive"),
}


CORPUS: Corpus = {**_GRAPHS, **_BOMBS}
