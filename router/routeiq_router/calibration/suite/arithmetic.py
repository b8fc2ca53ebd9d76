"""Sums, products and brackets."""

from routeiq_router.calibration.draw import Draw
from routeiq_router.calibration.suite.interface import Made

__all__ = ["SKILL", "make"]

SKILL = "arithmetic"


def make(draw: Draw, difficulty: int) -> Made:
    """Two small numbers; a product and a sum; brackets of larger ones."""
    a, b, c, d = (draw.between(2, 12 * 8 ** (difficulty - 1)) for _ in range(4))
    if difficulty == 1:
        text, value = draw.pick([(f"{a} + {b} + {c}", a + b + c), (f"{a} * {b}", a * b)])
    elif difficulty == 2:
        text, value = draw.pick([(f"{a} * {b} + {c}", a * b + c), (f"{a + b + c} - {b} + {d}", a + c + d)])
    else:
        text, value = draw.pick([
            (f"({a} + {b}) * {c} - {d}", (a + b) * c - d),
            (f"{a} * {b} - {c} * {d}", a * b - c * d),
        ])  # fmt: skip
    return Made(f"What is {text}? Answer with the number only.", value, "number")
