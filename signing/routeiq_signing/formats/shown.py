"""Text from a hostile file or name, made fit for one line of a terminal or a log."""

__all__ = ["shown"]

_MOST = 600


def shown(text: str, most: int = _MOST) -> str:
    """Return `text` with what no terminal should get as escapes (`\\n`, `\\x1b`), cut after `most` characters.

    Escaped are control characters, line separators, marks of direction and halves of surrogate pairs, which file
    names have where they are no UTF-8. What is printable stays, so showing what was shown changes nothing.
    """
    cut = text if len(text) <= most else text[: most - 1] + "…"
    return "".join(character if character.isprintable() else _escape(character) for character in cut)


def _escape(character: str) -> str:
    code = ord(character)
    short = {9: "\\t", 10: "\\n", 13: "\\r"}.get(code)
    return short or (
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    )
