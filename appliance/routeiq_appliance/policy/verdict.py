"""The plain data of the policy: what is known of a call, and what the rules say of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from routeiq_appliance.errors import ApplianceError

__all__ = ["Action", "Facts", "Unreadable", "Verdict"]

Action = Literal["allow", "deny", "rewrite", "force"]

_NOBODY: frozenset[str] = frozenset()


class Unreadable(ApplianceError):  # noqa: N818 - a state of the call, told as the reason of a refusal
    """A criterion cannot be judged of this call; the message says why, and is shown to callers."""


@dataclass(slots=True)  # not frozen: made per call, and that would cost a microsecond
class Facts:
    """One call as rules see it. Names are ids and aliases; sizes are from above where they are estimates."""

    keys: frozenset[str] = _NOBODY
    teams: frozenset[str] = _NOBODY
    users: frozenset[str] = _NOBODY
    organizations: frozenset[str] = _NOBODY
    roles: frozenset[str] = _NOBODY
    tags: frozenset[str] = _NOBODY
    bytes: int = 0
    messages: int = 0
    tokens: int = 0
    stream: bool = False
    dialect: str = "openai"
    kind: str = "chat"
    text: str = ""
    """Everything that the caller wrote; filled only where rules read it."""
    user_text: str = ""
    """The part of it with the role `user`."""
    unreadable: str = ""
    """Why `text` is not the whole text; empty when it is."""


@dataclass(slots=True)  # not frozen: made per call, and that would cost a microsecond
class Verdict:
    """What the rules say of a call for one model. `rule` is the one that took the action; None: the default did."""

    action: Action
    rule: str | None
    rules_evaluated: int
    model: str
    """What is asked for after the rules: the model asked for, unless a rule changed it."""
    explanation: str
    """Names of rules and models, never text of the caller's."""
    message: str | None = None
    """`deny`: what the rule tells the caller."""
    tag: str | None = None
    deployment: str | None = None
    beyond_key: bool = False
    failed: bool = False
    """A rule could not be judged; it denies."""
    defaulted: bool = False
    """No rule allowed, denied or forced: the default decided."""
    would: tuple[tuple[str, str], ...] = ()
    """Rules in dry run that match, and what they would do."""

    def as_json(self) -> Mapping[str, Any]:
        """Return it as plain values."""
        found: dict[str, Any] = {
            "action": self.action,
            "rule": self.rule,
            "rules_evaluated": self.rules_evaluated,
            "model": self.model,
            "explanation": self.explanation,
        }
        for name in ("message", "tag", "deployment"):
            value = getattr(self, name)
            if value is not None:
                found[name] = value
        if self.would:
            found["would"] = [{"rule": rule, "action": action} for rule, action in self.would]
        return found
