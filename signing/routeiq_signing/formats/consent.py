"""What becomes of a file whose format is not allowed: it stays refused unless two parties, not the same, want it.

The signer marks its digest unsafe with a reason in the signed statement of the model; the site allows the same digest
in its configuration (`routeiq.unsafe_artifacts`). One consent is none, and nothing else opens the door: no
environment variable, no file name, no flag of a command that serves.

A file under a name that an allowed format suits is never let in this way: what reads `*.safetensors` trusts that
it is one. And a consent is only that the file may lie in the model: nothing in this product unpickles, imports or
runs it. It is for a plugin of the site's own.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from routeiq_signing.errors import DocumentError, FormatError
from routeiq_signing.formats.check import check_format, suits_a_format
from routeiq_signing.formats.content import Content

__all__ = ["UNSAFE", "Judgement", "check_digest", "check_marks", "judge_files"]

UNSAFE = "unsafe"
"""Stands for a format in `Judgement.formats` where two consents let a file in."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_REASON = 500


@dataclass(frozen=True, slots=True)
class Judgement:
    """`formats`: path → format, or `UNSAFE`; `unsafe`: path → the signer's reason, for those let in by two consents."""

    formats: Mapping[str, str]
    unsafe: Mapping[str, str]


def check_digest(text: str) -> str:
    """Return `text` if it is a digest as both consents spell it; raises `DocumentError` otherwise."""
    if not _DIGEST.match(text):
        raise DocumentError(f"{text[:80]!r} is no digest: `sha256:` and 64 lower-case hex digits are")
    return text


def check_marks(marks: Mapping[str, str]) -> Mapping[str, str]:
    """Return `marks`, digest → reason, if every digest is one and has a reason; raises `DocumentError` otherwise."""
    for digest, reason in marks.items():
        check_digest(digest)
        if not 0 < len(reason.strip()) <= _REASON or not reason.isprintable():
            raise DocumentError(f"{digest}: its reason is empty, too long or not printable", subject=digest)
    return marks


def judge_files(
    files: Mapping[str, Content],
    digests: Mapping[str, str],
    *,
    marked: Mapping[str, str],
    allowed: Collection[str],
) -> Judgement:
    """Return the format of each of `files` (path → content); `digests` are hex SHA-256 of the same by path.

    `marked` is what the signer said (digest → reason), `allowed` the digests that the site allows. Raises
    `FormatError` for the first file that is of no allowed format and has not both consents, saying which is missing.
    """
    formats: dict[str, str] = {}
    unsafe: dict[str, str] = {}
    for path, data in files.items():
        try:
            formats[path] = check_format(data, path)
        except FormatError as error:
            digest = f"sha256:{digests[path]}"
            missing = _missing(path, marked=digest in marked, allowed=digest in allowed)
            if missing is not None:
                raise FormatError(f"{error}{missing}", subject=error.subject, hint=error.hint) from None
            formats[path], unsafe[path] = UNSAFE, marked[digest]
    return Judgement(formats, unsafe)


def _missing(path: str, *, marked: bool, allowed: bool) -> str | None:
    """Return what a refusal says about consents, empty where there is none, or None where both are given."""
    if not (marked or allowed):
        return ""
    if suits_a_format(path):
        return "; under this name no consent lets it in"
    if marked and allowed:
        return None
    if marked:
        return (
            "; its signer marked it unsafe, but the site's routeiq.unsafe_artifacts does not allow its digest"
        )
    return "; the site allows its digest, but no signer marked it unsafe"
