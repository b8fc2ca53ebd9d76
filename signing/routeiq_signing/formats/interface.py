"""What a format is: a name, the file names it may have, and a check of the whole content."""

from collections.abc import Callable
from dataclasses import dataclass

from routeiq_signing.formats.content import Content

__all__ = ["Format"]


@dataclass(frozen=True)
class Format:
    """`suits` looks at the lower-case file name, `check(data, name)` at the content from its first byte to its last.

    `check` raises `FormatError` saying what is wrong; it parses with standard library code and executes nothing.
    """

    name: str
    suits: Callable[[str], bool]
    check: Callable[[Content, str], None]
