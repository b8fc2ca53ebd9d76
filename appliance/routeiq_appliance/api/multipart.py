"""Reads a form with files (RFC 7578 in the syntax of RFC 2046, 5.1.1) that is wholly in memory. Pure.

Strict, and small: what its senders do not do is refused (packed parts, forms in forms, bare line feeds). Time and
memory are those of one search through the body.
"""

import re
from urllib.parse import unquote

from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.types import Upload

__all__ = ["read_form"]

_MAX_PARTS = 64
_MAX_HEAD = 8192
_MAX_HEADERS = 16
_MAX_NAME = 128
_BINARY = "application/octet-stream"
_NOT_PACKED = frozenset({"7bit", "8bit", "binary", "identity"})

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110, 5.6.2
_PARAMETER = re.compile(rf';[ \t]*({_TOKEN})=(?:"((?:[^"\\\r\n]|\\.)*)"|({_TOKEN}))[ \t]*')
_NAME = re.compile(_TOKEN)
_MEDIA_TYPE = re.compile(rf"({_TOKEN}/{_TOKEN})[ \t]*(?:;.*)?")
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def read_form(content_type: str, raw: bytes) -> tuple[list[tuple[str, str]], dict[str, Upload]]:
    """Return the fields in order and the files by name; raises `CallError` 400 for what is no such form."""
    before, *pieces = (b"\r\n" + raw).split(b"\r\n--" + _boundary(content_type), _MAX_PARTS + 1)
    fields: list[tuple[str, str]] = []
    files: dict[str, Upload] = {}
    for piece in pieces:
        if piece.startswith(b"--"):
            break
        if len(fields) + len(files) == _MAX_PARTS:
            raise _bad(f"the form has more than {_MAX_PARTS} parts")
        name, filename, kind, data = _part(piece)
        if filename is None:
            fields.append((name, _text(data)))
        elif name in files:
            raise _bad("the form holds two files of one name")
        else:
            files[name] = Upload(filename, kind, data)
    else:
        raise _bad("the form does not end")
    if before.strip(b"\r\n") or not (fields or files):
        raise _bad("the form does not begin with a part")
    return fields, files


def _boundary(content_type: str) -> bytes:
    kind, _, _ = content_type.partition(";")
    if kind.strip().lower() != "multipart/form-data":
        raise _bad("the body must be multipart/form-data")
    boundary = _parameters(content_type[len(kind) :]).get("boundary", "")
    if _BOUNDARY.fullmatch(boundary) is None:
        raise _bad("the form's type has no boundary, or none that is allowed")
    return boundary.encode()


def _part(piece: bytes) -> tuple[str, str | None, str, bytes]:
    """Return a part's name, file name, type and data."""
    line = piece.find(b"\r\n")
    # An empty head would be `\r\n\r\n`: then nothing names the part.
    end = piece.find(b"\r\n\r\n", line, line + _MAX_HEAD)
    if line < 0 or piece[:line].strip(b" \t") or end <= line:
        raise _bad("the form holds a part without a head, or with a great one")
    head = _head(piece[line + 2 : end])
    kind, _, told = head.get("content-disposition", "").partition(";")
    parameters = _parameters(f";{told}" if told else "")
    name = parameters.get("name")
    if kind.strip().lower() != "form-data" or not name:
        raise _bad("the form holds a part without a name")
    for coding in (head.get("content-encoding"), head.get("content-transfer-encoding")):
        if coding is not None and coding.lower() not in _NOT_PACKED:
            raise _bad("the form holds a part that is packed")
    media = head.get("content-type", "")
    if media.lower().startswith("multipart/"):
        raise _bad("the form holds a form in a form")
    match = _MEDIA_TYPE.fullmatch(media)
    filename = parameters.get("filename")
    extended = parameters.get("filename*")
    if extended is not None:  # RFC 8187
        charset, _, rest = extended.partition("'")
        if charset.lower() != "utf-8":
            raise _bad("the form holds a file whose name is not in UTF-8")
        filename = unquote(rest.partition("'")[2], errors="replace")
    return (
        name,
        None if filename is None else _plain_name(filename),
        match[1] if match is not None and len(match[1]) <= _MAX_NAME else _BINARY,
        piece[end + 4 :],
    )


def _head(raw: bytes) -> dict[str, str]:
    lines = _text(raw).split("\r\n")
    found: dict[str, str] = {}
    for line in lines[: _MAX_HEADERS + 1]:
        name, colon, value = line.partition(":")
        if not colon or _NAME.fullmatch(name) is None or name.lower() in found:
            raise _bad("the form holds a part whose head cannot be read")
        found[name.lower()] = value.strip(" \t")
    if len(lines) > _MAX_HEADERS:
        raise _bad("the form holds a part with too many headers")
    return found


def _parameters(text: str) -> dict[str, str]:
    """Return `; name=value` pairs by lower-case name."""
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _PARAMETER.match(text, at)
        if match is None or match[1].lower() in found:
            raise _bad("the form's parameters cannot be read")
        # Browsers write a quote as %22, curl as a backslash and the quote.
        quoted = (match[2] or "").replace('\\"', '"').replace("%22", '"')
        found[match[1].lower()] = match[3] if match[3] is not None else quoted
        at = match.end()
    return found


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise _bad("the form holds text that is not UTF-8") from None


def _plain_name(name: str) -> str:
    """Return a file's name without folders: it goes out again, and servers have opened what it said."""
    plain = _CONTROL.sub("", name).replace("\\", "/").rpartition("/")[2]
    return "file" if plain.strip(". ") == "" else plain[-_MAX_NAME:]


def _bad(message: str) -> CallError:
    return CallError(400, message, code="invalid_form")
