"""Letters of words: reversing, joining, replacing."""

from routeiq_router.calibration.draw import Draw
from routeiq_router.calibration.suite.interface import Made
from routeiq_router.calibration.suite.words import WORDS

__all__ = ["SKILL", "make"]

SKILL = "string manipulation"


def make(draw: Draw, difficulty: int) -> Made:
    """First letters; a word backwards; every second letter of two words."""
    if difficulty == 1:
        chosen = draw.some(WORDS, 4)
        text = (
            f"Write the first letters of these words one after the other, as one word: {', '.join(chosen)}."
        )
        answer = "".join(word[0] for word in chosen)
    elif difficulty == 2:
        word = draw.pick(WORDS)
        text, answer = f"Write the word '{word}' backwards.", word[::-1]
    else:
        one, two = draw.some(WORDS, 2)
        text = (
            f"Join '{one}' and '{two}' without a space and keep every second letter, starting with the first."
        )
        answer = (one + two)[::2]
    return Made(f"{text} Answer with the letters only.", answer, "exact")
