"""How many: letters, words, numbers of a kind."""

from routeiq_router.calibration.draw import Draw
from routeiq_router.calibration.suite.interface import Made
from routeiq_router.calibration.suite.words import WORDS

__all__ = ["SKILL", "make"]

SKILL = "counting"


def make(draw: Draw, difficulty: int) -> Made:
    """Members of a list; a letter in some words; numbers with two properties."""
    if difficulty == 1:
        chosen = draw.some(WORDS, draw.between(4, 11))
        text, value = f"How many words are in this list? {', '.join(chosen)}.", len(chosen)
    elif difficulty == 2:
        chosen = draw.some(WORDS, 3)
        letter = draw.pick("aelnrt")
        text = f"How often does the letter '{letter}' occur in '{' '.join(chosen)}'?"
        value = "".join(chosen).count(letter)
    else:
        numbers, least = draw.some(range(1, 200), 14), draw.between(40, 120)
        text = f"How many of these numbers are odd and greater than {least}? {', '.join(map(str, numbers))}."
        value = sum(number % 2 == 1 and number > least for number in numbers)
    return Made(f"{text} Answer with the number only.", value, "number")
