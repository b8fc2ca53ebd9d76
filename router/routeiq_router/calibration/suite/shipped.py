"""Puts the suite together: every skill at every difficulty, no prompt twice; any start of it is a fair sample."""

import importlib
import pkgutil

from routeiq_router.calibration import suite
from routeiq_router.calibration.draw import Draw
from routeiq_router.calibration.item import DIFFICULTIES, Item
from routeiq_router.calibration.suite.interface import Skill

__all__ = ["NAME", "shipped_suite", "skills"]

NAME = "routeiq-calibration/v1"
_EACH = 9
"""Prompts of a skill at one difficulty."""
_NOT_SKILLS = {"interface", "shipped", "words"}


def skills() -> list[Skill]:
    """Return the skills: one a file beside this one, by name."""
    found = sorted(module.name for module in pkgutil.iter_modules(suite.__path__))
    return [importlib.import_module(f"{suite.__name__}.{name}") for name in found if name not in _NOT_SKILLS]


def shipped_suite(seed: int = 0) -> tuple[Item, ...]:
    """Return the suite; another seed gives other prompts of the same kinds. The first N are a fair sample."""
    rounds: list[list[Item]] = [[] for _ in range(_EACH)]
    for skill in skills():
        for difficulty in DIFFICULTIES:
            draw, seen = Draw(f"{NAME} {seed} {skill.SKILL} {difficulty}"), set[str]()
            while len(seen) < _EACH:
                made = skill.make(draw, difficulty)
                if made.prompt in seen:
                    continue
                name = f"{skill.SKILL.replace(' ', '-')}-{difficulty}-{len(seen)}"
                item = Item(name, made.prompt, made.answer, made.check, skill.SKILL, difficulty)
                rounds[len(seen)].append(item)
                seen.add(made.prompt)
    mixed = Draw(f"{NAME} {seed} order")
    return tuple(item for part in rounds for item in mixed.some(part, len(part)))
