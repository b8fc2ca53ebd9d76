"""What a short Python program prints."""

from routeiq_router.calibration.draw import Draw
from routeiq_router.calibration.suite.interface import Made

__all__ = ["SKILL", "make"]

SKILL = "code output"


def make(draw: Draw, difficulty: int) -> Made:
    """A loop; a filter with a slice; a recursion with state."""
    a, b, c = draw.between(2, 9), draw.between(3, 9), draw.between(2, 5)
    if difficulty == 1:
        code = f"total = {a}\nfor i in range({b}):\n    total += i\nprint(total)"
        value = a + b * (b - 1) // 2
    elif difficulty == 2:
        numbers = draw.some(range(1, 60), 8)
        code = f"numbers = {numbers}\nprint(sum(n for n in numbers[{c - 1}:] if n % {c} == 0))"
        value = sum(number for number in numbers[c - 1 :] if number % c == 0)
    else:
        code = (
            f"def f(n):\n    if n < 2:\n        return n + {a}\n    return f(n - 1) + {c} * f(n - 2)\n"
            f"x = [f(i) for i in range({b})]\nprint(x[-1] - x[1])"
        )
        values = [a, 1 + a]
        while len(values) < b:
            values.append(values[-1] + c * values[-2])
        value = values[b - 1] - values[1]
    return Made(
        f"What does this Python program print? Answer with the output only.\n\n{code}", value, "number"
    )
