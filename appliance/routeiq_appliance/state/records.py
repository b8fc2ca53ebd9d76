"""What the database knows of keys, teams and users, as frozen data; and when a budget's period begins.

Pure: the stores beside read and write these, `pipeline.authenticate` and `api.management` decide with them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

__all__ = [
    "UNLIMITED",
    "Allowance",
    "Holder",
    "KeyRecord",
    "TeamRecord",
    "UserRecord",
    "allowance_columns",
    "anchored",
    "duration_seconds",
    "period_end",
    "period_of",
    "read_allowance",
]

_DURATION = re.compile(r"([1-9][0-9]{0,9})(s|m|h|d|w|mo)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "mo": 30 * 86400}
_WORDS = {"hourly": "1h", "daily": "1d", "weekly": "7d", "monthly": "30d"}
_LONGEST = 100 * 365 * 86400


@dataclass(frozen=True, slots=True)
class Allowance:
    """The limits that keys, teams and users have alike; None is no limit."""

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


@dataclass(frozen=True, slots=True)
class TeamRecord:
    """One team. `models` empty means every group."""

    id: str
    alias: str | None
    models: tuple[str, ...]
    metadata: dict[str, Any]
    created_at: datetime
    allowance: Allowance = UNLIMITED


@dataclass(frozen=True, slots=True)
class UserRecord:
    """One user."""

    id: str
    alias: str | None
    metadata: dict[str, Any]
    created_at: datetime
    allowance: Allowance = UNLIMITED


@dataclass(frozen=True, slots=True)
class Holder:
    """A key with the team and the user that it names, as far as these have been made."""

    key: KeyRecord
    team: TeamRecord | None = None
    user: UserRecord | None = None


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


def read_allowance(row: Mapping[Any, Any], prefix: str) -> Allowance:
    """Return the allowance in a row whose columns are labelled with their table's name and `_`."""
    return Allowance(
        row[f"{prefix}rpm_limit"],
        row[f"{prefix}tpm_limit"],
        row[f"{prefix}max_parallel_requests"],
        row[f"{prefix}max_budget"],
        row[f"{prefix}budget_duration"],
        row[f"{prefix}budget_anchor"],
        bool(row[f"{prefix}blocked"]),
    )


def allowance_columns(allowance: Allowance) -> dict[str, Any]:
    """Return the columns of an allowance."""
    return {column.name: getattr(allowance, column.name) for column in fields(allowance)}


def _length(allowance: Allowance) -> int | None:
    return None if allowance.budget_duration is None else duration_seconds(allowance.budget_duration)
