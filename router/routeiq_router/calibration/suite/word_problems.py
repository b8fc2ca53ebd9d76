"""Sums in words."""

from routeiq_router.calibration.draw import Draw
from routeiq_router.calibration.suite.interface import Made
from routeiq_router.calibration.suite.words import NAMES

__all__ = ["SKILL", "make"]

SKILL = "word problems"


def make(draw: Draw, difficulty: int) -> Made:
    """One step; three; rates that work together or a share that is passed on."""
    name, other = draw.some(NAMES, 2)
    a, b, c = draw.between(3, 12), draw.between(4, 15), draw.between(2, 9)
    if difficulty == 1:
        text = (
            f"{name} has {a + b} marbles and gives {a} of them to {other}. How many marbles has {name} left?"
        )
        value = b
    elif difficulty == 2:
        text = (
            f"{name} buys {a} notebooks at {b} crowns each and {c} pens at {c + 1} crowns each, and pays with a note "
            f"of {a * b + c * (c + 1) + 7} crowns. How many crowns does {name} get back after a discount of {a} crowns?"
        )
        value = 7 + a
    else:
        text = (
            f"A tank holds {a * b * 10} litres. One pump fills it in {a} hours, another, alone, in {b} hours. Both "
            f"run for one hour, then {c} litres leak out. How many litres are in the tank, which was empty before?"
        )
        value = b * 10 + a * 10 - c
    return Made(f"{text} Answer with the number only.", value, "number")
