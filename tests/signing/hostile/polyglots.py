"""Files that their format accepts and that another program reads as something else."""

import io
import json
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

from tests.signing.hostile.build import (
    Corpus,
    Hostile,
    field,
    gguf,
    gguf_text,
    onnx,
    payload,
    piece,
    tensor,
    tensors,
    zipped,
)

__all__ = ["CORPUS"]


def _tensors_and_pickle(canary: Path) -> Hostile:
    """Return correct tensors that are a pickle too: a tensor's name holds its opcodes, as valid UTF-8.

    The header's length spells PROTO 4 and BINFLOAT, which takes the rest of it. `q` (BINPUT) takes the first byte of
    each letter whose second byte is the opcode that is wanted; lengths of strings are printable, so from 32 up.
    """
    module, name = b"multiprocessing.popen_spawn_posix", b"os.path.os.path.os.path.os.mkdir"
    path = str(canary).encode()
    path = b"/" * max(0, 40 - len(path)) + path
    path = b"/" * (len(path) == ord("\\")) + path
    assert len(path) < 127
    texts = [b"q\xc3\x8c" + bytes([len(raw)]) + raw for raw in (module, name, path)]
    opcodes = texts[0] + texts[1] + b"q\xce\x93" + texts[2] + b"q\xc2\x85R."
    entry = json.dumps(tensor(0, 4)).encode()
    header = b'{"x' + opcodes + b'": ' + entry + b"}"
    return Hostile(
        "weights.safetensors",
        tensors(header.ljust(0x470480), bytes(4)),
        "safetensors, but a Python pickle",
        pickle.loads,
    )


def _line_and_pickle(canary: Path) -> Hostile:
    """Return tensors whose header's length is `V`, which takes all up to a line break far into the weights."""
    weights = bytes(2 << 20) + b"\n0" + payload(canary, 0)
    header = json.dumps({"a": tensor(0, len(weights))}).encode().ljust(ord("V"))
    return Hostile(
        "weights.safetensors", tensors(header, weights), "safetensors, but a Python pickle", pickle.loads
    )


def _tensors_and_tar(canary: Path) -> Hostile:
    start = b'{"__metadata__": {"x": "'
    header = bytearray(start + b"0" * 800 + b'"}}')
    block = bytearray(len(header).to_bytes(8, "little") + header)
    block[148:156] = b"        "
    block[148:155] = b"%07o" % sum(block[:512])
    data = bytes(block)

    def members(raw: bytes) -> None:
        with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
            if archive.getmembers():
                canary.touch()

    return Hostile("weights.safetensors", data, "safetensors, but a tar archive", members)


def _tensors_and_zip(canary: Path) -> Hostile:
    archive = zipped(("data.pkl", payload(canary)))

    def load(raw: bytes) -> None:
        pickle.loads(zipfile.ZipFile(io.BytesIO(raw)).read("data.pkl"))

    data = tensors({"a": tensor(0, len(archive))}, archive)
    return Hostile("weights.safetensors", data, "safetensors, but a zip archive", load)


def _tensors_and_hdf5(_: Path) -> Hostile:
    header = json.dumps({"a": tensor(0, 16)}).encode().ljust(504)
    return Hostile(
        "w.safetensors", tensors(header, b"\x89HDF\r\n\x1a\n" + bytes(8)), "safetensors, but an HDF5 file"
    )


def _gguf_and_pickle(canary: Path) -> Hostile:
    """`G` is BINFLOAT and takes the head; a count of keys is the line that begins the opcodes."""
    opcodes = b"cposix\nmkdir\n(V" + str(canary).encode() + b"\ntR."
    key = gguf_text(b"k") + struct.pack("<I", 8) + gguf_text(opcodes)
    head = bytearray(gguf((key,) * 1))
    # Bytes 9-15 are the rest of the count of tensors, which is 0 in the end: so the trick is only for lax readers.
    head[8:16] = b"\0U" + bytes([len(head) - len(opcodes) - 11]) + bytes(5)
    return Hostile("model.gguf", bytes(head), "Python pickle", pickle.loads)


def _pickle_in_a_piece(canary: Path) -> Hostile:
    """A SentencePiece model must start with a field; this one starts with opcodes that are no field."""
    return Hostile("tokenizer.model", payload(canary, 0) + piece(), "Python pickle", pickle.loads)


def _onnx_and_pickle(canary: Path) -> Hostile:
    """`U` is no field of a model, but would be passed over by a reader that ignores what it does not know."""
    opcodes = payload(canary, 2)
    skip = field(10, b"")[:1]
    assert skip == b"R"
    model = onnx()
    data = b"U\x03\0\0\0" + opcodes + model
    return Hostile("model.onnx", data, "Python pickle", pickle.loads)


def _onnx_and_zip(canary: Path) -> Hostile:
    archive = zipped(("data.pkl", payload(canary)))

    def load(raw: bytes) -> None:
        pickle.loads(zipfile.ZipFile(io.BytesIO(raw)).read("data.pkl"))

    # In a document at the model's end, so every byte belongs to a field.
    return Hostile("model.onnx", onnx(more=field(14, field(1, b"note") + field(2, archive))), "", load)


CORPUS: Corpus = {
    "tensors that are a pickle too": _tensors_and_pickle,
    "tensors with a pickle in their weights": _line_and_pickle,
    "tensors that are a tar too": _tensors_and_tar,
    "tensors that are a zip too": _tensors_and_zip,
    "tensors that are an HDF5 file too": _tensors_and_hdf5,
    "GGUF that is a pickle too": _gguf_and_pickle,
    "SentencePiece model that is a pickle too": _pickle_in_a_piece,
    "ONNX that is a pickle too": _onnx_and_pickle,
    "ONNX that is a zip too": _onnx_and_zip,
    "script as a model card": lambda _: Hostile("README.md", b"#!/bin/sh\ntouch x\n", "text, but a script"),
    "script": lambda _: Hostile("setup", b"#!/bin/sh\ntouch x\n", "a script"),
    "Python source": lambda _: Hostile("modeling_custom.py", b"import os\n", "of no allowed format"),
    "program": lambda _: Hostile("model.onnx", b"\x7fELF" + bytes(60), "a program, whatever its name says"),
    "shared library": lambda _: Hostile("custom_ops.so", b"\x7fELF" + bytes(60), "a program"),
    "terminal escapes in a model card": lambda _: Hostile(
        "README.md", b"\x1b]0;owned\x07", "control characters"
    ),
    "compiled Python": lambda _: Hostile("m.pyc", b"\xa7\r\r\n" + bytes(12), "of no allowed format"),
    "TensorFlow Lite": lambda _: Hostile(
        "model.tflite", b"TFL3" + bytes(9), "TensorFlow Lite|no allowed format"
    ),
    "name with two endings": lambda c: Hostile("weights.safetensors.pkl", payload(c), "pickle", pickle.loads),
    "name with a line break": lambda c: Hostile(
        "weights.safetensors\n.pkl", payload(c), "pickle", pickle.loads
    ),
    "name with a space behind": lambda c: Hostile("weights.safetensors ", payload(c), "pickle", pickle.loads),
    "name with a zero byte": lambda c: Hostile(
        "weights.pkl\0.safetensors", payload(c), "pickle", pickle.loads
    ),
}
