"""A table of cases for a document of rules: who asks for what, and what is to become of it. Pure.

A case is judged as a call would be, whatever mode the document is in; only `auto`'s candidates are not gone through.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from routeiq_appliance.config.values import Strict, Whole
from routeiq_appliance.policy.rules import RuleSet
from routeiq_appliance.policy.verdict import Facts, Verdict

__all__ = ["CaseEntry", "CasesFile", "Outcome", "run_cases"]

_ANY_TIME = datetime(2026, 1, 1, tzinfo=UTC)
_BYTES_PER_TOKEN = 3


def _instant(value: Any) -> Any:
    # YAML makes an instant of what looks like one, if it is not quoted.
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError("must be a time, for example 2026-11-23T09:30:00+01:00") from None
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError("needs its distance from UTC: 2026-11-23T09:30:00+01:00, or a `Z`")
    return value


_Instant = Annotated[
    datetime, BeforeValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})
]


class Who(Strict):
    """Who calls; each name is an id or an alias."""

    key: str | None = None
    team: str | None = None
    user: str | None = None
    organization: str | None = None
    role: str | None = None


class CaseSize(Strict):
    """How much a call holds; what is not given follows from the text."""

    bytes: Annotated[Whole | None, Field(ge=0)] = None
    messages: Annotated[Whole, Field(ge=0)] = 1
    tokens: Annotated[Whole | None, Field(ge=0)] = None


class Expected(Strict):
    """What is to become of the call; what is not given may be anything."""

    action: Literal["allow", "deny", "rewrite", "force", "error"]
    rule: str | None = None
    model: str | None = None
    tag: str | None = None
    deployment: str | None = None


class CaseEntry(Strict):
    """One call."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    model: Annotated[str, Field(min_length=1, max_length=256)]
    who: Who = Who()
    tags: list[str] = Field(default=[])
    time: _Instant | None = None
    size: CaseSize = CaseSize()
    text: str = ""
    stream: bool = False
    dialect: str = "openai"
    kind: str = "chat"
    expect: Expected


class CasesFile(Strict):
    """A document of cases."""

    cases: Annotated[list[CaseEntry], Field(min_length=1, max_length=10_000)]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a case; `wrong` names what is not as expected: (what, expected, got)."""

    name: str
    verdict: Verdict
    wrong: tuple[tuple[str, str, str], ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether everything is as expected."""
        return not self.wrong

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "name": self.name,
            "passed": self.passed,
            "got": self.verdict.as_json(),
            "wrong": [{"what": what, "expected": wanted, "got": got} for what, wanted, got in self.wrong],
        }


def run_cases(rules: RuleSet, cases: Iterable[CaseEntry]) -> list[Outcome]:
    """Judge each case."""
    found = []
    for case in cases:
        verdict = rules.case(_facts(case), case.time or _ANY_TIME).judge(case.model)
        found.append(Outcome(case.name, verdict, tuple(_wrong(case.expect, verdict))))
    return found


def _wrong(expected: Expected, verdict: Verdict) -> Iterator[tuple[str, str, str]]:
    got: dict[str, str | None] = {"action": "error" if verdict.failed else verdict.action}
    got |= {name: getattr(verdict, name) for name in ("rule", "model", "tag", "deployment")}
    for name, value in got.items():
        wanted = getattr(expected, name)
        if wanted is not None and wanted != value:
            yield name, wanted, value or "none"


def _facts(case: CaseEntry) -> Facts:
    size = len(case.text.encode("utf-8", "replace")) if case.size.bytes is None else case.size.bytes
    return Facts(
        keys=_names(case.who.key),
        teams=_names(case.who.team),
        users=_names(case.who.user),
        organizations=_names(case.who.organization),
        roles=_names(case.who.role),
        tags=frozenset(case.tags),
        bytes=size,
        messages=case.size.messages,
        tokens=size // _BYTES_PER_TOKEN if case.size.tokens is None else case.size.tokens,
        stream=case.stream,
        dialect=case.dialect,
        kind=case.kind,
        text=case.text,
        user_text=case.text,
    )


def _names(name: str | None) -> frozenset[str]:
    return frozenset() if name is None else frozenset({name})
