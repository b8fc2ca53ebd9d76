"""The next number of a sequence."""

from routeiq_router.calibration.draw import Draw
from routeiq_router.calibration.suite.interface import Made

__all__ = ["SKILL", "make"]

SKILL = "sequences"


def make(draw: Draw, difficulty: int) -> Made:
    """Steps that are equal; steps that grow; a rule with two parts."""
    a, b, c = draw.between(1, 20), draw.between(2, 12), draw.between(2, 4)
    values = [a]
    for place in range(6):
        if difficulty == 1:
            values.append(values[-1] + b)
        elif difficulty == 2:
            values.append(values[-1] + b + c * place)
        else:
            values.append(values[-1] * c if place % 2 else values[-1] + b)
    shown = ", ".join(map(str, values[:6]))
    return Made(f"Which number comes next? {shown}, … Answer with the number only.", values[6], "number")
