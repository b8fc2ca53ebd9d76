"""How bad an advisory says it is: a word of its database, or the base score of a CVSS v3 vector. Pure.

Unknown is not low: who asks for a threshold gets what has no known severity too. CVSS v4 vectors are not computed (its
scores come from a table of 270 groups); such a record has the word of its database or none.
Source: first.org/cvss/v3.1/specification-document, section 7.1.
"""

import math
from collections.abc import Iterable
from enum import IntEnum

__all__ = ["Severity", "base_score", "from_score", "from_word", "worst"]


class Severity(IntEnum):
    """In ascending order, but for `UNKNOWN`, which counts as the worst: nobody said that it is less."""

    NEGLIGIBLE = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4
    UNKNOWN = 5


_WORDS = {
    "unimportant": Severity.NEGLIGIBLE,  # Debian's urgencies, then the words of the others
    "negligible": Severity.NEGLIGIBLE,
    "low": Severity.LOW,
    "medium": Severity.MEDIUM,
    "moderate": Severity.MEDIUM,
    "high": Severity.HIGH,
    "critical": Severity.CRITICAL,
}
_METRICS = {
    "AV": {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2},
    "AC": {"L": 0.77, "H": 0.44},
    "UI": {"N": 0.85, "R": 0.62},
    "C": {"H": 0.56, "L": 0.22, "N": 0.0},
    "I": {"H": 0.56, "L": 0.22, "N": 0.0},
    "A": {"H": 0.56, "L": 0.22, "N": 0.0},
}
_PRIVILEGES = {"U": {"N": 0.85, "L": 0.62, "H": 0.27}, "C": {"N": 0.85, "L": 0.68, "H": 0.5}}


def from_word(word: str) -> Severity:
    """Return what a database's word means."""
    return _WORDS.get(word.strip().lower(), Severity.UNKNOWN)


def from_score(score: float) -> Severity:
    """Return the qualitative rating of a CVSS v3 score (section 5)."""
    bounds = (
        (9.0, Severity.CRITICAL),
        (7.0, Severity.HIGH),
        (4.0, Severity.MEDIUM),
        (0.1, Severity.LOW),
    )
    return next((rating for least, rating in bounds if score >= least), Severity.NEGLIGIBLE)


def worst(known: Iterable[Severity]) -> Severity:
    """Return the worst of what is known, `UNKNOWN` when nothing is."""
    ranked = [one for one in known if one is not Severity.UNKNOWN]
    return max(ranked, default=Severity.UNKNOWN)


def base_score(vector: str) -> float | None:
    """Return the base score of a CVSS v3.0 or v3.1 vector, None for anything else."""
    head, *parts = vector.split("/")
    if head not in {"CVSS:3.0", "CVSS:3.1"}:
        return None
    said = dict(part.split(":", 1) for part in parts if ":" in part)
    try:
        scope = said["S"]
        value = {name: values[said[name]] for name, values in _METRICS.items()}
        privileges = _PRIVILEGES[scope][said["PR"]]
    except KeyError:
        return None
    impact = 1 - (1 - value["C"]) * (1 - value["I"]) * (1 - value["A"])
    changed = scope == "C"
    weighted = 7.52 * (impact - 0.029) - 3.25 * (impact - 0.02) ** 15 if changed else 6.42 * impact
    if weighted <= 0:
        return 0.0
    exploitability = 8.22 * value["AV"] * value["AC"] * privileges * value["UI"]
    return _round_up(min((1.08 if changed else 1.0) * (weighted + exploitability), 10.0))


def _round_up(score: float) -> float:
    """Round up to one decimal as appendix A has it, in integers."""
    scaled = round(score * 100_000)
    return scaled / 100_000 if scaled % 10_000 == 0 else (math.floor(scaled / 10_000) + 1) / 10
