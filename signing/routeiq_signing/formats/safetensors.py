"""safetensors, read strictly: https://github.com/huggingface/safetensors#format.

Eight bytes of little-endian header length, a JSON header, then one byte buffer that the tensors cover from its first
byte to its last, in order of their offsets, without overlap, hole or anything behind.

The header starts with `{`, ends with `}` and spaces, is on one line, names no tensor twice, and spells its numbers
without sign, fraction or exponent: the reference writes it so.
"""

import re
from typing import Any

from routeiq_signing.errors import FormatError
from routeiq_signing.formats.content import Content
from routeiq_signing.formats.documents import read_json
from routeiq_signing.formats.interface import Format
from routeiq_signing.formats.limits import FORMAT_LIMITS
from routeiq_signing.formats.shown import shown

__all__ = ["SAFETENSORS"]

_BITS = {
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32,
    "U64": 64, "I64": 64, "F64": 64, "C64": 64,
}  # fmt: skip
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"')
_ODD = re.compile(rb"[\t\r\n]|-|[0-9][.eE]")


def _check(data: Content, name: str) -> None:
    if len(data) < 8:
        raise FormatError(f"{name}: too short for safetensors", subject=name)
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= min(FORMAT_LIMITS.tensor_header, len(data) - 8):
        raise FormatError(f"{name}: safetensors header length {length} is out of range", subject=name)
    header = _header(bytes(data[8 : 8 + length]), name)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise FormatError(f"{name}: safetensors metadata must map strings to strings", subject=name)
    size = len(data) - 8 - length
    end = 0
    for start, stop, tensor in sorted(_span(name, key, value, size) for key, value in header.items()):
        if start != end:
            raise FormatError(
                f"{name}: tensor {shown(tensor, 60)} starts at {start}, not at {end} (overlap or hole)",
                subject=name,
            )
        end = stop
    if end != size:
        raise FormatError(f"{name}: {size - end} bytes stand behind the tensors", subject=name)


def _header(raw: bytes, name: str) -> dict[str, Any]:
    what = f"{name}: safetensors header"
    body = raw.rstrip(b" ")
    if not (body.startswith(b"{") and body.endswith(b"}")):
        raise FormatError(f"{what} does not start and end as an object", subject=name)
    header = read_json(body, what, size=FORMAT_LIMITS.tensor_header, values=FORMAT_LIMITS.tensor_values)
    if _ODD.search(_STRING.sub(b'""', body)):
        raise FormatError(
            f"{what} is not in canonical form: one line, numbers without sign, fraction or exponent",
            subject=name,
        )
    found: dict[str, Any] = header
    return found


def _span(name: str, tensor: str, entry: Any, size: int) -> tuple[int, int, str]:
    """Return (start, stop, tensor name) after checking one header entry."""
    what = f"{name}: tensor {shown(tensor, 60)}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise FormatError(f"{what} has not exactly dtype, shape and data_offsets", subject=name)
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if (
        not isinstance(dtype, str)
        or dtype not in _BITS
        or not _are_counts(shape, FORMAT_LIMITS.dimensions)
        or not _are_counts(offsets, 2)
        or len(offsets) != 2
    ):
        raise FormatError(f"{what} has a dtype, shape or offset that is not allowed", subject=name)
    start, stop = offsets
    bits = _BITS[dtype]
    for number in shape:
        bits *= number
        if bits > size * 8 and 0 not in shape:
            break  # the product of hostile numbers is not worked out
    if not start <= stop <= size or (stop - start) * 8 != bits:
        raise FormatError(f"{what}: its shape does not fill its {stop - start} bytes", subject=name)
    return start, stop, tensor


def _are_counts(numbers: Any, most: int) -> bool:
    return (
        isinstance(numbers, list)
        and len(numbers) <= most
        and all(type(number) is int and 0 <= number < 1 << 63 for number in numbers)
    )


SAFETENSORS = Format("safetensors", lambda name: name.endswith(".safetensors"), _check)
