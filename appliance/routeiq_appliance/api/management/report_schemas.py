"""What the reports take and answer: the shapes, ours and LiteLLM's."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from routeiq_appliance.api.management.fields import Instant, KeyReference, Name
from routeiq_appliance.api.management.shapes import Money
from routeiq_appliance.reporting.columns import GROUPING, GROUPING_PATTERN

__all__ = [
    "GlobalSpend",
    "KeySpend",
    "ReportAnswer",
    "ReportQuery",
    "SpendDay",
    "TeamDay",
    "TeamsSpend",
    "TopKey",
    "TopModel",
]

Format = Literal["json", "csv", "litellm"]
_Spend = Annotated[Money | None, Field(description="Dollars; null: no call has a price")]


class ReportQuery(BaseModel):
    """What a report takes: all that is given must hold for a call to count."""

    model_config = ConfigDict(extra="forbid")

    start_date: Annotated[Instant | None, Field(description="2026-11-21 (UTC), or with a time")] = None
    end_date: Annotated[
        Instant | None, Field(description="A day is in it as a whole; a time is not in it")
    ] = None
    group_by: Annotated[
        str,
        Field(
            max_length=128,
            json_schema_extra={"pattern": GROUPING_PATTERN, "examples": ["team", "key,model", "day,team"]},
            description=f"Any of {GROUPING}, separated by commas; LiteLLM's `api_key` is `key`",
        ),
    ] = "team"
    api_key: Annotated[KeyReference | None, Field(description="A key or its token id")] = None
    team_id: Name | None = None
    user_id: Name | None = None
    internal_user_id: Annotated[Name | None, Field(description="LiteLLM's name of `user_id`")] = None
    organization_id: Name | None = None
    model: Annotated[Name | None, Field(description="The group that was chosen")] = None
    format: Annotated[
        Format | None,
        Field(
            description="`litellm` is LiteLLM's own list, and the default where it has the grouping: `team`, `api_key`;"
            " else `json`, or `csv` where `Accept` asks for it"
        ),
    ] = None


class SumsAnswer(BaseModel):
    """Sums over calls."""

    requests: int
    failed_requests: Annotated[int, Field(description="Answered with a status of 400 and above")]
    unpriced_requests: Annotated[int, Field(description="Without a price: `spend` does not know them")]
    estimated_requests: Annotated[
        int, Field(description="The upstream counted no tokens; they are estimated")
    ]
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    unpriced_tokens: int
    spend: _Spend
    estimated_spend: Annotated[Money, Field(description="The part of `spend` that rests on estimated tokens")]


class ReportRow(SumsAnswer):
    """One group; it has the fields of the groupings that were asked for."""

    day: Annotated[str, Field(description="UTC")] | None = None
    organization_id: str | None = None
    team_id: str | None = None
    team_alias: str | None = None
    user_id: str | None = None
    api_key: Annotated[str | None, Field(description="The key's token id")] = None
    key_alias: str | None = None
    model: str | None = None


class Account(BaseModel):
    """The ledger and the table that budgets are decided by, over all time."""

    scope: Annotated[
        str, Field(description="The narrowest of what was asked for: `key:ID` ..., else `every key`")
    ]
    ledger: Annotated[Money, Field(description="Cost of all its calls")]
    uncharged: Annotated[
        Money, Field(description="The part of it that is charged to nobody: the master key's")
    ]
    spend_table: Money
    carried_over: Annotated[Money, Field(description="Spent at another gateway, so not in the ledger")]
    difference: Money
    reconciled: bool


class Period(BaseModel):
    """From when until before when."""

    start: datetime | None
    end: datetime | None


class ReportAnswer(BaseModel):
    """A report as JSON."""

    group_by: list[str]
    period: Period
    rows: list[ReportRow]
    total: SumsAnswer
    reconciled: Annotated[
        bool, Field(description="The rows add up to the ledger, and that to what was charged")
    ]
    reconciliation: Account


class Apart(BaseModel):
    """What LiteLLM does not say of a sum."""

    requests: int
    unpriced_requests: int
    estimated_requests: int


class TeamPart(Apart):
    """What one key spent on one model."""

    model: str | None
    api_key: str | None
    key_alias: str | None
    spend: _Spend
    total_tokens: int


class TeamSpend(Apart):
    """What a team spent on a day."""

    team_name: str
    team_id: str | None
    total_spend: _Spend
    metadata: list[TeamPart]


class TeamDay(BaseModel):
    """One item of LiteLLM's report by team."""

    group_by_day: str
    teams: list[TeamSpend]


class KeyPart(Apart):
    """What a key spent on one model."""

    model: str | None
    total_cost: _Spend
    total_input_tokens: int
    total_output_tokens: int


class KeySpend(Apart):
    """One item of LiteLLM's report by key."""

    api_key: str | None
    key_alias: str | None
    total_cost: _Spend
    total_input_tokens: int
    total_output_tokens: int
    model_details: list[KeyPart]


_Sums = Annotated[dict[str, Any], WithJsonSchema({
    "type": "object", "additionalProperties": {"anyOf": [{"type": "number"}, {"type": "null"}]},
})]  # fmt: skip


class SpendDay(Apart):
    """One day of `/spend/logs?summarize=true`; beside these, each key's spend under its token id."""

    model_config = ConfigDict(extra="allow")

    startTime: str  # noqa: N815 - LiteLLM's name
    spend: _Spend
    users: _Sums
    models: _Sums


class GlobalSpend(BaseModel):
    """What was spent of all there is."""

    spend: Money
    max_budget: Annotated[Money | None, Field(description="There is no budget over everything: null")]
    unpriced_requests: int
    reconciled: bool
    reconciliation: Account


class TopKey(Apart):
    """A key, by spend."""

    api_key: str
    key_alias: str | None
    key_name: str | None
    total_spend: _Spend


class TopModel(Apart):
    """A model, by spend."""

    model: str | None
    total_spend: _Spend


class TopTeam(Apart):
    """A team, by spend."""

    team_id: str | None
    team_alias: str | None
    total_spend: _Spend


class TeamsSpend(BaseModel):
    """What teams spent, by day and in all."""

    daily_spend: list[dict[str, Any]]
    teams: list[str]
    total_spend_per_team: list[TopTeam]
