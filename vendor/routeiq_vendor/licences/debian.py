"""Reads Debian's machine-readable copyright files (DEP-5) into SPDX expressions.

A copyright file speaks of a whole source package, so the expression is the conjunction of every licence that any file
of it has: more than a binary holds, never less. Debian's short names are not SPDX's; the mapping is data
(`licences.toml`). A file that is not machine-readable gives nothing here: a person reads it and says so in an override.
Pure. Source: debian.org/doc/packaging-manuals/copyright-format/1.0.
"""

import re
import warnings
from collections.abc import Mapping

__all__ = ["copyright_names", "to_spdx"]

_MACHINE = re.compile(r"\s*Format(-Specification)?:[^\n]*(\n[ \t][^\n]*)*", re.IGNORECASE)
_FORMAT = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/"
_OR = re.compile(r",?\s+or\s+", re.IGNORECASE)
_AND = re.compile(r",?\s+and\s+|,\s+", re.IGNORECASE)


def copyright_names(text: str) -> list[str] | None:
    """Return the licence short names of all files, sorted; None when the file is not machine-readable."""
    from debian.copyright import (  # noqa: PLC0415  only the build host has it
        Copyright,
        MachineReadableFormatError,
        NotMachineReadableError,
    )

    if not _MACHINE.match(text):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # missing stanzas: still readable
            plain = _MACHINE.sub(_FORMAT, text, count=1)  # the library complains of older spellings of it
            paragraphs = list(Copyright(plain.splitlines(keepends=True), strict=False).all_files_paragraphs())
    except (MachineReadableFormatError, NotMachineReadableError, ValueError):
        return None
    names = {" ".join(item.license.synopsis.split()) for item in paragraphs if item.license is not None}
    return sorted(names) or None


def to_spdx(name: str, known: Mapping[str, str]) -> str | None:
    """Return the SPDX expression of one short name or of names joined by `and`, `or`; None when one is not `known`.

    `known` maps names in lower case. `and` binds closer than `or`, as DEP-5 has it.
    """
    if (whole := known.get(name.lower())) is not None:
        return whole
    for split, word in ((_OR, " OR "), (_AND, " AND ")):
        parts = split.split(name)
        if len(parts) > 1:
            found = [to_spdx(part.strip(), known) for part in parts]
            if any(one is None for one in found):
                return None
            return "(" + word.join(str(one) for one in found) + ")"
    return None
