"""Decides whether a thing may be used so under its licence: `licences.toml` and facts in, an answer out. Pure.

Four uses, because licences ask for different things: `linked` runs inside our process, `program` is a Debian package
that an image carries beside it (mere aggregation), `weights` are a model's, `tool` never leaves the build host but in
the inputs. What metadata says is taken first, an override by a person (with its reason) before it. Nothing is allowed
by default: an id that no list names, an expression that cannot be read and no licence at all are all refused.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from pydantic import Field

from routeiq_vendor.documents import Document
from routeiq_vendor.errors import LockError
from routeiq_vendor.versions import compare

__all__ = [
    "Fact",
    "Judged",
    "LicencePolicy",
    "Override",
    "Use",
    "is_expression",
    "judge",
    "normalised",
    "stale_overrides",
]


class Use(StrEnum):
    """How a thing is used, the strictest first."""

    LINKED = "linked"
    WEIGHTS = "weights"
    PROGRAM = "program"
    TOOL = "tool"


@dataclass(frozen=True)
class Fact:
    """What is known of one thing: `kind` is `pypi`, `deb`, `npm` or `model`; `source` where `licence` is said.

    `licence` is an SPDX expression, or None with `fault` saying why there is none. `family` is the name that overrides
    may use for it besides its own: the source package of a Debian one.
    """

    kind: str
    name: str
    version: str
    use: Use
    licence: str | None
    source: str
    fault: str = ""
    family: str = ""


@dataclass(frozen=True)
class Judged:
    """A fact with its answer: `fault` is empty when it may be used, `reason` why a person decided what is decided."""

    kind: str
    name: str
    version: str
    use: str
    licence: str
    source: str
    reason: str
    fault: str


class Override(Document):
    """A person's word for one package: what metadata cannot tell (`licence`), or why an id is fine here (`accept`)."""

    kind: str = Field(pattern="^(pypi|deb|npm|model)$")
    name: str
    versions: str
    reason: str = Field(min_length=10)
    licence: str | None = None
    accept: list[str] = Field(default_factory=list)


class Reasons(Document):
    """Why each use may have the licences that its list adds."""

    linked: str
    weights: str
    program: str
    tool: str


class Allowed(Document):
    """SPDX ids per use; `program`, `tool` and `weights` have those of `linked` too."""

    linked: list[str]
    weights: list[str]
    program: list[str]
    tool: list[str]


class LicencePolicy(Document):
    """`licences.toml`.

    `spellings` maps what authors write in the old free-text field, `classifiers` those trove classifiers that mean one
    licence, `debian` the short names of Debian's copyright files (lower case).
    """

    allow: Allowed
    reasons: Reasons
    classifiers: dict[str, str]
    spellings: dict[str, str]
    debian: dict[str, str]
    override: list[Override] = Field(default_factory=list)

    def allowed(self, use: Use) -> frozenset[str]:
        """Return the ids that a use may have."""
        return frozenset(self.allow.linked) | frozenset(getattr(self.allow, use.value))


@cache
def _licensing() -> Any:
    # Only the build host has it.
    from license_expression import get_spdx_licensing  # type: ignore[import-untyped]  # noqa: PLC0415

    return get_spdx_licensing()


def _parse(expression: str) -> Any:
    """Return the expression's tree; raises `LockError` for what is none, or has an id that SPDX does not know."""
    from boolean.boolean import ParseError  # type: ignore[import-untyped]  # noqa: PLC0415
    from license_expression import ExpressionError  # noqa: PLC0415

    licensing = _licensing()
    try:
        tree = licensing.parse(expression)
    except (ExpressionError, ParseError, TypeError) as error:
        raise LockError(f"{expression[:80]}: no SPDX expression: {error}") from error
    if tree is None:
        raise LockError("an empty licence")
    for key in licensing.license_keys(tree):
        if not key.startswith("LicenseRef-") and key not in licensing.known_symbols:
            raise LockError(f"{key}: no SPDX id")
    return tree


def is_expression(text: str) -> bool:
    """Tell whether `text` is an SPDX expression of known ids."""
    try:
        _parse(text)
    except LockError:
        return False
    return True


def normalised(expression: str) -> str:
    """Return an expression in one spelling, without repetition; raises `LockError` when it is none."""
    return str(_licensing().dedup(_parse(expression)))


def judge(facts: Iterable[Fact], policy: LicencePolicy) -> list[Judged]:
    """Return the answer for every fact, sorted; the caller decides what a fault stops."""
    judged = [_one(fact, policy) for fact in facts]
    return sorted(judged, key=lambda item: (item.kind, item.name, item.version, item.use))


def stale_overrides(facts: Iterable[Fact], policy: LicencePolicy) -> list[Override]:
    """Return the overrides that fit none of `facts`: they would go unnoticed until they fit something else."""
    known = list(facts)
    return [item for item in policy.override if not any(_fits(item, fact) for fact in known)]


def _fits(override: Override, fact: Fact) -> bool:
    return (
        override.kind == fact.kind
        and override.name in {fact.name, fact.family}
        and _within(override.versions, fact.kind, fact.version)
    )


def _one(fact: Fact, policy: LicencePolicy) -> Judged:
    licence, source, reasons, accepted = fact.licence, fact.source, [], set(policy.allowed(fact.use))
    for override in policy.override:
        if not _fits(override, fact):
            continue
        reasons.append(override.reason)
        accepted |= set(override.accept)
        if override.licence is not None:
            licence, source = override.licence, "override"
    fault = fact.fault or "no licence is known"
    shown = ""
    if licence is not None:
        try:
            shown, fault = normalised(licence), _refusal(licence, accepted)
        except LockError as error:
            fault = str(error)
    if not fault and not reasons and _refusal(shown, set(policy.allow.linked)):
        reasons.append(getattr(policy.reasons, fact.use.value))
    return Judged(
        fact.kind, fact.name, fact.version, fact.use.value, shown, source, "; ".join(reasons), fault
    )


def _refusal(expression: str, allowed: set[str]) -> str:
    """Return why an expression is not covered by `allowed`, the empty string when it is."""
    licensing = _licensing()

    def missing(tree: Any) -> list[str]:
        if isinstance(tree, licensing.AND):
            return [name for part in tree.args for name in missing(part)]
        if isinstance(tree, licensing.OR):
            choices = [missing(part) for part in tree.args]
            return [] if any(not choice for choice in choices) else choices[0]
        return [] if str(tree) in allowed else [str(tree)]

    names = sorted(set(missing(_parse(expression))))
    return f"{', '.join(names)}: not allowed for this use" if names else ""


_OPERATORS: Mapping[str, frozenset[int]] = {
    ">=": frozenset({0, 1}),
    "<=": frozenset({-1, 0}),
    "==": frozenset({0}),
    ">": frozenset({1}),
    "<": frozenset({-1}),
}


def _within(versions: str, kind: str, version: str) -> bool:
    """Tell whether `version` meets every clause of `versions` (`>=1.0, <2`); `*` is every version."""
    if versions.strip() == "*":
        return True
    order = kind if kind != "model" else "pypi"
    for clause in versions.split(","):
        text = clause.strip()
        operator = next((one for one in _OPERATORS if text.startswith(one)), None)
        if operator is None:
            raise LockError(f"licences.toml: {versions[:60]!r} is no range of versions")
        if compare(order, version, text.removeprefix(operator).strip()) not in _OPERATORS[operator]:
            return False
    return True
