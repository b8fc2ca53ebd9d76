"""safetensors, read strictly: https://github.com/huggingface/safetensors#format.

Eight bytes of little-endian header length, a JSON header, then one byte buffer that the tensors cover from its first
byte to its last, in order of their offsets, without overlap, hole or anything behind.
"""

import math
from typing import Any

from routeiq_signing.errors import DocumentError, FormatError
from routeiq_signing.formats.interface import Format
from routeiq_signing.limits import LIMITS
from routeiq_signing.strict_json import loads

__all__ = ["SAFETENSORS"]

_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "U16": 16, "I16": 16, "F16": 16, "BF16": 16,
    "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64,
}  # fmt: skip


def _check(data: bytes | memoryview, name: str) -> None:
    view = memoryview(data)
    if len(view) < 8:
        raise FormatError(f"{name}: too short for safetensors", subject=name)
    length = int.from_bytes(view[:8], "little")
    if not 2 <= length <= min(LIMITS.model_header, len(view) - 8):
        raise FormatError(f"{name}: safetensors header length {length} is out of range", subject=name)
    raw = bytes(view[8 : 8 + length])
    if not raw.startswith(b"{"):
        raise FormatError(f"{name}: safetensors header does not start with an object", subject=name)
    try:
        header = loads(raw.rstrip(b" "), name, limit=LIMITS.model_header, canonical=False)
    except DocumentError as error:
        raise FormatError(f"{error} (safetensors header)", subject=name) from None
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise FormatError(f"{name}: safetensors metadata must map strings to strings", subject=name)
    end = 0
    for start, stop, tensor in sorted(_span(name, key, value) for key, value in header.items()):
        if start != end:
            raise FormatError(
                f"{name}: tensor {tensor} starts at {start}, not at {end} (overlap or hole)", subject=name
            )
        end = stop
    if end != len(view) - 8 - length:
        raise FormatError(
            f"{name}: {len(view) - 8 - length - end} bytes stand behind the tensors", subject=name
        )


def _span(name: str, tensor: str, entry: Any) -> tuple[int, int, str]:
    """Return (start, stop, tensor name) after checking one header entry."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise FormatError(
            f"{name}: tensor {tensor[:60]} has not exactly dtype, shape and data_offsets", subject=name
        )
    shape, offsets = entry["shape"], entry["data_offsets"]
    numbers = [*shape, *offsets] if isinstance(shape, list) and isinstance(offsets, list) else [None]
    if (
        entry["dtype"] not in _BITS
        or len(numbers) != len(shape) + 2
        or not all(type(n) is int and n >= 0 for n in numbers)
    ):
        raise FormatError(
            f"{name}: tensor {tensor[:60]} has a dtype, shape or offset that is not allowed", subject=name
        )
    start, stop = offsets
    if (stop - start) * 8 != math.prod(shape) * _BITS[entry["dtype"]]:
        raise FormatError(
            f"{name}: tensor {tensor[:60]}: its shape does not fill its {stop - start} bytes", subject=name
        )
    return start, stop, tensor


SAFETENSORS = Format("safetensors", lambda name: name.endswith(".safetensors"), _check)
