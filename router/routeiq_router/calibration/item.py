"""One prompt of a calibration suite, with the answer that a program can check."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["DIFFICULTIES", "Item", "suite_digest"]

DIFFICULTIES = (1, 2, 3)
"""Of the shipped suite, easy to hard. A site's own may go to 10."""


@dataclass(frozen=True, slots=True)
class Item:
    """What is asked, and what is right. `answer` is as `check` (a name in `checks.CHECKS`) wants it."""

    id: str
    prompt: str
    answer: Any
    check: str
    skill: str
    difficulty: int


def suite_digest(items: Sequence[Item]) -> str:
    """Return `sha256:<hex>` of the items in their order; another word in a prompt gives another digest."""
    rows = [[one.id, one.prompt, one.answer, one.check, one.skill, one.difficulty] for one in items]
    text = json.dumps(rows, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
