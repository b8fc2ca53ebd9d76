"""Builds what the corpus is made of: payloads that would leave a canary, tensors, protobuf fields, containers."""

import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save

TENSORS = save({"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(4, dtype=np.int8)})


@dataclass(frozen=True)
class Hostile:
    """A file that must be refused: its name, its bytes, and a pattern that the refusal's message matches.

    `run` is what a careless program does with the bytes; where it is given, that does leave the canary.
    """

    name: str
    data: bytes
    says: str = ""
    run: Callable[[bytes], object] | None = None


Corpus = dict[str, Callable[[Path], Hostile]]
"""Attack → what builds it; the path is the canary that its payload would create."""


class Bomb:
    """Creates a folder when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.canary),))


def payload(canary: Path, protocol: int = 4) -> bytes:
    """Return a pickle that creates the canary."""
    return pickle.dumps(Bomb(canary), protocol)


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


def tarred(*members: tuple[str, bytes], link: str | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        if link is not None:
            info = tarfile.TarInfo("config.json")
            info.type, info.linkname = tarfile.SYMTYPE, link
            archive.addfile(info)
    return out.getvalue()


def tensors(header: object, body: bytes = b"") -> bytes:
    """Return a safetensors file of this header: an object to be written as JSON, or its bytes."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + body


def tensor(start: int, stop: int, **changes: object) -> dict[str, object]:
    return {"dtype": "U8", "shape": [stop - start], "data_offsets": [start, stop], **changes}


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number: int, value: bytes | int) -> bytes:
    """Return one protobuf field: a number, or bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


ADD = field(4, b"Add")


def onnx(*graph: bytes, more: bytes = b"") -> bytes:
    """Return an ONNX model whose graph has these fields; a lone node without any."""
    return (
        field(1, 8)
        + field(7, b"".join(graph) or field(1, ADD))
        + field(8, field(1, b"") + field(2, 17))
        + more
    )


def node(*fields: bytes) -> bytes:
    return field(1, b"".join(fields) or ADD)


def gguf_text(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def gguf_tensor(name: bytes, offset: int, *, shape: tuple[int, ...] = (8,), kind: int = 0) -> bytes:
    return gguf_text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def gguf(
    keys: tuple[bytes, ...] = (), infos: tuple[bytes, ...] = (), data: bytes = b"", *, version: int = 3
) -> bytes:
    """Return a GGUF file; its data start at the next multiple of 32."""
    head = b"GGUF" + struct.pack("<IQQ", version, len(infos), len(keys)) + b"".join(keys) + b"".join(infos)
    return head + bytes(-len(head) % 32) + data if infos else head + data


def piece(text: bytes = b"the") -> bytes:
    """Return one piece of a SentencePiece model."""
    return field(1, field(1, text) + varint(2 << 3 | 5) + struct.pack("<f", -1.0) + field(3, 1))
