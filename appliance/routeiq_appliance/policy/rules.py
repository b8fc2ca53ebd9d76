"""Which rule decides. Pure: rules, facts of a call and the time in, a `Verdict` out.

1. Rules are asked from the first to the last, each at most once for a call and a model.
2. The first `allow`, `deny` or `force` that matches decides.
3. A `rewrite` that matches asks for another model instead, and the rules *after* it are asked about that one; so no
   two rules can send a call round in a circle.
4. A rule in dry run that matches is noted, and passed over.
5. When no rule decided, the default does. It denies a call that was only rewritten just as any other.
6. A rule that cannot be judged (a pattern, and text that nobody can read) denies.
7. `auto` is no model: where no rule decides about it, each of its candidates is judged instead.

A model is known by every name that it goes by: the one asked for, and the group that this is another name of.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from routeiq_appliance.policy.criteria import Compiled, compile_criteria
from routeiq_appliance.policy.schema import PolicyMode, Rule
from routeiq_appliance.policy.verdict import Action, Facts, Unreadable, Verdict

__all__ = ["Case", "RuleSet", "compile_rules"]

_AUTO = "auto"
_SHOWN = 128
_MAX_KNOWN = 1_000
# What a criterion can come upon in facts that nobody foresaw: it denies, and never reaches the caller as a 500.
_FAULTS = (Unreadable, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class _Compiled:
    rule: Rule
    when: Compiled
    unless: Compiled | None


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Compiled rules. `reads_text`: whether any of them reads what callers write."""

    rules: tuple[_Compiled, ...]
    default: Literal["allow", "deny"]
    mode: PolicyMode
    aliases: Mapping[str, str]
    deployments: Mapping[str, str]
    reads_text: bool
    version: int | None = None
    known: dict[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)
    """Names of a model → the numbers of the rules that could match it; found once, as long as there is room."""

    def concerned(self, model: str, group: str) -> tuple[int, ...]:
        """Return the numbers of the rules that could match a model by these names."""
        found = self.known.get((model, group))
        if found is None:
            found = tuple(
                number
                for number, each in enumerate(self.rules)
                if each.when.models is None or each.when.models(model) or each.when.models(group)
            )
            # A caller may ask for any name.
            if len(self.known) < _MAX_KNOWN and len(model) <= _SHOWN:
                self.known[model, group] = found
        return found

    def case(self, facts: Facts, now: datetime) -> "Case":
        """Return what judges one call; `now` is aware."""
        return Case(self, facts, now)


def compile_rules(
    rules: Sequence[Rule],
    *,
    default: Literal["allow", "deny"] = "allow",
    mode: PolicyMode = "enforce",
    aliases: Mapping[str, str] | None = None,
    deployments: Mapping[str, str] | None = None,
    version: int | None = None,
) -> RuleSet:
    """Compile; `deployments` name their groups. Raises `ConfigError` for a pattern or a time zone that is none."""
    return RuleSet(
        tuple(
            _Compiled(
                rule,
                compile_criteria(rule.when),
                compile_criteria(rule.unless) if rule.unless is not None else None,
            )
            for rule in rules
        ),
        default,
        mode,
        dict(aliases or {}),
        dict(deployments or {}),
        any(c is not None and c.text is not None for rule in rules for c in (rule.when, rule.unless)),
        version,
    )


class Case:
    """One call before the rules; what does not depend on the model is judged once, when it is first asked for."""

    __slots__ = ("_facts", "_held", "_now", "_rules")

    def __init__(self, rules: RuleSet, facts: Facts, now: datetime) -> None:
        self._rules = rules
        self._facts = facts
        self._now = now
        # By rule: whether `when`, and `unless`, hold apart from the model; a fault is kept as it is.
        self._held: dict[int, bool | str] = {}

    def judge(self, asked: str) -> Verdict:
        """Return the verdict for one model; never raises."""
        rules, aliases = self._rules, self._rules.aliases
        model, group = asked, aliases.get(asked, asked)
        acted: Rule | None = None
        would: tuple[tuple[str, str], ...] = ()
        notes: list[str] = []
        last = -1
        concerned = iter(rules.concerned(model, group))
        while (number := next(concerned, None)) is not None:
            if number <= last:
                continue
            each = rules.rules[number]
            held = self._held.get(2 * number)
            if held is None:
                held = self._held[2 * number] = self._holds(each.when)
            if held is True and each.unless is not None:
                held = self._not_excused(number, each.unless, model, group)
            if held is False:
                continue
            rule = each.rule
            if rule.dry_run:
                would += ((rule.name, rule.then if held is True else "deny"),)
                continue
            if held is not True:
                notes.append(f"`{rule.name}` cannot be judged: {held}")
                return _verdict("deny", rule, number + 1, model, notes, would, failed=True)
            if rule.then == "rewrite":
                to = _rewritten(rule, model, group)
                if to is None:
                    continue
                notes.append(f"`{rule.name}` makes `{to}` of `{model[:_SHOWN]}`")
                model, group, acted, last = to, aliases.get(to, to), rule, number
                concerned = iter(rules.concerned(model, group))
                continue
            if rule.then == "force":
                notes.append(f"`{rule.name}` forces {_target(rule)}")
                to = rule.model or rules.deployments.get(rule.deployment or "") or model
                return _verdict("force", rule, number + 1, to, notes, would, acted)
            notes.append(f"`{rule.name}` {'allows' if rule.then == 'allow' else 'denies'} it")
            if rule.then == "allow" and acted is not None:
                return _verdict("rewrite", acted, number + 1, model, notes, would, acted)
            return _verdict(rule.then, rule, number + 1, model, notes, would)
        return self._by_default(acted, model, notes, would)

    def _by_default(
        self, acted: Rule | None, model: str, notes: list[str], would: tuple[tuple[str, str], ...]
    ) -> Verdict:
        default, count = self._rules.default, len(self._rules.rules)
        if model == _AUTO and default == "deny":
            default = "allow"
            notes.append("no rule decides; candidates are judged each")
        else:
            notes.append(f"no rule decides; the default is to {default}")
        if acted is not None and default == "allow":
            return _verdict("rewrite", acted, count, model, notes, would, acted, defaulted=True)
        return _verdict(default, None, count, model, notes, would, defaulted=True)

    def _not_excused(self, number: int, unless: Compiled, model: str, group: str) -> bool | str:
        """Return whether `unless` does not hold, or why that cannot be told."""
        models = unless.models
        if models is not None and not (models(model) or models(group)):
            return True
        excused = self._held.get(2 * number + 1)
        if excused is None:
            excused = self._held[2 * number + 1] = self._holds(unless)
        return excused if isinstance(excused, str) else not excused

    def _holds(self, criteria: Compiled) -> bool | str:
        facts, now = self._facts, self._now
        try:
            for test in criteria.tests:  # a generator would cost more than most tests
                if not test(facts, now):
                    return False
        except Unreadable as error:
            return str(error)
        except _FAULTS as error:
            return f"its criteria failed with {type(error).__name__}"
        return True


def _rewritten(rule: Rule, model: str, group: str) -> str | None:
    return rule.model if rule.map is None else rule.map.get(model) or rule.map.get(group)


def _target(rule: Rule) -> str:
    if rule.deployment is not None:
        return f"deployment `{rule.deployment}`"
    return f"model `{rule.model}`" if rule.model is not None else f"tag `{rule.tag}`"


def _verdict(
    action: Action,
    rule: Rule | None,
    count: int,
    model: str,
    notes: list[str],
    would: tuple[tuple[str, str], ...],
    rewrote: Rule | None = None,
    *,
    failed: bool = False,
    defaulted: bool = False,
) -> Verdict:
    forced = rule is not None and rule.then == "force"
    # Whoever named the model says whether it may be beyond the key.
    named = rule if forced and rule is not None and rule.tag is None else rewrote
    return Verdict(
        action,
        None if rule is None else rule.name,
        count,
        model,
        "; ".join(notes),
        message=rule.message if rule is not None and rule.then == "deny" and not failed else None,
        tag=rule.tag if forced and rule is not None else None,
        deployment=rule.deployment if forced and rule is not None else None,
        beyond_key=named is not None and named.beyond_key,
        failed=failed,
        defaulted=defaulted,
        would=would,
    )
