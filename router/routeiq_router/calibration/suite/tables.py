"""Looking up and adding in a table."""

from routeiq_router.calibration.draw import Draw
from routeiq_router.calibration.suite.interface import Made
from routeiq_router.calibration.suite.words import NAMES

__all__ = ["SKILL", "make"]

SKILL = "table look-up"
_COLUMNS = ("March", "April", "May", "June")


def make(draw: Draw, difficulty: int) -> Made:
    """One cell; the largest of a column; a difference of two sums."""
    people = draw.some(NAMES, 3 + difficulty)
    rows = [draw.some(range(10, 99), 4) for _ in people]
    table = [f"| name | {' | '.join(_COLUMNS)} |", "|---|---|---|---|---|"]
    table += [f"| {name} | {' | '.join(map(str, row))} |" for name, row in zip(people, rows, strict=True)]
    row, column = draw.below(len(people)), draw.below(4)
    if difficulty == 1:
        question = f"What did {people[row]} sell in {_COLUMNS[column]}? Answer with the number only."
        return Made("\n".join([*table, "", question]), rows[row][column], "number")
    if difficulty == 2:
        # A column may hold a number twice: the names then decide nothing.
        values = [one[column] for one in rows]
        best = [name for name, value in zip(people, values, strict=True) if value == max(values)]
        question = f"Who sold most in {_COLUMNS[column]}? Answer with the name only."
        return Made("\n".join([*table, "", question]), best, "exact")
    total = sum(one[column] for one in rows)
    question = (
        f"By how much is the sum of the column {_COLUMNS[column]} larger than the sum of {people[row]}'s row? "
        "Answer with the number only; it is negative if the column's sum is smaller."
    )
    return Made("\n".join([*table, "", question]), total - sum(rows[row]), "number")
