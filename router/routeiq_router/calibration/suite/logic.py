"""What follows from what is said."""

from itertools import pairwise

from routeiq_router.calibration.draw import Draw
from routeiq_router.calibration.suite.interface import Made
from routeiq_router.calibration.suite.words import NAMES

__all__ = ["SKILL", "make"]

SKILL = "logic"
_KINDS = ("blickets", "daxes", "feps", "gorps", "lurks", "mips", "nabs", "toves", "wugs", "zibs")


def make(draw: Draw, difficulty: int) -> Made:
    """A chain of "all are"; an order of persons; who tells the truth."""
    if difficulty == 1:
        kinds = draw.some(_KINDS, 4)
        facts = [f"All {one} are {two}." for one, two in pairwise(kinds)]
        first, last = draw.pick(
            [(kinds[0], kinds[3]), (kinds[0], kinds[2]), (kinds[3], kinds[0]), (kinds[2], kinds[0])]
        )
        answer = "yes" if kinds.index(first) < kinds.index(last) else "no"
        told = " ".join(draw.some(facts, len(facts)))
        return Made(
            f"{told} Does it follow that all {first} are {last}? Answer yes or no only.", answer, "exact"
        )
    if difficulty == 2:
        people = draw.some(NAMES, 5)
        facts = [f"{one} is taller than {two}." for one, two in pairwise(people)]
        place = draw.below(5)
        rank = ("tallest", "second tallest", "third tallest", "fourth tallest", "shortest")[place]
        told = " ".join(draw.some(facts, len(facts)))
        return Made(
            f"{told} Who is the {rank} of the five? Answer with the name only.", people[place], "exact"
        )
    return _truth(draw)


def _truth(draw: Draw) -> Made:
    people = draw.some(NAMES, 4)
    honest = [bool(draw.below(2)) for _ in people]
    lines = []
    for place in range(1, 4):
        # Each speaks of the one before; the first one's nature is given.
        says = honest[place - 1] if honest[place] else not honest[place - 1]
        lines.append(
            f"{people[place]} says: '{people[place - 1]} {'always tells the truth' if says else 'always lies'}.'"
        )
    given = f"{people[0]} {'always tells the truth' if honest[0] else 'always lies'}."
    text = (
        "Each of four people either always tells the truth or always lies. "
        f"{given} {' '.join(lines)} Does {people[3]} tell the truth? Answer yes or no only."
    )
    return Made(text, "yes" if honest[3] else "no", "exact")
