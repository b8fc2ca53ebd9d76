"""What the rules mean for one call: which groups and deployments may answer it, and what is recorded and told.

A fallback, or a candidate of `auto`, is judged like a model that was asked for, with the call's own facts: no retry
leads where the rules do not let the call go. A model or deployment that was forced has nothing to fall back to.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeVar

from routeiq_appliance.errors import CallError
from routeiq_appliance.policy.rules import Case, RuleSet
from routeiq_appliance.policy.verdict import Verdict

__all__ = ["Ruling"]

_SHOWN = 128


class _Member(Protocol):
    """A deployment, as far as rules speak of one."""

    @property
    def id(self) -> str: ...

    @property
    def tags(self) -> frozenset[str]: ...


_M = TypeVar("_M", bound=_Member)


class Ruling:
    """One per call. In dry run everything is permitted, and `record` says what would have been."""

    __slots__ = ("_case", "_others", "asked", "enforced", "group", "headers", "seconds", "verdict")

    def __init__(self, rules: RuleSet, case: Case, verdict: Verdict, asked: str, seconds: float) -> None:
        self._case = case
        self._others: dict[str, Verdict] = {}
        self.asked = asked
        """The model that the caller asked for."""
        self.enforced = rules.mode == "enforce"
        self.group = rules.aliases.get(verdict.model, verdict.model)
        self.verdict = verdict
        self.seconds = seconds
        self.headers: tuple[tuple[bytes, bytes], ...] = ()
        if self.enforced and verdict.rule is not None:
            self.headers = ((b"x-routeiq-policy", verdict.rule.encode()),)

    @property
    def action(self) -> str:
        """The action, as metrics and spans name it: `would-deny` in dry run, `error` when a rule cannot be judged."""
        action = "error" if self.verdict.failed else self.verdict.action
        return action if self.enforced or action == "allow" else f"would-{action}"

    @property
    def beyond_key(self) -> bool:
        """Whether the model may be one that the key may not use."""
        return self.enforced and self.verdict.beyond_key

    def refusal(self) -> CallError | None:
        """Return the 403 of a call that is denied."""
        verdict = self.verdict
        if not self.enforced or verdict.action != "deny":
            return None
        if verdict.failed:
            error = _denied(f"the policy refuses the call: {verdict.explanation}", "policy_error")
        else:
            error = _denied(verdict.message or "the policy of this gateway does not allow the call")
        error.headers = self.headers
        return error

    def permits(self, group: str) -> bool:
        """Whether `group` may answer in place of the one asked for: as a candidate of `auto`, or as a fallback."""
        if not self.enforced or group == self.group:
            return True
        verdict = self.verdict
        if verdict.action == "force" and verdict.tag is None:
            return False
        other = self._other(group)
        return other.action != "deny" and other.model == group

    def among(self, candidates: Iterable[str]) -> tuple[str, ...]:
        """Return the candidates of `auto` that are permitted; raises `CallError` 403 when there are none."""
        kept = tuple(group for group in candidates if self.permits(group))
        if not kept:
            raise _denied("the policy of this gateway allows none of the candidates of `auto`")
        return kept

    def binds(self, group: str) -> bool:
        """Whether the rules say which deployments of `group` may answer."""
        return bool(self._bounds(group))

    def within(self, group: str, members: Sequence[_M]) -> tuple[list[_M], tuple[tuple[str, str], ...]]:
        """Return the deployments of `group` that may answer, and the others' ids with the reason.

        Raises `CallError` 403 when none may.
        """
        bounds = self._bounds(group)
        kept = [member for member in members if all(_fits(member, each) for each in bounds)]
        if not kept:
            raise _denied(f"the policy of this gateway allows no deployment of `{group}` for the call")
        names = {member.id for member in kept}
        return kept, tuple((m.id, "the policy") for m in members if m.id not in names)

    def record(self) -> dict[str, Any]:
        """Return what the decision's record says: of what the caller wrote, the model's name alone."""
        verdict = self.verdict
        found: dict[str, Any] = {
            "action": "error" if verdict.failed else verdict.action,
            "rule": verdict.rule,
            "asked": _clean(self.asked),
            "evaluated": verdict.rules_evaluated,
            "reason": _clean(verdict.explanation, 1000),
            "ms": round(self.seconds * 1000, 3),
        }
        if not self.enforced:
            found["mode"] = "dry-run"
        if verdict.model != self.asked:
            found["model"] = _clean(verdict.model)
        for name in ("tag", "deployment"):
            value = getattr(verdict, name)
            if value is not None:
                found[name] = value
        if verdict.would:
            found["would"] = [{"rule": rule, "action": action} for rule, action in verdict.would]
        refused = {group: other.rule for group, other in self._others.items() if not self.permits(group)}
        if refused:
            found["refused"] = [{"group": group, "rule": rule} for group, rule in refused.items()]
        return found

    def _bounds(self, group: str) -> list[Verdict]:
        if not self.enforced:
            return []
        judged = (self.verdict,) if group == self.group else (self.verdict, self._other(group))
        return [each for each in judged if each.tag is not None or each.deployment is not None]

    def _other(self, group: str) -> Verdict:
        verdict = self._others.get(group)
        if verdict is None:
            verdict = self._others[group] = self._case.judge(group)
        return verdict


def _fits(member: _Member, verdict: Verdict) -> bool:
    if verdict.deployment is not None:
        return member.id == verdict.deployment
    return verdict.tag is None or verdict.tag in member.tags


def _clean(text: str, chars: int = _SHOWN) -> str:
    # PostgreSQL takes no NUL in text; a caller may send one in a model's name.
    return text[:chars].replace("\0", "")


def _denied(message: str, code: str = "policy_denied") -> CallError:
    return CallError(403, message, kind="permission_error", code=code, param="model")
