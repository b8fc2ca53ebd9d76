"""What the router looks at in a prompt before any model does: its identity, its ends, its surface.

Pure functions. The truncation rule and the surface features are part of what an artifact was trained on,
so each has a version name that artifacts record and loading compares.
"""

import hashlib
import re
import unicodedata

import numpy as np
from numpy.typing import NDArray

from routeiq_router.limits import DEFAULT_LIMITS, Limits

__all__ = [
    "SURFACE",
    "SURFACE_SIZE",
    "clip_text",
    "foreign_share",
    "is_blank",
    "prompt_digest",
    "prompt_key",
    "surface_features",
]

SURFACE = "surface/v1"
"""Names the list of features below; a change of any of them is a new name."""

_PATTERNS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    # Options of a multiple-choice question, one a line. `[^\S\n]`: white space across lines would take the square
    # of their number.
    (re.compile(r"(?m)^[^\S\n]*(?:\(?[A-Ea-e][).:])\s"), ()),
    (re.compile(r"\b(?:[A-E]\))|\([A-E]\)"), ("A)", "B)", "C)", "D)", "E)")),  # options inline
    (  # program text
        re.compile(r"\bdef |\bclass |\breturn\b|\bimport |[{};]\s*$|```", re.MULTILINE),
        ("def ", "class ", "return", "import ", "{", "}", ";", "```"),
    ),
    (  # a programming task
        re.compile(r">>>|\bassert\b|\bfunction\b|\bPython\b", re.IGNORECASE),
        (">>>", "assert", "function", "python"),
    ),
    (re.compile(r"\\[a-zA-Z]+|\$[^$]+\$"), ("\\", "$")),  # LaTeX
    (re.compile(r"\d"), ()),
    (re.compile(r"[=+*/^<>]"), ()),
    (re.compile(r"\?"), ("?",)),
    (re.compile(r"\n"), ("\n",)),
    (re.compile(r"^(?:who|what|when|where|which|why|how)\b", re.IGNORECASE), ()),
    (re.compile(r"\?\s*$"), ("?",)),
    (re.compile(r"^[a-z]"), ()),  # lower-case start: typed into a search box
)
"""Patterns, and words of which an ASCII text, in lower case or as it is, has one where the pattern matches."""
SURFACE_SIZE = 3 + 2 * len(_PATTERNS)


def prompt_key(prompt: str, digest: str = "") -> str:
    """Return the hex SHA-256 of the prompt as it is, after the `digest` of what it is for: a cache's key."""
    return hashlib.sha256(digest.encode() + prompt.encode("utf-8", "surrogatepass")).hexdigest()


def prompt_digest(prompt: str) -> bytes:
    """Return the SHA-256 of the prompt's normal form (NFKC, case folded, white space collapsed).

    Near-copies of one prompt share it, so a split by this digest keeps them on one side.
    """
    normal = " ".join(unicodedata.normalize("NFKC", prompt).casefold().split())
    return hashlib.sha256(normal.encode("utf-8", "surrogatepass")).digest()


def is_blank(prompt: str) -> bool:
    """Tell whether the prompt has nothing to judge: no letter and no digit."""
    return not any(character.isalnum() for character in prompt)


def foreign_share(prompt: str, limits: Limits = DEFAULT_LIMITS) -> float:
    """Return the share of the prompt's letters that are in no Latin script, 0..1; 0 without letters.

    Greek and mathematical letters count as Latin: formulas are full of them.
    """
    letters = foreign = 0
    text = clip_text(prompt, limits)
    if text.isascii():
        return 0.0
    for character in text:
        if character.isalpha():
            letters += 1
            # Latin ends at U+024F; Latin Extended Additional, letter-like and mathematical symbols.
            point = ord(character)
            foreign += not (
                point < 0x0400
                or 0x1E00 <= point < 0x2200
                or 0xFB00 <= point < 0xFB07
                or 0x1D400 <= point < 0x1D800
            )
    return foreign / letters if letters else 0.0


def clip_text(prompt: str, limits: Limits = DEFAULT_LIMITS) -> str:
    """Return the prompt's head and tail, without what the tokenizer cannot take (lone surrogates, NUL)."""
    head, tail = limits.prompt_chars_head, limits.prompt_chars_tail
    if len(prompt) > head + tail:
        prompt = f"{prompt[:head]} {prompt[-tail:]}"
    return prompt.encode("utf-8", "ignore").decode("utf-8").replace("\0", " ")


def surface_features(prompt: str, limits: Limits = DEFAULT_LIMITS) -> NDArray[np.float32]:
    """Return `SURFACE_SIZE` numbers of order one: lengths (log), and per pattern presence and density."""
    text = clip_text(prompt, limits)
    words = text.count(" ") + 1
    hits = _hits(text)
    # One call for all logarithms: a call each was half of the time.
    logs = np.log1p(np.asarray([len(prompt), words, *hits], dtype=np.float64))
    values = np.empty(SURFACE_SIZE, dtype=np.float32)
    values[:2] = logs[:2] / 10
    values[2] = min(len(text) / words, 20) / 20
    values[3::2] = [count > 0 for count in hits]
    values[4::2] = logs[2:] / 5
    return values


def _hits(text: str) -> list[int]:
    if not text.isascii():
        # Other letters match without regard to case as well: the long s, the Turkish i.
        return [len(pattern.findall(text)) for pattern, _ in _PATTERNS]
    # Looking for a word is a hundred times as fast as a pattern that begins with a choice.
    texts = (text, text.lower())
    return [
        len(pattern.findall(text)) if not words or any(word in t for word in words for t in texts) else 0
        for pattern, words in _PATTERNS
    ]
