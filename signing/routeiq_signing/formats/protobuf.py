"""Walks a protobuf message by a schema of our own, without building anything: https://protobuf.dev/programming-guides/encoding/.

Stricter than protobuf: unknown fields, groups, a second value for a field that has one, numbers in more bytes than
they need, and text that is no UTF-8 are refused; so are more fields or deeper messages than `FORMAT_LIMITS` allow.
"""

from collections.abc import Iterator, Mapping
from typing import Literal

from routeiq_signing.errors import FormatError
from routeiq_signing.formats.content import Content
from routeiq_signing.formats.limits import FORMAT_LIMITS

__all__ = ["Field", "Schema", "Span", "Walk"]

Kind = Literal["number", "fixed32", "fixed64", "text", "bytes"]
Field = tuple[Kind, bool] | tuple[str, bool]
"""(kind, or the name of the message inside; whether it may stand more than once)."""
Schema = Mapping[str, Mapping[int, Field] | None]
"""Message → its fields by number; None for a message whose fields are of no interest and only well-formed."""
Span = tuple[int, int]
"""First byte and the one behind the last."""

_CHUNK = 1 << 16
_WIRES = {"number": 0, "fixed64": 1, "fixed32": 5}
_WORD = 1 << 64


class Walk:
    """One walk through `data`; subclasses override `judge`, which sees each message once all its fields are known."""

    schema: Schema

    def __init__(self, data: Content, name: str) -> None:
        self.data = data
        self.name = name
        self._left = FORMAT_LIMITS.protobuf_fields
        self._chunk = b""
        self._chunk_at = 0

    def refuse(self, fault: str) -> FormatError:
        """Return the error that names the file, then `fault`."""
        return FormatError(f"{self.name}: {fault}", subject=self.name)

    def judge(self, message: str, values: Mapping[int, list[int | Span]]) -> None:
        """Raise `refuse(…)` when a message's scalar fields, by number, are not allowed; messages inside come first."""

    def enter(self, message: str) -> None:
        """Raise `refuse(…)` when a message must not stand here; called before its fields are read."""

    def leave(self, message: str) -> None:
        """Undo what `enter` counted."""

    def walk(self, message: str, start: int, stop: int, depth: int = 0) -> None:
        """Walk the message in the bytes from `start` to `stop`."""
        if depth > FORMAT_LIMITS.protobuf_depth:
            raise self.refuse(f"messages nested deeper than {FORMAT_LIMITS.protobuf_depth}")
        self.enter(message)
        fields = self.schema[message]
        values: dict[int, list[int | Span]] = {}
        seen: set[int] = set()
        for number, wire, value in self._fields(start, stop):
            if fields is None:
                continue
            field = fields.get(number)
            if field is None:
                raise self.refuse(f"unknown field {number} in {message}")
            kind, repeated = field
            if number in seen and not repeated:
                raise self.refuse(f"field {number} stands twice in {message}")
            seen.add(number)
            if wire != _WIRES.get(kind, 2) and not (repeated and kind in _WIRES and wire == 2):
                raise self.refuse(f"field {number} in {message} has the wrong type")
            if isinstance(value, int) or kind in _WIRES:
                self._keep(values, number, value)
            elif kind == "text":
                self._text(value, number, message)
                self._keep(values, number, value)
            elif kind == "bytes":
                self._keep(values, number, value)
            else:
                self.walk(kind, *value, depth + 1)
        self.judge(message, values)
        self.leave(message)

    @staticmethod
    def _keep(values: dict[int, list[int | Span]], number: int, value: int | Span) -> None:
        # What is judged are fields with one value, and short lists.
        kept = values.setdefault(number, [])
        if len(kept) <= FORMAT_LIMITS.dimensions:
            kept.append(value)

    def bytes_of(self, span: Span, most: int = 200) -> bytes:
        """Return the bytes of a field, cut after `most`."""
        return bytes(self.data[span[0] : min(span[1], span[0] + most)])

    def numbers(self, values: list[int | Span]) -> Iterator[int]:
        """Yield the numbers of a repeated field, packed or not, as signed 64 bits; a list of dimensions, so short."""
        count = len(values)
        if count > FORMAT_LIMITS.dimensions:
            raise self.refuse(f"a list of more than {FORMAT_LIMITS.dimensions} dimensions")
        for value in values:
            at, stop = (0, 0) if isinstance(value, int) else value
            more = [value] if isinstance(value, int) else []
            while at < stop:
                number, at = self._varint(at, stop)
                more.append(number)
                if count + len(more) > FORMAT_LIMITS.dimensions + 1:
                    raise self.refuse(f"a list of more than {FORMAT_LIMITS.dimensions} dimensions")
            yield from (number - _WORD if number >= _WORD // 2 else number for number in more)

    def _text(self, span: Span, number: int, message: str) -> None:
        try:
            bytes(self.data[span[0] : span[1]]).decode("utf-8")
        except UnicodeDecodeError:
            raise self.refuse(f"field {number} in {message} is no UTF-8 text") from None

    def _fields(self, start: int, stop: int) -> Iterator[tuple[int, int, int | Span]]:
        """Yield (field number, wire type, number or where the bytes are) of one message."""
        at = start
        while at < stop:
            self._left -= 1
            if self._left < 0:
                raise self.refuse(f"more than {FORMAT_LIMITS.protobuf_fields} protobuf fields")
            tag, at = self._varint(at, stop)
            number, wire = tag >> 3, tag & 7
            if not 0 < number < 1 << 29:
                raise self.refuse("not a protobuf message")
            if wire == 0:
                value, at = self._varint(at, stop)
                yield number, wire, value
                continue
            if wire == 2:
                size, at = self._varint(at, stop)
            elif wire in {1, 5}:
                size = 8 if wire == 1 else 4
            else:
                raise self.refuse("not a protobuf message")
            if size > stop - at:
                raise self.refuse("a protobuf field goes beyond its message")
            yield number, wire, (at, at + size)
            at += size

    def _varint(self, at: int, stop: int) -> tuple[int, int]:
        offset = at - self._chunk_at
        if 0 <= offset < len(self._chunk) and at < stop and self._chunk[offset] < 0x80:
            return self._chunk[offset], at + 1
        result = 0
        for shift in range(0, 70, 7):
            if at >= stop:
                break
            if not 0 <= at - self._chunk_at < len(self._chunk):
                self._chunk, self._chunk_at = bytes(self.data[at : at + _CHUNK]), at
            byte = self._chunk[at - self._chunk_at]
            at += 1
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                if result >= _WORD or (byte == 0 and shift):
                    raise self.refuse("a protobuf number in more bytes than it needs")
                return result, at
        raise self.refuse("not a protobuf message")
