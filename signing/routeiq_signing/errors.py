"""The errors of every component of RouteIQ share one base, so that a command can show any of them.

A message says what happened, to what, and what to do next; lower case, the file first. What a terminal would obey is
escaped in it: names and contents of a stranger's files get into messages.

    RouteIQError
    └── SigningError
        ├── KeyFileError         a key file or passphrase
        │   └── TokenError       a key in a PKCS#11 token, its PIN or its module
        ├── DocumentError        JSON or a manifest that breaks its rules
        ├── FormatError          a model file that is not on the allowlist
        ├── TrustStateError      the site's record of what it trusts is missing, damaged or not writable
        └── VerificationError    a check of a signed thing said no
"""

from __future__ import annotations

__all__ = [
    "DocumentError",
    "FormatError",
    "KeyFileError",
    "RouteIQError",
    "SigningError",
    "TokenError",
    "TrustStateError",
    "VerificationError",
]


class RouteIQError(Exception):
    """Base of every error that a user may see; each package has one subclass of its own.

    `hint` is what to do next, shown on a line of its own; `subject` names the file, member or digest at fault.
    """

    def __init__(self, message: str, *, subject: str | None = None, hint: str | None = None) -> None:
        super().__init__(_harmless(message))
        self.subject = None if subject is None else _harmless(subject)
        self.hint = None if hint is None else _harmless(hint)


def _harmless(text: str) -> str:
    """Return `text` with escapes for what is not printable; an end of line stays, some messages have several."""
    return "".join(
        character if character.isprintable() or character == "\n" else ascii(character)[1:-1]
        for character in text
    )


class SigningError(RouteIQError):
    """Base of this package's errors."""


class KeyFileError(SigningError):
    """A key file cannot be read, written or opened with this passphrase."""


class TokenError(KeyFileError):
    """A token, its PIN, its module or the key in it is not to be had."""


class DocumentError(SigningError):
    """A document is not the strict JSON, or not the manifest, that it must be."""


class FormatError(SigningError):
    """A file of a model is of no allowed format."""


class TrustStateError(SigningError):
    """What a site remembers of its trust cannot be read or written; nothing is verified on a guess."""


class VerificationError(SigningError):
    """A signed thing was refused; `step` is the number of the check that refused it."""

    def __init__(
        self, message: str, *, step: int = 0, subject: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, subject=subject, hint=hint)
        self.step = step
