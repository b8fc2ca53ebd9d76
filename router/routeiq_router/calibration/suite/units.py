"""Conversion between units, exact by definition."""

from routeiq_router.calibration.draw import Draw
from routeiq_router.calibration.suite.interface import Made

__all__ = ["SKILL", "make"]

SKILL = "unit conversion"
_EASY = (("metres", "centimetres", 100), ("hours", "minutes", 60), ("kilograms", "grams", 1000),
         ("minutes", "seconds", 60), ("kilometres", "metres", 1000), ("days", "hours", 24))  # fmt: skip
_HARD = (("square metres", "square centimetres", 10_000), ("hours", "seconds", 3600), ("weeks", "hours", 168),
         ("cubic metres", "litres", 1000), ("square kilometres", "hectares", 100))  # fmt: skip


def make(draw: Draw, difficulty: int) -> Made:
    """One factor; the way back; two steps of a speed or an area."""
    count = draw.between(2, 30)
    if difficulty == 1:
        large, small, factor = draw.pick(_EASY)
        text, value = f"How many {small} are {count} {large}?", count * factor
    elif difficulty == 2:
        large, small, factor = draw.pick(_HARD)
        if draw.below(2):
            text, value = f"How many {large} are {count * factor} {small}?", count
        else:
            text, value = f"How many {small} are {count} {large}?", count * factor
    else:
        text = (
            f"A vehicle moves at {count * 18} kilometres per hour. "
            f"How many metres does it travel in {count + 7} seconds?"
        )
        value = count * 5 * (count + 7)
    return Made(f"{text} Answer with the number only.", value, "number")
