"""What the database knows of keys and all that they belong to, as frozen data; and when a budget's period begins.

Pure: the stores beside read and write these, `pipeline.authenticate` and `api.management` decide with them.

A record's `allowance` is what its own row says; `effective` is that together with the named budget that it refers to
(`budget_id`): what the row leaves open, the budget says. An amount of money, its period and the period's anchor come
from one of the two: the row, when it has an amount.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Literal

__all__ = [
    "UNLIMITED",
    "Allowance",
    "BudgetRecord",
    "Holder",
    "KeyRecord",
    "MemberKind",
    "MemberRecord",
    "OrganizationRecord",
    "TeamRecord",
    "UserRecord",
    "allowance_columns",
    "anchored",
    "duration_seconds",
    "merged",
    "period_end",
    "period_of",
]

_DURATION = re.compile(r"([1-9][0-9]{0,9})(s|m|h|d|w|mo)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "mo": 30 * 86400}
_WORDS = {"hourly": "1h", "daily": "1d", "weekly": "7d", "monthly": "30d"}
_LONGEST = 100 * 365 * 86400


@dataclass(frozen=True, slots=True)
class Allowance:
    """The limits that all have alike; None is no limit."""

    rpm_limit: int | None = None
    tpm_limit: int | None = None
    max_parallel_requests: int | None = None
    max_budget: int | None = None
    """Pico-dollars that may be spent in a period."""
    budget_duration: str | None = None
    """As the admin wrote it: `30d`; None is one budget for ever."""
    budget_anchor: datetime | None = None
    """Periods are counted from here."""
    blocked: bool = False


UNLIMITED = Allowance()

MemberKind = Literal["team", "organization"]


def merged(own: Allowance, budget: Allowance | None) -> Allowance:
    """Return what holds of a row that refers to a named budget; None: to none."""
    if budget is None:
        return own
    # An amount without a period is for ever, so the two are one wish; a period alone takes no amount away.
    money = own if own.max_budget is not None or budget.max_budget is None else budget
    return Allowance(
        own.rpm_limit if own.rpm_limit is not None else budget.rpm_limit,
        own.tpm_limit if own.tpm_limit is not None else budget.tpm_limit,
        own.max_parallel_requests if own.max_parallel_requests is not None else budget.max_parallel_requests,
        money.max_budget,
        money.budget_duration,
        money.budget_anchor,
        own.blocked,
    )


@dataclass(frozen=True, slots=True)
class BudgetRecord:
    """One named budget; never blocked."""

    id: str
    created_at: datetime
    updated_at: datetime
    allowance: Allowance = UNLIMITED


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """One generated key. `models` empty means every group."""

    id: str
    hint: str
    """`sk-...wxyz`: enough for an owner to know the key again."""
    alias: str | None
    models: tuple[str, ...]
    metadata: dict[str, Any]
    created_at: datetime
    expires_at: datetime | None
    team_id: str | None = None
    user_id: str | None = None
    model_limits: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Group → `rpm`, `tpm`, `budget` (pico-dollars), as far as they are set."""
    fail_closed: bool = False
    allowance: Allowance = UNLIMITED
    organization_id: str | None = None
    """Its own; its team's comes first."""
    role: str | None = None
    """`pipeline.roles`; None: its user's."""
    key_type: str | None = None
    created_by: str | None = None
    """The id of the key that made it."""
    updated_at: datetime | None = None
    budget_id: str | None = None
    budget: Allowance | None = None
    """What the named budget says; None also when it was never made."""

    @property
    def effective(self) -> Allowance:
        """Return what holds."""
        return merged(self.allowance, self.budget)


@dataclass(frozen=True, slots=True)
class TeamRecord:
    """One team. `models` empty means every group."""

    id: str
    alias: str | None
    models: tuple[str, ...]
    metadata: dict[str, Any]
    created_at: datetime
    allowance: Allowance = UNLIMITED
    organization_id: str | None = None
    budget_id: str | None = None
    budget: Allowance | None = None

    @property
    def effective(self) -> Allowance:
        """Return what holds."""
        return merged(self.allowance, self.budget)


@dataclass(frozen=True, slots=True)
class UserRecord:
    """One user. `models` empty means every group; they restrict the user's keys that have no team."""

    id: str
    alias: str | None
    metadata: dict[str, Any]
    created_at: datetime
    allowance: Allowance = UNLIMITED
    models: tuple[str, ...] = ()
    role: str | None = None
    """LiteLLM's `user_role`; see `pipeline.roles`."""
    email: str | None = None
    budget_id: str | None = None
    budget: Allowance | None = None

    @property
    def effective(self) -> Allowance:
        """Return what holds."""
        return merged(self.allowance, self.budget)


@dataclass(frozen=True, slots=True)
class OrganizationRecord:
    """One organization. `models` empty means every group."""

    id: str
    alias: str | None
    models: tuple[str, ...]
    metadata: dict[str, Any]
    created_at: datetime
    allowance: Allowance = UNLIMITED
    budget_id: str | None = None
    budget: Allowance | None = None

    @property
    def effective(self) -> Allowance:
        """Return what holds."""
        return merged(self.allowance, self.budget)


@dataclass(frozen=True, slots=True)
class MemberRecord:
    """A user in a team or an organization. The allowance is what the member's keys of that team may use together."""

    kind: MemberKind
    owner_id: str
    user_id: str
    role: str
    created_at: datetime
    allowance: Allowance = UNLIMITED


@dataclass(frozen=True, slots=True)
class Holder:
    """A key with all that it belongs to, as far as these have been made."""

    key: KeyRecord
    team: TeamRecord | None = None
    user: UserRecord | None = None
    organization: OrganizationRecord | None = None
    """The team's, else the key's."""
    member: MemberRecord | None = None
    """The key's user in the key's team."""

    @property
    def organization_id(self) -> str | None:
        """Return the id of the organization that counts, made or not."""
        if self.team is not None and self.team.organization_id is not None:
            return self.team.organization_id
        return self.key.organization_id

    def concerns(self, kind: str, identity: str) -> bool:
        """Whether a change of that key, team, user, organization or budget is one of what is known here."""
        if kind == "budget":
            named = (self.key, self.team, self.user, self.organization)
            return any(record is not None and record.budget_id == identity for record in named)
        return identity == {
            "key": self.key.id,
            "team": self.key.team_id,
            "user": self.key.user_id,
            "organization": self.organization_id,
        }.get(kind)


def duration_seconds(text: str) -> int | None:
    """Return the seconds of LiteLLM's form of a duration (`30s 30m 30h 30d 4w 1mo`, `daily` …), else None.

    A month is 30 days. LiteLLM lets a budget's period end on a calendar's boundary; here it has the length written.
    """
    match = _DURATION.fullmatch(_WORDS.get(text, text))
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
    return seconds if 0 < seconds <= _LONGEST else None


def period_of(allowance: Allowance, now: float) -> int:
    """Return when the budget's period that holds the instant `now` began; both in Unix seconds.

    0 without a duration. An instant before the anchor lies in a period before it.
    """
    seconds = _length(allowance)
    if seconds is None or allowance.budget_anchor is None:
        return 0
    anchor = int(allowance.budget_anchor.timestamp() // 1)
    return anchor + int((now - anchor) // seconds) * seconds


def period_end(allowance: Allowance, now: float) -> int | None:
    """Return when the period that holds `now` ends, Unix seconds; None when it never does."""
    seconds = _length(allowance)
    if seconds is None or allowance.budget_anchor is None:
        return None
    return period_of(allowance, now) + seconds


def anchored(changes: Mapping[str, Any], before: Allowance, now: datetime) -> dict[str, Any]:
    """Return changes of columns with the anchor that they imply.

    Another duration starts a period now, with nothing spent; the same one written again changes nothing.
    """
    if "budget_duration" not in changes or changes["budget_duration"] == before.budget_duration:
        return dict(changes)
    anchor = now.replace(microsecond=0) if changes["budget_duration"] is not None else None
    return {**changes, "budget_anchor": anchor}


def allowance_columns(allowance: Allowance) -> dict[str, Any]:
    """Return the columns of an allowance."""
    return {column.name: getattr(allowance, column.name) for column in fields(allowance)}


def _length(allowance: Allowance) -> int | None:
    return None if allowance.budget_duration is None else duration_seconds(allowance.budget_duration)
