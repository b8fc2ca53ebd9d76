"""The bodies of `/organization/*`, `/budget/*` and of what changes members; LiteLLM's names."""

from typing import Annotated, Literal

from pydantic import Field

from routeiq_appliance.api.management.base_schemas import Body, Checked, LimitFields, Limits, Somebody
from routeiq_appliance.api.management.fields import Alias, Count, Dollars, Duration, Models, Name
from routeiq_appliance.api.management.schemas import NOT_ENFORCED, Member

__all__ = [
    "AddOrganizationMember",
    "AddTeamMember",
    "BudgetsAsked",
    "DeleteBudget",
    "DeleteOrganizations",
    "NewBudget",
    "NewOrganization",
    "OrganizationMember",
    "OrganizationsAsked",
    "OrganizationsQuery",
    "RemoveOrganizationMember",
    "RemoveTeamMember",
    "TeamsQuery",
    "UpdateBudget",
    "UpdateOrganization",
    "UpdateOrganizationMember",
    "UpdateTeamMember",
    "UsersQuery",
]

OrganizationRole = Literal["org_admin", "internal_user", "internal_user_viewer"]

_BUDGET_NOT_ENFORCED = frozenset({"budget_reset_at", "model_max_budget", "soft_budget", "tpd_limit"})
_ORGANIZATION_NOT_ENFORCED = NOT_ENFORCED | {
    "allowed_models", "budget_reset_at", "created_by", "model_max_budget", "model_rpm_limit", "model_tpm_limit",
    "updated_by",
}  # fmt: skip
_MEMBER_NOT_ENFORCED = frozenset({
    "allowed_models", "max_budget_in_organization", "temp_budget_expiry", "temp_budget_increase",
})  # fmt: skip


class NewBudget(Limits):
    """The body of `POST /budget/new`."""

    refused = _BUDGET_NOT_ENFORCED
    budget_id: Annotated[Name | None, Field(description="None: made")] = None


class UpdateBudget(Limits):
    """The body of `POST /budget/update`: what is absent stays, null takes a limit away."""

    refused = _BUDGET_NOT_ENFORCED
    budget_id: Name


class BudgetsAsked(Body):
    """The body of `POST /budget/info`."""

    budgets: Annotated[list[Name], Field(min_length=1, max_length=1000)]


class DeleteBudget(Body):
    """The body of `POST /budget/delete`."""

    id: Name


class NewOrganization(LimitFields):
    """The body of `POST /organization/new`."""

    refused = _ORGANIZATION_NOT_ENFORCED
    organization_id: Annotated[Name | None, Field(description="None: made")] = None
    organization_alias: Alias
    models: Annotated[Models | None, Field(description="Groups its keys may use; none: all")] = None


class UpdateOrganization(LimitFields):
    """The body of `PATCH /organization/update`: what is absent stays, null takes a limit away."""

    refused = _ORGANIZATION_NOT_ENFORCED
    organization_id: Name
    organization_alias: Alias | None = None
    models: Models | None = None


class DeleteOrganizations(Body):
    """The body of `DELETE /organization/delete`: all are deleted with teams and keys, or none when one is missing."""

    organization_ids: Annotated[list[Name], Field(min_length=1, max_length=1000)]


class OrganizationsAsked(Body):
    """The body of `POST /organization/info`."""

    organizations: Annotated[list[Name], Field(min_length=1, max_length=1000)]


class _Listing(Checked):
    limit: Annotated[int, Field(ge=1, le=10_000, description="Rows in an answer")] = 1_000
    offset: Annotated[
        int,
        Field(ge=0, le=10**9, description="Rows to pass over: `x-routeiq-next-offset` of the answer before"),
    ] = 0


class OrganizationsQuery(_Listing):
    """What `GET /organization/list` takes."""

    org_id: Name | None = None
    org_alias: Annotated[Alias | None, Field(description="A part of it, in any case")] = None


class TeamsQuery(_Listing):
    """What `GET /team/list` takes: all that is given must hold for a team."""

    user_id: Annotated[Name | None, Field(description="Of a member")] = None
    organization_id: Name | None = None


class UsersQuery(Checked):
    """What `GET /user/list` takes: all that is given must hold for a user."""

    refused = frozenset({"organization_ids", "search", "sort_by", "sort_order", "sso_user_ids"})
    role: Name | None = None
    user_ids: Annotated[str | None, Field(max_length=10_000, description="Ids, with commas between")] = None
    user_email: Annotated[Alias | None, Field(description="A part of it, in any case")] = None
    team: Annotated[Name | None, Field(description="Id of a team that has the user")] = None
    page: Annotated[int, Field(ge=1, le=10**9)] = 1
    page_size: Annotated[int, Field(ge=1, le=100)] = 25


class OrganizationMember(Somebody):
    """A user in an organization; `role` is kept: who may manage, keys say (`role`)."""

    role: OrganizationRole


class AddTeamMember(Body):
    """The body of `POST /team/member_add`."""

    refused = _MEMBER_NOT_ENFORCED
    team_id: Name
    member: Annotated[list[Member], Field(min_length=1, max_length=1000)] | Member
    max_budget_in_team: Annotated[
        Dollars | None, Field(description="Dollars that each one's keys of this team may spend in a period")
    ] = None
    budget_duration: Duration | None = None


class UpdateTeamMember(Somebody):
    """The body of `POST /team/member_update`: what is absent stays, null takes a limit away."""

    refused = _MEMBER_NOT_ENFORCED
    team_id: Name
    role: Literal["admin", "user"] | None = None
    max_budget_in_team: Dollars | None = None
    budget_duration: Duration | None = None
    tpm_limit: Count | None = None
    rpm_limit: Count | None = None


class RemoveTeamMember(Somebody):
    """The body of `POST /team/member_delete`."""

    team_id: Name


class AddOrganizationMember(Body):
    """The body of `POST /organization/member_add`."""

    refused = _MEMBER_NOT_ENFORCED
    organization_id: Name
    member: Annotated[list[OrganizationMember], Field(min_length=1, max_length=1000)] | OrganizationMember


class UpdateOrganizationMember(Somebody):
    """The body of `PATCH /organization/member_update`."""

    refused = _MEMBER_NOT_ENFORCED
    organization_id: Name
    role: OrganizationRole


class RemoveOrganizationMember(Somebody):
    """The body of `DELETE /organization/member_delete`."""

    organization_id: Name
