"""Doing as told, in the form that is told."""

from routeiq_router.calibration.draw import Draw
from routeiq_router.calibration.suite.interface import Made
from routeiq_router.calibration.suite.words import WORDS

__all__ = ["SKILL", "make"]

SKILL = "instruction following"


def make(draw: Draw, difficulty: int) -> Made:
    """Repeat in capitals; choose and join; a rule with an exception."""
    if difficulty == 1:
        word = draw.pick(WORDS)
        text = f"Write the word '{word}' three times, separated by hyphens, and nothing else."
        return Made(text, "-".join([word] * 3), "exact")
    chosen = draw.some(WORDS, 6)
    if difficulty == 2:
        first, last = draw.some(range(1, 7), 2)
        listed = ", ".join(chosen)
        text = f"From the list {listed}: write word number {first}, a slash, word number {last}, and nothing else."
        return Made(text, f"{chosen[first - 1]}/{chosen[last - 1]}", "exact")
    letter = draw.pick("aeinrt")
    kept = [word for word in chosen if letter not in word]
    text = (
        f"From the list {', '.join(chosen)}: leave out every word that contains the letter '{letter}', and write "
        "the others in reverse order, separated by semicolons. If none is left, write 'none'. Write nothing else."
    )
    return Made(text, kept[::-1] or ["none"], "list")
