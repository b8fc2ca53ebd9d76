"""The allowlist applied: a file passes when a format suits its name *and* takes its content (I5).

Every byte counts: a file that its format accepts and that another program would read as a pickle, an archive or a
script all the same is refused too.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath

from routeiq_signing.errors import FormatError
from routeiq_signing.formats.content import Content
from routeiq_signing.formats.danger import describe_danger, second_reading
from routeiq_signing.formats.gguf import GGUF
from routeiq_signing.formats.interface import Format
from routeiq_signing.formats.onnx import ONNX
from routeiq_signing.formats.safetensors import SAFETENSORS
from routeiq_signing.formats.sentencepiece import SENTENCEPIECE
from routeiq_signing.formats.shown import shown
from routeiq_signing.formats.text import JSON, TEXT

__all__ = ["ALLOWED", "check_format", "suits_a_format"]

ALLOWED: Sequence[Format] = (SAFETENSORS, ONNX, GGUF, JSON, SENTENCEPIECE, TEXT)


def check_format(data: Content, path: str) -> str:
    """Return the name of the allowed format of the file `path` with the content `data`.

    Raises `FormatError` naming the file, what it looks like, and what would be allowed; on one line, and with
    nothing in it that a terminal would act on, whatever the path and the content are.
    """
    label = shown(path, 300)
    try:
        return _find(data, PurePosixPath(path).name.lower(), label)
    except FormatError as error:
        hint = "allowed are " + ", ".join(item.name for item in ALLOWED) + "; convert weights to safetensors"
        raise FormatError(shown(str(error), 1000), subject=label, hint=hint) from None


def suits_a_format(path: str) -> bool:
    """Tell whether an allowed format would take a file of this name, whatever it holds."""
    name = PurePosixPath(path).name.lower()
    return any(item.suits(name) for item in ALLOWED)


def _find(data: Content, name: str, label: str) -> str:
    for item in ALLOWED:
        if not item.suits(name):
            continue
        try:
            item.check(data, label)
        except FormatError:
            danger = describe_danger(data)
            if danger is None:
                raise
            raise FormatError(f"{label}: {danger}, whatever its name says") from None
        other = second_reading(data)
        if other is not None:
            raise FormatError(f"{label}: {item.name}, but {other} as well, whatever its name says")
        return item.name
    raise FormatError(f"{label}: {describe_danger(data) or 'of no allowed format'}")
