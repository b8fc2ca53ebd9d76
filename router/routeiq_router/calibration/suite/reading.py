"""Questions about a short text that was made up."""

from routeiq_router.calibration.draw import Draw
from routeiq_router.calibration.suite.interface import Made
from routeiq_router.calibration.suite.words import NAMES

__all__ = ["SKILL", "make"]

SKILL = "reading comprehension"
_TRADES = ("baker", "carpenter", "gardener", "nurse", "painter", "pilot", "tailor", "teacher")
_PETS = ("cat", "dog", "goat", "parrot", "rabbit", "tortoise")
_TOWNS = ("Arvid", "Belmora", "Corund", "Delvik", "Estrand", "Falmoor")


def make(draw: Draw, difficulty: int) -> Made:
    """One sentence has it; two must be joined; three, and something has changed."""
    people, trades = draw.some(NAMES, 4), draw.some(_TRADES, 4)
    pets, towns = draw.some(_PETS, 4), draw.some(_TOWNS, 4)
    told = [
        f"{name} works as a {trade} in {town} and keeps a {pet}."
        for name, trade, pet, town in zip(people, trades, pets, towns, strict=True)
    ]
    story = " ".join(told)
    one, two = draw.some(range(4), 2)
    if difficulty == 1:
        return Made(
            f"{story}\nWhat animal does {people[one]} keep? Answer with one word.", pets[one], "exact"
        )
    if difficulty == 2:
        return Made(
            f"{story}\nIn which town does the owner of the {pets[one]} work? Answer with one word.",
            towns[one],
            "exact",
        )
    story += (
        f" In spring {people[one]} and {people[two]} exchanged their animals. "
        f"In summer {people[two]} moved to the town of {people[one]}."
    )
    text = f"{story}\nWhich animal does the {trades[one]} keep now, and in which town does the {trades[two]} live now?"
    return Made(f"{text} Answer with the two words, separated by a comma.", [pets[two], towns[one]], "list")
