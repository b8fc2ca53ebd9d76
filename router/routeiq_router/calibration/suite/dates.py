"""Days, weekdays and clocks."""

from datetime import date, timedelta

from routeiq_router.calibration.draw import Draw
from routeiq_router.calibration.suite.interface import Made

__all__ = ["SKILL", "make"]

SKILL = "date arithmetic"
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def make(draw: Draw, difficulty: int) -> Made:
    """A weekday in some days; a date in some weeks; days between two dates."""
    start = date(2000, 1, 1) + timedelta(days=draw.below(9000))
    if difficulty == 1:
        day, ahead = draw.below(7), draw.between(2, 20)
        text = (
            f"Today is {_WEEKDAYS[day]}. Which day of the week is it in {ahead} days? Answer with one word."
        )
        return Made(text, _WEEKDAYS[(day + ahead) % 7], "exact")
    if difficulty == 2:
        ahead = draw.between(10, 60)
        text = f"Which date is {ahead} days after {start}? Answer as YYYY-MM-DD only."
        return Made(text, str(start + timedelta(days=ahead)), "exact")
    end = start + timedelta(days=draw.between(100, 1200))
    text = f"How many days are there from {start} to {end}, not counting the first day? Answer with the number only."
    return Made(text, (end - start).days, "number")
