"""Facts of a text as JSON."""

from routeiq_router.calibration.draw import Draw
from routeiq_router.calibration.suite.interface import Made
from routeiq_router.calibration.suite.words import NAMES, WORDS

__all__ = ["SKILL", "make"]

SKILL = "json extraction"
_CITIES = ("Oslo", "Lima", "Cairo", "Hanoi", "Porto", "Quito", "Tunis", "Turin")


def make(draw: Draw, difficulty: int) -> Made:
    """Two fields; four with a number; a list of objects, one of them cancelled."""
    name, city, age = draw.pick(NAMES), draw.pick(_CITIES), draw.between(19, 80)
    if difficulty == 1:
        text = f"{name} moved to {city} last year."
        want: object = {"name": name, "city": city}
        keys = '"name" and "city"'
    elif difficulty == 2:
        item, count = draw.pick(WORDS), draw.between(2, 90)
        text = f"Order from {city}: {name}, who is {age}, wants {count} boxes of the article '{item}'."
        want = {"name": name, "city": city, "article": item, "boxes": count}
        keys = '"name", "city", "article" and "boxes" (a number)'
    else:
        articles, people = draw.some(WORDS, 4), draw.some(NAMES, 4)
        counts, gone = [draw.between(2, 99) for _ in articles], draw.below(4)
        told = [f"{p} ordered {n} of '{a}'." for p, a, n in zip(people, articles, counts, strict=True)]
        text = " ".join(told) + f" Later {people[gone]} cancelled the order."
        want = [
            {"article": a, "count": n}
            for i, (a, n) in enumerate(zip(articles, counts, strict=True))
            if i != gone
        ]
        return Made(
            f"{text}\nList the orders that still stand, in this order, as a JSON array of objects with the keys "
            '"article" and "count" (a number). Answer with the JSON only.', want, "json",
        )  # fmt: skip
    return Made(
        f"{text}\nGive this as a JSON object with the keys {keys}. Answer with the JSON only.", want, "json"
    )
