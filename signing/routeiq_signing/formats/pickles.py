"""Reads a pickle's opcodes as the unpickler would, without doing what they say.

It tells whether unpickling would call something that the bytes name. The stack is counted, not kept: an opcode
that finds too little on it stops the real unpickler, and so ends the reading. Arguments that are text lines are
not judged, because the two unpicklers of Python judge them differently; so it errs towards "it acts".
"""

import pickletools
from collections.abc import Iterator
from dataclasses import dataclass

from routeiq_signing.formats.content import Content
from routeiq_signing.formats.limits import FORMAT_LIMITS

__all__ = ["PickleReading", "read_pickle"]

_OPCODES = {ord(opcode.code): opcode for opcode in pickletools.opcodes}
_CALLS = {"REDUCE", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD"}
_LOOKUPS = {"STACK_GLOBAL", "EXT1", "EXT2", "EXT4"}
_STRINGS = {
    "SHORT_BINUNICODE",
    "BINUNICODE",
    "BINUNICODE8",
    "SHORT_BINSTRING",
    "BINSTRING",
    "UNICODE",
    "STRING",
}
_COUNTED = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
_LINE = 1 << 16  # a longer line is not looked through for its end
_TEXT = 200


@dataclass(frozen=True, slots=True)
class PickleReading:
    """`acts`: something named is called. `names`: what the bytes look up, as far as it was read, `module.name`."""

    acts: bool
    names: tuple[str, ...]


class _Stop(Exception):  # noqa: N818 - not an error: where the unpickler would stop
    """The bytes end, or are no pickle from here on."""


def read_pickle(data: Content, steps: int = FORMAT_LIMITS.pickle_steps) -> PickleReading:
    """Read up to `steps` opcodes of `data`, over the ends of pickles that follow each other.

    What is not through by then counts as acting: no ordinary file reads as a pickle for so long.
    """
    names: list[str] = []
    recent: list[str] = []
    stack = _Stack()
    looked_up = False
    try:
        for count, (name, argument) in enumerate(_opcodes(data)):
            if count >= steps:
                return PickleReading(acts=True, names=tuple(names))
            stack.step(name)
            if name in {"GLOBAL", "INST"}:
                if _is_name(argument):
                    looked_up = True
                    names.append(argument.replace("\n", "."))
                if looked_up and name == "INST":
                    return PickleReading(acts=True, names=tuple(names))
            elif name in _LOOKUPS:
                looked_up = True
                names.append(".".join(recent[-2:]) if name == "STACK_GLOBAL" else "copyreg extension")
            elif name in _STRINGS:
                recent = [*recent[-1:], argument]
            elif looked_up and name in _CALLS:
                return PickleReading(acts=True, names=tuple(names))
            names = names[:8]
    except _Stop:
        pass
    return PickleReading(acts=False, names=tuple(names))


class _Stack:
    """How many things are on the unpickler's stack, and where its marks are."""

    def __init__(self) -> None:
        self._depth = 0
        self._marks: list[int] = []

    def step(self, name: str) -> None:
        """Do to the counts what opcode `name` does; raises `_Stop` where the unpickler would raise."""
        opcode = _BY_NAME[name]
        floor = self._marks[-1] if self._marks else 0
        needs = opcode.stack_before
        if name == "MARK":
            self._marks.append(self._depth)
            return
        if name == "POP" and self._marks and self._depth == floor:
            self._marks.pop()
            return
        if pickletools.markobject in needs:
            if not self._marks:
                raise _Stop
            self._depth = self._marks.pop()
            floor = self._marks[-1] if self._marks else 0
            below = needs.index(pickletools.markobject)
        else:
            below = len(needs)
        if self._depth - below < floor:
            raise _Stop
        self._depth += len(opcode.stack_after) - below
        if name == "STOP":
            self._depth, self._marks = 0, []


_BY_NAME = {opcode.name: opcode for opcode in pickletools.opcodes}


def _opcodes(data: Content) -> Iterator[tuple[str, str]]:
    """Yield (name, argument as text where it is one, cut short) of each opcode."""
    at, size = 0, len(data)
    while at < size:
        opcode = _OPCODES.get(data[at : at + 1][0])
        at += 1
        if opcode is None:
            raise _Stop
        text = ""
        kind = opcode.arg.n if opcode.arg is not None else 0
        if kind == pickletools.UP_TO_NEWLINE:
            text, at = _line(data, at)
            if opcode.arg is pickletools.stringnl_noescape_pair:
                second, at = _line(data, at)
                text = f"{text}\n{second}"
        elif kind in _COUNTED:
            start = at + _COUNTED[kind]
            length = int.from_bytes(data[at:start], "little")
            if start + length > size:
                raise _Stop
            text = bytes(data[start : start + min(length, _TEXT)]).decode("utf-8", "replace")
            at = start + length
        else:
            at += kind
            if at > size:
                raise _Stop
        yield opcode.name, text


def _line(data: Content, at: int) -> tuple[str, int]:
    end = -1
    for width in (256, _LINE):
        end = bytes(data[at : at + width]).find(b"\n")
        if end >= 0:
            break
    else:
        at, end = _far(data, at)
    return bytes(data[at : at + min(end, _TEXT)]).decode("utf-8", "replace"), at + end + 1


def _far(data: Content, at: int) -> tuple[int, int]:
    """Find the end of a line of more than `_LINE` bytes."""
    past = at
    while past < len(data):
        end = bytes(data[past : past + (1 << 20)]).find(b"\n")
        if end >= 0:
            return at, past + end - at
        past += 1 << 20
    raise _Stop


def _is_name(argument: str) -> bool:
    module, _, name = argument.partition("\n")
    return all(part.isidentifier() for part in (*module.split("."), *name.split(".")))
