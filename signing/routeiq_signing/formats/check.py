"""The allowlist applied: a file passes when a format suits its name *and* takes its content (I5)."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from routeiq_signing.errors import FormatError
from routeiq_signing.formats.danger import describe_danger
from routeiq_signing.formats.gguf import GGUF
from routeiq_signing.formats.interface import Format
from routeiq_signing.formats.onnx import ONNX
from routeiq_signing.formats.safetensors import SAFETENSORS
from routeiq_signing.formats.text import JSON, TEXT

__all__ = ["ALLOWED", "check_format"]

ALLOWED: Sequence[Format] = (SAFETENSORS, ONNX, GGUF, JSON, TEXT)


def check_format(data: bytes | memoryview, path: str) -> str:
    """Return the name of the allowed format of the file `path` with the content `data`.

    Raises `FormatError` naming the file, what it looks like, and what would be allowed.
    """
    name = PurePosixPath(path).name.lower()
    hint = "allowed are " + ", ".join(item.name for item in ALLOWED) + "; convert weights to safetensors"
    for item in ALLOWED:
        if not item.suits(name):
            continue
        try:
            item.check(data, path)
        except FormatError as error:
            danger = describe_danger(data)
            text = f"{path}: {danger}, whatever its name says" if danger else str(error)
            raise FormatError(text, subject=path, hint=hint) from None
        return item.name
    danger = describe_danger(data)
    raise FormatError(f"{path}: {danger or 'of no allowed format'}", subject=path, hint=hint)
