"""What a skill's file has: `SKILL`, its name, and `make`, which computes one prompt and its answer."""

from dataclasses import dataclass
from typing import Any, Protocol

from routeiq_router.calibration.draw import Draw

__all__ = ["LETTERS", "Made", "Skill", "lettered"]

LETTERS = "ABCDEFGH"


@dataclass(frozen=True, slots=True)
class Made:
    """A prompt, its answer, and the kind of check (`checks.CHECKS`)."""

    prompt: str
    answer: Any
    check: str


class Skill(Protocol):
    """A module of this package."""

    SKILL: str

    def make(self, draw: Draw, difficulty: int) -> Made:
        """Return a prompt of this difficulty, 1 to 3; the same draw gives the same."""


def lettered(draw: Draw, question: str, right: str, wrong: list[str]) -> Made:
    """Return a multiple-choice prompt with the options in drawn order."""
    options = draw.some([right, *wrong], len(wrong) + 1)
    lines = [f"{LETTERS[place]}) {option}" for place, option in enumerate(options)]
    text = "\n".join([question, *lines, "Answer with the letter only."])
    return Made(text, LETTERS[options.index(right)], "choice")
