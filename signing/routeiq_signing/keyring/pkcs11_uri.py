"""Which key of which token is meant: PKCS#11 URIs (RFC 7512). Pure; `pkcs11` opens them.

Read are the attributes that name a token (`token`, `manufacturer`, `model`, `serial`) and an object (`object`, `id`,
and `type=private` or `type=public`), and the queries `pin-source` and `module-path`. A PIN in the URI (`pin-value`) is
refused: it would stand in the shell's history and in the list of processes. So is a command as its source.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, unquote_to_bytes

from routeiq_signing.errors import KeyFileError

__all__ = ["SCHEME", "TokenUri", "parse_token_uri"]

SCHEME = "pkcs11:"
_LONGEST = 4096
_TOKEN = ("token", "manufacturer", "model", "serial")
_PATH = frozenset({*_TOKEN, "object", "id", "type"})
_QUERY = frozenset({"pin-source", "module-path"})


@dataclass(frozen=True, slots=True)
class TokenUri:
    """What the URI names: `token` attributes that must agree, the object's label and id, where PIN and module are."""

    token: dict[str, str] = field(default_factory=dict)
    label: str | None = None
    identifier: bytes | None = None
    pin_source: str | None = None
    module: str | None = None

    def shown(self) -> str:
        """Return the URI as it may be printed: without what says where the PIN is."""
        parts = [f"{name}={value}" for name, value in self.token.items()]
        parts += [f"object={self.label}"] if self.label is not None else []
        parts += [f"id={self.identifier.hex()}"] if self.identifier is not None else []
        return SCHEME + ";".join(parts)


def parse_token_uri(text: str) -> TokenUri:
    """Read a `pkcs11:` URI; raises `KeyFileError` naming the attribute at fault."""
    path, query = _split(text)
    fields, queries = _attributes(path, ";"), _attributes(query, "&")
    if "pin-value" in queries:
        raise KeyFileError(
            "pkcs11: the URI holds the PIN, which others can read on the command line",
            hint="take it out and give `?pin-source=file:/path`, --passphrase-file, or type it at the prompt",
        )
    for given, known in ((fields, _PATH), (queries, _QUERY)):
        for name in given:
            if name not in known:
                raise KeyFileError(f"pkcs11: the URI's attribute {name[:40]!r} is not read here")
    if fields.get("type", "private") not in {"private", "public"}:
        raise KeyFileError(f"pkcs11: type={fields['type'][:40]}: wanted is a key")
    label, identifier = fields.get("object"), fields.get("id")
    if label is None and identifier is None:
        raise KeyFileError(
            "pkcs11: the URI names no key", hint="pkcs11:token=LABEL;object=KEYLABEL (or ;id=%01)"
        )
    return TokenUri(
        token={name: unquote(fields[name]) for name in _TOKEN if name in fields},
        label=None if label is None else unquote(label),
        identifier=None if identifier is None else unquote_to_bytes(identifier),
        pin_source=_file(queries["pin-source"]) if "pin-source" in queries else None,
        module=unquote(queries["module-path"]) if "module-path" in queries else None,
    )


def _split(text: str) -> tuple[str, str]:
    if not text.startswith(SCHEME) or len(text) > _LONGEST or not text.isprintable():
        raise KeyFileError("pkcs11: no URI of RFC 7512", hint="pkcs11:token=LABEL;object=KEYLABEL")
    path, _, query = text.removeprefix(SCHEME).partition("?")
    return path, query


def _attributes(text: str, separator: str) -> dict[str, str]:
    """Return name → value, still percent-encoded; a name twice is an error (RFC 7512, section 2.3)."""
    found: dict[str, str] = {}
    for part in text.split(separator) if text else []:
        name, equals, value = part.partition("=")
        if not name or not equals or name in found:
            raise KeyFileError(f"pkcs11: the URI's part {name[:40]!r} is not NAME=VALUE, or stands twice")
        found[name] = value
    return found


def _file(value: str) -> str:
    """Return the path in a `pin-source`: a path or a `file:` URI of this machine."""
    source = unquote(value)
    if source.startswith("file://localhost/"):
        source = source.removeprefix("file://localhost")
    elif source.startswith("file:///"):
        source = source.removeprefix("file://")
    source = source.removeprefix("file:")
    if not source.startswith("/"):
        raise KeyFileError(
            "pkcs11: pin-source is no absolute path or file: URI", hint="?pin-source=file:/run/secrets/pin"
        )
    return source
