"""Putting numbers and words in order."""

from routeiq_router.calibration.draw import Draw
from routeiq_router.calibration.suite.interface import Made
from routeiq_router.calibration.suite.words import WORDS

__all__ = ["SKILL", "make"]

SKILL = "sorting"


def make(draw: Draw, difficulty: int) -> Made:
    """Numbers; words by the alphabet; words by length and then by the alphabet."""
    if difficulty == 1:
        numbers = draw.some(range(1, 100), 5)
        text = f"Sort from smallest to largest: {', '.join(map(str, numbers))}."
        answer = [str(number) for number in sorted(numbers)]
    elif difficulty == 2:
        chosen = draw.some(WORDS, 6)
        text, answer = f"Sort alphabetically: {', '.join(chosen)}.", sorted(chosen)
    else:
        chosen = [word[: draw.between(3, 6)] for word in draw.some(WORDS, 7)]
        chosen = list(dict.fromkeys(chosen))
        text = f"Sort by length, shortest first, and equal lengths in reverse alphabetical order: {', '.join(chosen)}."
        answer = sorted(sorted(chosen, reverse=True), key=len)
    return Made(f"{text} Answer with the sorted list only, separated by commas.", answer, "list")
