"""GGUF (llama.cpp's format, version 2 or 3): its head only; what is behind is the server's to read."""

from routeiq_signing.errors import FormatError
from routeiq_signing.formats.danger import pickle_acts
from routeiq_signing.formats.interface import Format

__all__ = ["GGUF"]

_WINDOW = 1 << 16


def _check(data: bytes | memoryview, name: str) -> None:
    head = bytes(data[:24])
    version = int.from_bytes(head[4:8], "little")
    counts = (int.from_bytes(head[8:16], "little"), int.from_bytes(head[16:24], "little"))
    if len(head) < 24 or head[:4] != b"GGUF" or version not in {2, 3}:
        raise FormatError(f"{name}: no GGUF file of version 2 or 3", subject=name)
    if pickle_acts(bytes(data[:_WINDOW])):
        raise FormatError(f"{name}: a Python pickle behind the head of a GGUF file", subject=name)
    if max(counts) > 1 << 20:
        raise FormatError(f"{name}: GGUF counts {counts} are out of range", subject=name)


GGUF = Format("gguf", lambda name: name.endswith(".gguf"), _check)
