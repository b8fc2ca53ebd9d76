"""Reads documents of rules, and finds every mistake in them: line, name, fault. Pure.

The schema is `schema`. Here is what belongs together: an action and what it needs, patterns and time zones that
compile, and models, deployments and tags that exist (`Known`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, get_args

from pydantic import ValidationError

from routeiq_appliance.config.document import Document, Path, dotted, parse_document
from routeiq_appliance.config.mistakes import ConfigMistakesError, Mistake, explain, nearest
from routeiq_appliance.errors import ConfigError
from routeiq_appliance.limits import DEFAULT_LIMITS, Limits
from routeiq_appliance.pipeline.types import Deployment, Kind
from routeiq_appliance.policy.criteria import model_matcher
from routeiq_appliance.policy.patterns import compile_pattern
from routeiq_appliance.policy.schema import Criteria, Rule, RulesFile
from routeiq_appliance.policy.table import CaseEntry, CasesFile
from routeiq_appliance.policy.windows import zone_of

__all__ = ["Known", "known_of", "parse_cases", "parse_rules", "rule_mistakes", "rule_notes"]

_Schema = TypeVar("_Schema", RulesFile, CasesFile)

_FOR = {
    "message": ("deny",),
    "model": ("rewrite", "force"),
    "map": ("rewrite",),
    "tag": ("force",),
    "deployment": ("force",),
}
_KINDS = frozenset(get_args(Kind))
_HINT = "docs/policy.md describes rules"
_TARGETS = {"rewrite": ("model", "map"), "force": ("model", "tag", "deployment")}


@dataclass(frozen=True, slots=True)
class Known:
    """What there is to name: groups and their other names, deployments and their groups, tags of deployments."""

    groups: frozenset[str] = frozenset()
    aliases: Mapping[str, str] = field(default_factory=dict)
    deployments: Mapping[str, str] = field(default_factory=dict)
    tags: frozenset[str] = frozenset()


def known_of(groups: Mapping[str, Sequence[Deployment]], aliases: Mapping[str, str]) -> Known:
    """Return what rules may name."""
    members = [member for found in groups.values() for member in found]
    return Known(
        groups=frozenset(groups),
        aliases=aliases,
        deployments={member.id: member.group for member in members},
        tags=frozenset(tag for member in members for tag in member.tags),
    )


def parse_rules(
    text: str, *, name: str, known: Known | None = None, limits: Limits = DEFAULT_LIMITS
) -> RulesFile:
    """Return the checked document; raises `ConfigError`, with a line per mistake. `known` None: targets may be any."""
    document, parsed = _parsed(text, RulesFile, name, "rules", limits)
    mistakes = [
        Mistake(document.line(path), dotted(path), what)
        for path, what in ((("rules", *path), what) for path, what in rule_mistakes(parsed.rules, known))
    ]
    if mistakes:
        raise ConfigMistakesError(name, mistakes, hint=_HINT)
    return parsed


def parse_cases(
    text: str, rules: Sequence[Rule], *, name: str, limits: Limits = DEFAULT_LIMITS
) -> list[CaseEntry]:
    """Return the cases of a table for `rules`; raises `ConfigError`, with a line per mistake."""
    document, parsed = _parsed(text, CasesFile, name, "cases", limits)
    asks_time = any(c is not None and c.time is not None for rule in rules for c in (rule.when, rule.unless))
    names = {rule.name for rule in rules}
    mistakes = []
    for number, case in enumerate(parsed.cases):
        if asks_time and case.time is None:
            path: Path = ("cases", number, "time")
            mistakes.append(
                Mistake(document.line(path), dotted(path), "is missing, and rules ask for the time")
            )
        if case.expect.rule is not None and case.expect.rule not in names:
            path = ("cases", number, "expect", "rule")
            what = f"no rule `{case.expect.rule}`" + nearest(case.expect.rule, names)
            mistakes.append(Mistake(document.line(path), dotted(path), what))
    if mistakes:
        raise ConfigMistakesError(name, mistakes, hint=_HINT)
    return parsed.cases


def _parsed(
    text: str, schema: type[_Schema], name: str, holds: str, limits: Limits
) -> tuple[Document, _Schema]:
    document = parse_document(text, name=name, limits=limits, holds=holds)
    try:
        return document, schema.model_validate(document.values)
    except ValidationError as error:
        found = [explain(item, document, schema) for item in error.errors(include_url=False)]
        raise ConfigMistakesError(name, found, hint=_HINT) from None


def rule_mistakes(rules: Sequence[Rule], known: Known | None) -> Iterator[tuple[Path, str]]:
    """Yield where (from the list of rules on) and what."""
    seen: set[str] = set()
    for number, rule in enumerate(rules):
        if rule.name in seen:
            yield (number, "name"), f"`{rule.name}` is given to two rules"
        seen.add(rule.name)
        for path, what in (
            *_action(rule),
            *_criteria(rule.when, "when"),
            *(_criteria(rule.unless, "unless") if rule.unless is not None else ()),
            *(_named(rule, known) if known is not None else ()),
        ):
            yield (number, *path), what


def rule_notes(rules: Sequence[Rule], known: Known) -> Iterator[str]:
    """Yield what is seldom meant: an allowed or denied model that there is none of."""
    models = known.groups | known.aliases.keys() | {"auto"}
    for rule in rules:
        for criteria in (rule.when, rule.unless):
            for name in (criteria.models if criteria is not None else None) or ():
                if rule.then in {"allow", "deny"} and not any(map(model_matcher([name]), models)):
                    yield f"{rule.name}: there is no model `{name}`" + nearest(name, models)


def _action(rule: Rule) -> Iterator[tuple[Path, str]]:
    for name, actions in _FOR.items():
        if getattr(rule, name) is not None and rule.then not in actions:
            yield (name,), f"is for `then: {'` and `'.join(actions)}`"
    if rule.beyond_key and rule.then not in _TARGETS:
        yield ("beyond_key",), "is for `then: rewrite` and `force`"
    targets = _TARGETS.get(rule.then)
    if targets is not None and sum(getattr(rule, name) is not None for name in targets) != 1:
        yield ("then",), f"`{rule.then}` needs one of: {', '.join(targets)}"


def _criteria(criteria: Criteria, where: str) -> Iterator[tuple[Path, str]]:
    for number, pattern in enumerate(criteria.text or ()):
        try:
            compile_pattern(pattern)
        except ConfigError as error:
            yield (where, "text", number), str(error)
    for number, window in enumerate(criteria.time or ()):
        try:
            zone_of(window.timezone)
        except ConfigError as error:
            yield (where, "time", number, "timezone"), str(error)
    for number, kind in enumerate(criteria.kinds or ()):
        if kind not in _KINDS:
            yield (where, "kinds", number), f"no kind of call is `{kind}`" + nearest(kind, _KINDS)
    if criteria.text_of != "everybody" and criteria.text is None:
        yield (where, "text_of"), "says whose messages `text` reads, and there is none"
    size = criteria.size
    for what in ("bytes", "messages", "tokens") if size is not None else ():
        low, high = getattr(size, f"min_{what}"), getattr(size, f"max_{what}")
        if low is not None and high is not None and low > high:
            yield (where, "size", f"min_{what}"), f"is above max_{what}"
    if where == "unless" and not criteria.model_fields_set:
        yield (where,), "is empty: the rule would never act"


def _named(rule: Rule, known: Known) -> Iterator[tuple[Path, str]]:
    models = known.groups | known.aliases.keys() | {"auto"}
    if rule.model is not None and rule.model not in models:
        yield ("model",), f"no group `{rule.model}` in model_list" + nearest(rule.model, models)
    for asked, to in (rule.map or {}).items():
        if to not in models:
            yield ("map", asked), f"no group `{to}` in model_list" + nearest(to, models)
    if rule.deployment is not None and rule.deployment not in known.deployments:
        yield (
            ("deployment",),
            f"no deployment `{rule.deployment}`" + nearest(rule.deployment, known.deployments),
        )
    if rule.tag is not None and rule.tag not in known.tags:
        yield ("tag",), f"no deployment has the tag `{rule.tag}`" + nearest(rule.tag, known.tags)
