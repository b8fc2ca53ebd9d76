"""What the management API answers: the shapes, and their JSON, in which money is an exact number."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, Field, WithJsonSchema
from starlette.responses import Response

from routeiq_appliance.money import dollars
from routeiq_appliance.state.records import Allowance, KeyRecord, TeamRecord, UserRecord, period_end

__all__ = [
    "DeletedKeys",
    "GeneratedKey",
    "KeyAnswer",
    "KeyInfo",
    "Money",
    "NewUserAnswer",
    "TeamAnswer",
    "TeamInfo",
    "UserAnswer",
    "UserInfo",
    "answer",
    "key_info",
    "team_info",
    "to_json",
    "user_info",
]

Money = Annotated[Decimal, WithJsonSchema({"type": "number"})]


class Standing(BaseModel):
    """Limits, and what is spent of the budget in its current period; null is no limit."""

    spend: Annotated[Money, Field(description="Dollars, in the current period")]
    max_budget: Money | None
    budget_duration: str | None
    budget_reset_at: Annotated[datetime | None, Field(description="When the current period ends")]
    rpm_limit: int | None
    tpm_limit: int | None
    max_parallel_requests: int | None
    blocked: bool
    metadata: dict[str, Any]
    created_at: datetime


class KeyInfo(Standing):
    """A key; never the key itself."""

    token_id: Annotated[str, Field(description="The key's id; takes the key's place in every request")]
    key_name: Annotated[str, Field(description="sk-...wxyz")]
    key_alias: str | None
    models: list[str]
    expires: datetime | None
    team_id: str | None
    user_id: str | None
    model_rpm_limit: dict[str, int]
    model_tpm_limit: dict[str, int]
    model_max_budget: dict[str, Money]


class GeneratedKey(KeyInfo):
    """The answer to `POST /key/generate`: `key` is shown this once."""

    key: str


class KeyAnswer(BaseModel):
    """The answer to `GET /key/info`; `key` is what was asked for, else the token id."""

    key: str
    spend: Money
    info: KeyInfo


class DeletedKeys(BaseModel):
    """The answer to `POST /key/delete`."""

    deleted_keys: list[str]


class TeamInfo(Standing):
    """A team."""

    team_id: str
    team_alias: str | None
    models: list[str]


class TeamAnswer(BaseModel):
    """The answer to `GET /team/info`; `keys` are the newest 1,000."""

    team_id: str
    spend: Money
    team_info: TeamInfo
    keys: list[dict[str, Any]]


class UserInfo(Standing):
    """A user."""

    user_id: str
    user_alias: str | None


class NewUserAnswer(UserInfo):
    """The answer to `POST /user/new`; `key` is shown this once, null when none was made."""

    key: str | None
    token_id: str | None


class UserAnswer(BaseModel):
    """The answer to `GET /user/info`; `keys` are the newest 1,000."""

    user_id: str
    spend: Money
    user_info: UserInfo
    keys: list[dict[str, Any]]


def answer(value: Any) -> Response:
    """Return a response that no cache keeps."""
    data = to_json(value).encode("utf-8", "replace")
    return Response(data, headers={"cache-control": "no-store"}, media_type="application/json")


def to_json(value: Any) -> str:
    """Return JSON; a `Decimal` is a number with all its digits, an instant RFC 3339 in UTC."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{_text(str(name))}:{to_json(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(to_json, value)) + "]"
    if isinstance(value, Decimal):
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, datetime):
        return _text(value.astimezone(UTC).isoformat().replace("+00:00", "Z"))
    return json.dumps(value, ensure_ascii=False)


def key_info(key: KeyRecord, *, spend: int, now: datetime) -> dict[str, Any]:
    """Return `KeyInfo`; `spend` in pico-dollars."""
    return {
        "token_id": key.id,
        "key_name": key.hint,
        "key_alias": key.alias,
        "models": list(key.models),
        "expires": key.expires_at,
        "team_id": key.team_id,
        "user_id": key.user_id,
        "model_rpm_limit": _of_models(key.model_limits, "rpm"),
        "model_tpm_limit": _of_models(key.model_limits, "tpm"),
        "model_max_budget": {
            group: dollars(amount) for group, amount in _of_models(key.model_limits, "budget").items()
        },
        **_standing(key.allowance, key.metadata, key.created_at, spend, now),
    }


def team_info(team: TeamRecord, *, spend: int, now: datetime) -> dict[str, Any]:
    """Return `TeamInfo`; `spend` in pico-dollars."""
    return {
        "team_id": team.id,
        "team_alias": team.alias,
        "models": list(team.models),
        **_standing(team.allowance, team.metadata, team.created_at, spend, now),
    }


def user_info(user: UserRecord, *, spend: int, now: datetime) -> dict[str, Any]:
    """Return `UserInfo`; `spend` in pico-dollars."""
    return {
        "user_id": user.id,
        "user_alias": user.alias,
        **_standing(user.allowance, user.metadata, user.created_at, spend, now),
    }


def _standing(
    allowance: Allowance, metadata: dict[str, Any], created_at: datetime, spend: int, now: datetime
) -> dict[str, Any]:
    end = period_end(allowance, now.timestamp())
    return {
        "spend": dollars(spend),
        "max_budget": None if allowance.max_budget is None else dollars(allowance.max_budget),
        "budget_duration": allowance.budget_duration,
        "budget_reset_at": None if end is None else datetime.fromtimestamp(end, UTC),
        "rpm_limit": allowance.rpm_limit,
        "tpm_limit": allowance.tpm_limit,
        "max_parallel_requests": allowance.max_parallel_requests,
        "blocked": allowance.blocked,
        "metadata": metadata,
        "created_at": created_at,
    }


def _of_models(limits: Mapping[str, Mapping[str, int]], kind: str) -> dict[str, int]:
    return {group: limit[kind] for group, limit in limits.items() if kind in limit}


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
