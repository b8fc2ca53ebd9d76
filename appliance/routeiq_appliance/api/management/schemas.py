"""The bodies that the management API takes. LiteLLM's names; a field that cannot be enforced is refused by name."""

from typing import Annotated, Literal

from pydantic import Field

from routeiq_appliance.api.management.base_schemas import Body, Checked, LimitFields, Somebody
from routeiq_appliance.api.management.fields import (
    Alias,
    Budgets,
    Counts,
    Duration,
    Email,
    Extension,
    KeyReference,
    Models,
    Name,
)

__all__ = [
    "NOT_ENFORCED",
    "BlockKey",
    "BlockTeam",
    "DeleteKeys",
    "DeleteTeams",
    "DeleteUsers",
    "GenerateKey",
    "KeyFields",
    "KeysQuery",
    "Member",
    "NewTeam",
    "NewUser",
    "RegenerateKey",
    "UpdateKey",
    "UpdateTeam",
    "UpdateUser",
]

NOT_ENFORCED = frozenset({
    "access_group_ids", "agent_id", "aliases", "allowed_cache_controls", "allowed_passthrough_routes",
    "allowed_routes", "allowed_vector_store_indexes", "auto_rotate", "budget_fallbacks",
    "budget_limits", "config", "default_estimated_output_tokens", "default_estimated_output_tokens_per_model",
    "denied_passthrough_routes", "disable_global_guardrails", "duration_budget", "enable_prompt_caching",
    "end_user_budget_id", "enforced_params", "guardrails", "key", "mcp_rpm_limit",
    "object_permission", "permissions", "policies", "project_id", "prompts",
    "rotation_interval", "router_settings", "rpm_limit_type", "send_invite_email", "soft_budget", "spend",
    "tag_rpm_limit", "tags", "temp_budget_expiry", "temp_budget_increase", "throttle_on_budget_exceeded",
    "tpd_limit", "tpm_limit_type",
})  # fmt: skip
"""Fields of LiteLLM's `/key/generate` that this release knows by name and refuses."""

_TEAM_NOT_ENFORCED = (NOT_ENFORCED - {"key"}) | {
    "admins", "enforced_batch_output_expires_after", "enforced_file_expires_after", "members",
    "model_aliases", "model_max_budget", "model_rpm_limit", "model_tpm_limit",
    "secret_manager_settings", "team_member_budget", "team_member_budget_duration", "team_member_key_duration",
    "team_member_permissions", "team_member_rpm_limit", "team_member_tpm_limit",
}  # fmt: skip
_USER_NOT_ENFORCED = (NOT_ENFORCED - {"key"}) | {
    "duration", "key_alias", "model_max_budget", "model_rpm_limit", "model_tpm_limit", "organization_id",
    "password", "sso_user_id", "team_id",
}  # fmt: skip
_KEY_LISTING_NOT_ENFORCED = frozenset({
    "access_group_id", "agent_id", "expand", "expires", "include_created_by_keys", "include_team_keys",
    "project_id", "search", "sort_by", "status", "substring_matching",
})  # fmt: skip

UserRole = Literal["proxy_admin", "proxy_admin_viewer", "internal_user"]
Validity = Annotated[
    Duration | None, Field(description="Validity from now: 30s, 30m, 30h, 30d, 4w or 1mo; none: no end")
]


class KeyFields(LimitFields):
    """What a key can have."""

    key_alias: Alias | None = None
    models: Annotated[Models | None, Field(description="Groups the key may use; none: all")] = None
    team_id: Name | None = None
    user_id: Name | None = None
    organization_id: Annotated[
        Name | None, Field(description="Of a key without a team; a team's keys are of the team's")
    ] = None
    role: Annotated[
        Literal["admin", "viewer"] | None,
        Field(description="In management: `admin` everything, `viewer` reading; none: its user's role"),
    ] = None
    key_type: Annotated[
        Literal["default", "llm_api", "management", "read_only"] | None,
        Field(
            description="Takes away: `llm_api` management, `management` calls, `read_only` calls and changes"
        ),
    ] = None
    model_rpm_limit: Annotated[Counts | None, Field(description="Group → requests a minute")] = None
    model_tpm_limit: Annotated[Counts | None, Field(description="Group → tokens a minute")] = None
    model_max_budget: Annotated[Budgets | None, Field(description="Group → dollars, for ever")] = None


class GenerateKey(KeyFields):
    """The body of `POST /key/generate`."""

    refused = NOT_ENFORCED
    duration: Validity = None


class UpdateKey(KeyFields):
    """The body of `POST /key/update`: what is absent stays, null takes a limit away."""

    refused = NOT_ENFORCED - {"key"}
    key: Annotated[KeyReference, Field(description="The key or its token id")]
    duration: Annotated[
        Extension | None, Field(description="Validity from now; `-1`: no end; null: as it was")
    ] = None


class RegenerateKey(KeyFields):
    """The body of `POST /key/regenerate`: what is absent stays."""

    refused = (NOT_ENFORCED - {"key"}) | {"grace_period", "new_key", "new_master_key"}
    key: Annotated[KeyReference | None, Field(description="The key or its token id, unless in the path")] = (
        None
    )
    duration: Annotated[
        Extension | None, Field(description="Validity from now; `-1`: no end; null: as it was")
    ] = None


class KeysQuery(Checked):
    """What `GET /key/list` takes: all that is given must hold for a key."""

    refused = _KEY_LISTING_NOT_ENFORCED
    page: Annotated[int, Field(ge=1, le=10**9)] = 1
    size: Annotated[int, Field(ge=1, le=100, description="Keys in an answer")] = 10
    user_id: Name | None = None
    team_id: Name | None = None
    organization_id: Name | None = None
    key_alias: Alias | None = None
    key_hash: Annotated[KeyReference | None, Field(description="The key or its token id")] = None
    return_full_object: Annotated[bool, Field(description="Keys as `/key/info` shows them")] = False
    sort_order: Annotated[Literal["asc", "desc"], Field(description="`desc`: the newest first")] = "desc"


class BlockKey(Body):
    """The body of `POST /key/block` and `/key/unblock`."""

    key: Annotated[KeyReference, Field(description="The key or its token id")]


class DeleteKeys(Body):
    """The body of `POST /key/delete`: all are deleted, or none when one does not exist."""

    keys: Annotated[
        list[KeyReference] | None, Field(max_length=1000, description="Keys or their token ids")
    ] = None
    key_aliases: Annotated[list[Alias] | None, Field(max_length=1000)] = None


class Member(Somebody):
    """A user in a team; `role` is kept: who may manage, keys say (`role`)."""

    role: Literal["admin", "user"]


class NewTeam(LimitFields):
    """The body of `POST /team/new`."""

    refused = _TEAM_NOT_ENFORCED
    team_id: Annotated[Name | None, Field(description="None: made")] = None
    team_alias: Alias | None = None
    models: Annotated[Models | None, Field(description="Groups the team's keys may use; none: all")] = None
    organization_id: Name | None = None
    members_with_roles: Annotated[list[Member] | None, Field(max_length=1000)] = None


class UpdateTeam(LimitFields):
    """The body of `POST /team/update`: what is absent stays, null takes a limit away."""

    refused = _TEAM_NOT_ENFORCED | {"members_with_roles"}
    team_id: Name
    team_alias: Alias | None = None
    models: Models | None = None
    organization_id: Name | None = None


class BlockTeam(Body):
    """The body of `POST /team/block` and `/team/unblock`."""

    team_id: Name


class DeleteTeams(Body):
    """The body of `POST /team/delete`: all are deleted with their keys, or none when one does not exist."""

    team_ids: Annotated[list[Name], Field(min_length=1, max_length=1000)]


class NewUser(LimitFields):
    """The body of `POST /user/new`."""

    refused = _USER_NOT_ENFORCED
    user_id: Annotated[Name | None, Field(description="None: made")] = None
    user_alias: Alias | None = None
    user_email: Email | None = None
    user_role: Annotated[UserRole | None, Field(description="The role of the user's keys in management")] = (
        None
    )
    models: Annotated[
        Models | None, Field(description="Groups of the user's keys without a team; none: all")
    ] = None
    teams: Annotated[list[Name] | None, Field(max_length=1000, description="Teams to be a member of")] = None
    organizations: Annotated[list[Name] | None, Field(max_length=1000)] = None
    auto_create_key: Annotated[bool | None, Field(description="Make a key of the user's, too")] = True


class UpdateUser(LimitFields):
    """The body of `POST /user/update`: what is absent stays, null takes a limit away."""

    refused = _USER_NOT_ENFORCED | {"organizations", "teams"}
    user_id: Name
    user_alias: Alias | None = None
    user_email: Email | None = None
    user_role: UserRole | None = None
    models: Models | None = None


class DeleteUsers(Body):
    """The body of `POST /user/delete`: all are deleted with their keys, or none when one does not exist."""

    user_ids: Annotated[list[Name], Field(min_length=1, max_length=1000)]
