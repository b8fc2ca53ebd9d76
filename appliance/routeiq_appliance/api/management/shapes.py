"""The shapes of what the management API answers, for its document; `answers` makes what has them."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, Field, WithJsonSchema

__all__ = [
    "BudgetInfo",
    "DeletedKeys",
    "GeneratedKey",
    "KeyAnswer",
    "KeyInfo",
    "KeyPage",
    "MemberInfo",
    "Money",
    "NewUserAnswer",
    "OrganizationInfo",
    "TeamAnswer",
    "TeamInfo",
    "UserAnswer",
    "UserInfo",
    "UserPage",
]

Money = Annotated[Decimal, WithJsonSchema({"type": "number"})]


class LimitsInfo(BaseModel):
    """Limits; null is no limit."""

    max_budget: Money | None
    budget_duration: str | None
    budget_reset_at: Annotated[datetime | None, Field(description="When the current period ends")]
    rpm_limit: int | None
    tpm_limit: int | None
    max_parallel_requests: int | None


class BudgetInfo(LimitsInfo):
    """A named budget."""

    budget_id: str | None


class Standing(LimitsInfo):
    """Its own limits, the named budget that says what these leave open, and what is spent in the current period."""

    spend: Annotated[Money, Field(description="Dollars, in the current period")]
    budget_id: str | None
    litellm_budget_table: Annotated[BudgetInfo | None, Field(description="The named budget")]
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
    organization_id: str | None
    role: str | None
    key_type: str | None
    created_by: str | None
    updated_at: datetime | None
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


class KeyPage(BaseModel):
    """The answer to `GET /key/list`: token ids, or keys as `/key/info` shows them."""

    keys: list[str] | list[KeyInfo]
    total_count: int
    current_page: int
    total_pages: int


class DeletedKeys(BaseModel):
    """The answer to `POST /key/delete`."""

    deleted_keys: list[str]


class MemberInfo(BaseModel):
    """A user in a team or an organization."""

    user_id: str
    role: str


class TeamInfo(Standing):
    """A team."""

    team_id: str
    team_alias: str | None
    models: list[str]
    organization_id: str | None
    members_with_roles: list[MemberInfo]


class TeamAnswer(BaseModel):
    """The answer to `GET /team/info`; `keys` are the newest 1,000."""

    team_id: str
    spend: Money
    team_info: TeamInfo
    keys: list[KeyInfo]
    team_memberships: Annotated[list[dict[str, Any]], Field(description="Members with limits in the team")]


class OrganizationInfo(Standing):
    """An organization; `litellm_budget_table` is what holds, of its own limits and the named budget."""

    organization_id: str
    organization_alias: str | None
    models: list[str]
    members: list[dict[str, Any]]
    teams: list[TeamInfo]


class UserInfo(Standing):
    """A user."""

    user_id: str
    user_alias: str | None
    user_email: str | None
    user_role: str | None
    models: list[str]
    teams: Annotated[list[str], Field(description="Ids of the teams that the user is a member of")]


class NewUserAnswer(UserInfo):
    """The answer to `POST /user/new`; `key` is shown this once, null when none was made."""

    key: str | None
    token_id: str | None


class UserAnswer(BaseModel):
    """The answer to `GET /user/info`; `keys` are the newest 1,000."""

    user_id: str
    spend: Money
    user_info: UserInfo
    keys: list[KeyInfo]
    teams: list[TeamInfo]


class UserPage(BaseModel):
    """The answer to `GET /user/list`."""

    users: list[UserInfo]
    total: int
    page: int
    page_size: int
    total_pages: int
