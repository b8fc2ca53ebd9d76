"""The Lua scripts beside this module: read once for each state, called by digest."""

import hashlib
from importlib.resources import files

__all__ = ["NAMES", "Script", "read_scripts"]

NAMES = ("admit", "beat", "keep", "owe", "raise", "restore", "settle")


class Script:
    """A script's `text` and the `sha` that Redis knows it by."""

    __slots__ = ("sha", "text")

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.sha = hashlib.sha1(text, usedforsecurity=False).hexdigest()


def read_scripts() -> dict[str, Script]:
    """Read all scripts, by name."""
    folder = files(__package__)
    return {name: Script((folder / f"{name}.lua").read_bytes()) for name in NAMES}
