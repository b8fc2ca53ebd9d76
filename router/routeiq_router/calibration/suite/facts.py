"""Common facts, from a list of the project's own; the wrong options are other entries of the same kind."""

from routeiq_router.calibration.draw import Draw
from routeiq_router.calibration.suite.interface import Made, lettered

__all__ = ["FACTS", "SKILL", "make"]

SKILL = "common facts"
FACTS: tuple[tuple[int, str, tuple[tuple[str, str], ...]], ...] = (
    (
        1,
        "What is the capital of {}?",
        (
            ("France", "Paris"),
            ("Japan", "Tokyo"),
            ("Egypt", "Cairo"),
            ("Italy", "Rome"),
            ("Spain", "Madrid"),
            ("Greece", "Athens"),
            ("Russia", "Moscow"),
            ("Portugal", "Lisbon"),
            ("Poland", "Warsaw"),
            ("Ireland", "Dublin"),
        ),
    ),
    (
        1,
        "Which of these is the young of a {}?",
        (
            ("cow", "calf"),
            ("sheep", "lamb"),
            ("dog", "puppy"),
            ("cat", "kitten"),
            ("horse", "foal"),
            ("goose", "gosling"),
        ),
    ),
    (
        2,
        "What is the chemical symbol of {}?",
        (
            ("gold", "Au"),
            ("iron", "Fe"),
            ("sodium", "Na"),
            ("silver", "Ag"),
            ("lead", "Pb"),
            ("potassium", "K"),
            ("tin", "Sn"),
            ("copper", "Cu"),
            ("mercury", "Hg"),
            ("tungsten", "W"),
        ),
    ),
    (
        2,
        "What is the capital of {}?",
        (
            ("Australia", "Canberra"),
            ("Canada", "Ottawa"),
            ("Turkey", "Ankara"),
            ("Brazil", "Brasília"),
            ("Nigeria", "Abuja"),
            ("Kazakhstan", "Astana"),
            ("New Zealand", "Wellington"),
            ("Morocco", "Rabat"),
            ("Vietnam", "Hanoi"),
        ),
    ),
    (
        3,
        "Who wrote '{}'?",
        (
            ("Crime and Punishment", "Fyodor Dostoevsky"),
            ("War and Peace", "Leo Tolstoy"),
            ("The Cherry Orchard", "Anton Chekhov"),
            ("Dead Souls", "Nikolai Gogol"),
            ("Fathers and Sons", "Ivan Turgenev"),
            ("Eugene Onegin", "Alexander Pushkin"),
            ("The Master and Margarita", "Mikhail Bulgakov"),
        ),
    ),
    (
        3,
        "In which year did this happen: {}?",
        (
            ("the fall of the Bastille", "1789"),
            ("the first landing of people on the Moon", "1969"),
            ("the end of the First World War", "1918"),
            ("the fall of the Berlin Wall", "1989"),
            ("Columbus's first voyage to America", "1492"),
            ("the Battle of Hastings", "1066"),
            ("the Battle of Waterloo", "1815"),
        ),
    ),
    (
        3,
        "Which element has the atomic number {}?",
        (
            ("6", "carbon"),
            ("7", "nitrogen"),
            ("14", "silicon"),
            ("15", "phosphorus"),
            ("16", "sulphur"),
            ("17", "chlorine"),
            ("20", "calcium"),
            ("12", "magnesium"),
        ),
    ),
)
"""Difficulty, question, and pairs of what goes into it and what is right."""


def make(draw: Draw, difficulty: int) -> Made:
    """Four options."""
    _, question, pairs = draw.pick([kind for kind in FACTS if kind[0] == difficulty])
    about, right = draw.pick(pairs)
    others = draw.some([answer for _, answer in pairs if answer != right], 3)
    return lettered(draw, question.format(about), right, others)
