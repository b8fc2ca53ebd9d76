"""What pg_dump writes for a row: COPY's text format, and the literals of an INSERT. Pure; nothing is executed.

A value is its text as PostgreSQL prints it (`t`, `0.25`, `{a,b}`), None for NULL, whichever way it was written.
Sources: PostgreSQL 17, "COPY", text format; "Lexical Structure", string constants; `dumpTableData_insert` of pg_dump.
"""

import re
from dataclasses import dataclass

__all__ = ["Damage", "Insert", "copy_row", "identifier", "identifiers", "read_columns", "read_insert"]

_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|(.)|$)", re.DOTALL)
_NAMED = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_NAME = r'(?:"(?:[^"]|"")+"|[A-Za-z_][A-Za-z0-9_$]*)'
_IDENTIFIER = re.compile(_NAME)
_SPACE = re.compile(r"\s*")
_INSERT = re.compile(rf"INSERT INTO ({_NAME}(?:\.{_NAME})?)\s*")
_VALUES = re.compile(r"(?:OVERRIDING (?:SYSTEM|USER) VALUE\s+)?VALUES\s*")
_END = re.compile(r"\s*(?:ON CONFLICT DO NOTHING\s*)?;\s*\Z")
_VALUE = re.compile(
    r"(?P<null>NULL)\b|(?P<true>true)\b|(?P<false>false)\b"
    r"|(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?![A-Za-z0-9_.])"
    r"|(?P<string>'[^']*(?:''[^']*)*')"
    r"|[eE](?P<escaped>'[^'\\]*(?:(?:''|\\.)[^'\\]*)*')",
    re.DOTALL,
)
_CAST = re.compile(rf"::{_NAME}(?:\.{_NAME})?(?:\[\])?")
_TABLE = re.compile(rf"CREATE (?:UNLOGGED )?TABLE ({_NAME}(?:\.{_NAME})?) \(")
_STRING_ESCAPE = re.compile(
    r"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL
)
_STRING_NAMED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_NO_COLUMNS = frozenset({"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN", "EXCLUDE", "LIKE"})


class Damage(Exception):  # noqa: N818 - not an error of ours: whoever reads the file says where
    """The text is not what pg_dump writes; the message says how."""


@dataclass(frozen=True, slots=True)
class Insert:
    """One INSERT: the table as written, its columns when it names them, and rows of values."""

    table: str
    columns: tuple[str, ...] | None
    rows: list[list[str | None]]


def copy_row(line: bytes, columns: int) -> list[str | None]:
    """Return the values of one line of a COPY block, without its line break; raises `Damage`."""
    fields = line.split(b"\t")
    if len(fields) != columns:
        raise Damage(f"a row has {len(fields)} values, its table {columns} columns")
    return [None if field == rb"\N" else _text(_ESCAPE.sub(_unescaped, field)) for field in fields]


def identifier(text: str) -> str:
    """Return the last name of `schema.table` without quotes."""
    return _unquoted(_IDENTIFIER.findall(text)[-1])


def identifiers(text: str) -> tuple[str, ...]:
    """Return the names of a list `a, "b"`; raises `Damage`."""
    names, position = [], 0
    while True:
        match = _IDENTIFIER.match(text, _spaces(text, position))
        if match is None:
            raise Damage("a list of columns is not one")
        names.append(_unquoted(match[0]))
        position = _spaces(text, match.end())
        if position == len(text):
            break
        if text[position] != ",":
            raise Damage("a list of columns is not one")
        position += 1
    if len(set(names)) != len(names):
        raise Damage("a column is named twice")
    return tuple(names)


def read_insert(text: str) -> Insert:
    """Return what an INSERT says; raises `Damage` for anything but literals."""
    head = _INSERT.match(text)
    if head is None:
        raise Damage("an INSERT without a table")
    position, columns = head.end(), None
    if text[position : position + 1] == "(":
        end = _closing(text, position)
        columns, position = identifiers(text[position + 1 : end]), _spaces(text, end + 1)
    match = _VALUES.match(text, position)
    if match is None:
        raise Damage("an INSERT without VALUES")
    position, rows = match.end(), []
    while True:
        values, position = _tuple(text, _spaces(text, position))
        rows.append(values)
        position = _spaces(text, position)
        if text[position : position + 1] != ",":
            break
        position += 1
    if _END.match(text, position) is None:
        raise Damage("an INSERT goes on after its values")
    return Insert(head[1], columns, rows)


def read_columns(text: str) -> tuple[str, tuple[str, ...]] | None:
    """Return table and columns of a CREATE TABLE; None when it has no plain list of them."""
    head = _TABLE.match(text)
    if head is None:
        return None
    names = []
    for part in _parts(text, head.end()):
        match = _IDENTIFIER.match(part)
        if match is not None and match[0] not in _NO_COLUMNS:
            names.append(_unquoted(match[0]))
    return head[1], tuple(names)


def _tuple(text: str, position: int) -> tuple[list[str | None], int]:
    if text[position : position + 1] != "(":
        raise Damage("an INSERT's values are not in brackets")
    values: list[str | None] = []
    while True:
        position = _spaces(text, position + 1)
        match = _VALUE.match(text, position)
        if match is None:
            raise Damage("an INSERT holds a value that is no literal")
        values.append(_literal(match))
        cast = _CAST.match(text, match.end())
        position = _spaces(text, cast.end() if cast else match.end())
        if text[position : position + 1] == ")":
            return values, position + 1
        if text[position : position + 1] != ",":
            raise Damage("an INSERT's values are not parted by commas")


def _literal(match: re.Match[str]) -> str | None:
    kind, text = match.lastgroup, match[match.lastgroup or 0]
    if kind == "null":
        return None
    if kind in {"true", "false"}:
        return text[0]
    if kind == "string":
        text = text[1:-1].replace("''", "'")
    elif kind == "escaped":
        text = _STRING_ESCAPE.sub(_string_unescaped, text[1:-1].replace("''", "'"))
    if "\0" in text:
        raise Damage("a value holds a NUL byte")
    return text


def _string_unescaped(match: re.Match[str]) -> str:
    octal, pair, four, eight, other = match.groups()
    if octal or pair:
        code = int(octal, 8) if octal else int(pair, 16)
        if code > 127:
            # Bytes of a longer character one by one: pg_dump never writes that.
            raise Damage("a value holds an escaped byte")
        return chr(code)
    if four or eight:
        code = int(four or eight, 16)
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise Damage("a value holds an escape that is no character")
        return chr(code)
    return _STRING_NAMED.get(other, other)


def _parts(text: str, position: int) -> list[str]:
    """Return what stands between the commas of the outermost brackets."""
    parts, depth, start = [], 0, position
    for match in re.compile(r"""'[^']*'|"[^"]*"|[(),]""").finditer(text, position):
        sign = match[0]
        if sign == "(":
            depth += 1
        elif sign == ")":
            depth -= 1
        if depth < 0 or (sign == "," and depth == 0):
            parts.append(text[start : match.start()].strip())
            start = match.end()
        if depth < 0:
            return parts
    raise Damage("a CREATE TABLE without an end")


def _closing(text: str, position: int) -> int:
    for match in re.compile(r'"(?:[^"]|"")*"|\)').finditer(text, position):
        if match[0] == ")":
            return match.start()
    raise Damage("a list of columns without an end")


def _unescaped(match: re.Match[bytes]) -> bytes:
    octal, pair, other = match.groups()
    if octal:
        return bytes([int(octal, 8) & 0xFF])
    if pair:
        return bytes([int(pair, 16)])
    if other is None:
        raise Damage("a value ends in a backslash")
    return _NAMED.get(other, other)


def _text(raw: bytes) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Damage("a value is not UTF-8") from None
    if "\0" in text:
        raise Damage("a value holds a NUL byte")
    return text


def _unquoted(name: str) -> str:
    # PostgreSQL folds what is not quoted.
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def _spaces(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position
