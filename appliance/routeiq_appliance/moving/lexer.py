"""Finds the statements and the rows in a dump's lines; understands of SQL only where a statement ends.

Rules:

1. A line belongs to a COPY block until `\\.`, else to statements, which end at a `;` that is in no string, quoted name,
   dollar quote or comment.
2. Only statements whose first words the reader asked for are kept, up to a bound; of all others nothing is.
3. Of psql's commands only those that pg_dump writes are passed over; any other is refused, for what follows it could
   come from elsewhere.

Source: PostgreSQL 17, "Lexical Structure"; pg_dump's `\\restrict` (2025).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from routeiq_appliance.moving.dump_file import DumpLines
from routeiq_appliance.moving.limits import MoveLimits

__all__ = ["Comment", "CopyEnd", "CopyLine", "CopyStart", "Statement", "Token", "tokens"]

_COPY = re.compile(
    r'COPY\s+((?:"(?:[^"]|"")+"|[\w$]+)(?:\.(?:"(?:[^"]|"")+"|[\w$]+))?)\s*\((.*)\)\s+FROM\s+stdin;\s*\Z'
)
_COPY_WORD = re.compile(rb"COPY\s")
_COMMAND = re.compile(rb"\\(?:un)?restrict(?:\s+\w+)?\s*\Z")
_OPEN = re.compile(rb"'|\"|\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$|--|/\*|;")
_CLOSE = {
    b"'": re.compile(rb"''|'"),
    b"E": re.compile(rb"\\.|''|'", re.DOTALL),
    b'"': re.compile(rb'""|"'),
    b"/*": re.compile(rb"/\*|\*/"),
}
_WORD = re.compile(rb"[A-Za-z0-9_$\x80-\xff]\Z")


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment between statements, without dashes."""

    text: str


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement; `text` is None when nobody asked for it."""

    text: str | None


@dataclass(frozen=True, slots=True)
class CopyStart:
    """A COPY block begins; `table` and `columns` as written."""

    table: str
    columns: str


@dataclass(frozen=True, slots=True)
class CopyLine:
    """One row of a COPY block without its line break; `raw` is None when nobody asked for the table."""

    raw: bytes | None


@dataclass(frozen=True, slots=True)
class CopyEnd:
    """The block is complete."""


Token = Comment | Statement | CopyStart | CopyLine | CopyEnd


class _Lexer:
    """What is open at a line's end: a quote, a comment, a statement."""

    def __init__(self, lines: DumpLines, keep: Callable[[bytes], bool], limits: MoveLimits) -> None:
        self._lines = lines
        self._keep = keep
        self._limits = limits
        self._quote = b""
        self._depth = 0
        self._begun = False
        self._kept: list[bytes] | None = None
        self._size = 0

    @property
    def open(self) -> bool:
        return self._begun or bool(self._quote)

    def line(self, line: bytes) -> Iterator[Comment | Statement]:
        """Yield what ends in this line."""
        if not self.open and line.startswith(b"\\"):
            if _COMMAND.match(line) is None:
                raise self._lines.fault(
                    "a command of psql, which pg_dump does not write",
                    "dump one database with pg_dump, without --create",
                )
            return
        position = 0
        while position < len(line):
            if self._quote:
                position = self._closed(line, position)
                continue
            match = _OPEN.search(line, position)
            end = match.start() if match else len(line)
            self._take(line, position, end)
            if match is None:
                return
            sign, position = match[0], match.end()
            if sign == b"--":
                self._add(b"\n")
                if not self._begun:
                    yield Comment(line[position:].strip().decode("utf-8", "replace"))
                return
            if sign == b";":
                self._add(b";")
                yield Statement(self._ended())
            else:
                self._opened(line, match)

    def _take(self, line: bytes, start: int, end: int) -> None:
        """Take plain text; the first of a statement decides whether it is kept."""
        if self._begun:
            self._add(line[start:end])
            return
        text = line[start:end].lstrip()
        if text or end == len(line):
            if not text:
                return
            self._begin(line[end - len(text) :])
            self._add(text)

    def _begin(self, head: bytes) -> None:
        self._begun = True
        self._kept = [] if self._keep(head) else None
        self._size = 0

    def _add(self, text: bytes) -> None:
        if self._kept is None:
            return
        self._size += len(text)
        if self._size > self._limits.statement_bytes:
            raise self._lines.fault(
                f"a statement is larger than {self._limits.statement_bytes} bytes",
                "dump without --rows-per-insert",
            )
        self._kept.append(text)

    def _opened(self, line: bytes, match: re.Match[bytes]) -> None:
        sign, start = match[0], match.start()
        if sign.startswith(b"$") and _WORD.search(line[:start][-1:]):
            # `a$b$` is a name.
            self._add(sign)
            return
        if not self._begun and sign != b"/*":
            self._begin(line[start:])
        if sign == b"/*":
            self._depth = 1
        elif (
            sign == b"'"
            and line[start - 1 : start] in {b"e", b"E"}
            and not _WORD.search(line[: start - 1][-1:])
        ):
            self._add(sign)
            self._quote = b"E"
            return
        else:
            self._add(sign)
        self._quote = sign

    def _closed(self, line: bytes, position: int) -> int:
        """Return where the open quote or comment ends in this line, or the line's end."""
        quote = self._quote
        if quote.startswith(b"$"):
            found = line.find(quote, position)
            end = len(line) if found < 0 else found + len(quote)
            if found >= 0:
                self._quote = b""
            self._add(line[position:end])
            return end
        match = _CLOSE[quote].search(line, position)
        end = match.end() if match else len(line)
        if quote == b"/*":
            if match is not None:
                self._depth += 1 if match[0] == b"/*" else -1
                if not self._depth:
                    self._quote = b""
                    self._add(b" ")
            return end
        self._add(line[position:end])
        if match is not None and match[0] in {b"'", b'"'}:
            self._quote = b""
        return end

    def _ended(self) -> str | None:
        kept, self._kept, self._begun = self._kept, None, False
        if kept is None:
            return None
        try:
            return b"".join(kept).decode("utf-8")
        except UnicodeDecodeError:
            raise self._lines.fault("not UTF-8", "dump with `pg_dump --encoding=UTF8`") from None


def tokens(
    lines: DumpLines, wants: Callable[[str], bool], wants_table: Callable[[str], bool], limits: MoveLimits
) -> Iterator[Token]:
    """Yield what is in the dump; raises `MoveError`.

    `wants` is asked for the first 200 characters of each statement, `wants_table` for the table of each COPY block as
    it is written. Whether the dump is whole is for the reader to say: by the last `Comment`.
    """

    def keep(head: bytes) -> bool:
        # COPY is always looked at: what follows it is not SQL.
        return _COPY_WORD.match(head) is not None or wants(head[:200].decode("utf-8", "replace"))

    lexer = _Lexer(lines, keep, limits)
    while line := lines.next(limits.statement_bytes):
        if len(line) >= limits.statement_bytes:
            raise lines.fault(f"a line is longer than {limits.statement_bytes} bytes")
        for token in lexer.line(line):
            if isinstance(token, Statement) and token.text is not None and token.text.startswith("COPY"):
                yield from _copy(lines, token.text, wants_table, limits)
            else:
                yield token
    if lexer.open:
        raise lines.fault("cut off in the middle of a statement", "make the dump again, or copy it again")


def _copy(
    lines: DumpLines, statement: str, wants: Callable[[str], bool], limits: MoveLimits
) -> Iterator[CopyStart | CopyLine | CopyEnd]:
    match = _COPY.match(statement)
    if match is None:
        raise lines.fault("a COPY that pg_dump does not write", "dump with pg_dump, in its plain format")
    yield CopyStart(match[1], match[2])
    wanted = wants(match[1])
    most = limits.row_bytes if wanted else limits.piece_bytes
    whole = True
    while line := lines.next(most):
        ends = line.endswith(b"\n")
        if whole and line.rstrip(b"\r\n") == b"\\.":
            yield CopyEnd()
            return
        if wanted:
            if not ends:
                if len(line) < most:
                    break
                raise lines.fault(f"a row is larger than {limits.row_bytes} bytes")
            yield CopyLine(line.rstrip(b"\r\n"))
        elif ends:
            yield CopyLine(None)
        whole = ends
    raise lines.fault("cut off in the middle of a table", "make the dump again, or copy it again")
