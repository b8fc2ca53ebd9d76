"""The bodies that the management API takes. LiteLLM's names; a field that cannot be enforced is refused by name."""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from routeiq_appliance.api.management.fields import (
    Alias,
    Budgets,
    Count,
    Counts,
    Dollars,
    Duration,
    Extension,
    Metadata,
    Models,
    Name,
    Parallel,
)

__all__ = [
    "NOT_ENFORCED",
    "BlockKey",
    "Body",
    "DeleteKeys",
    "GenerateKey",
    "KeyFields",
    "LimitFields",
    "NewTeam",
    "NewUser",
    "UpdateKey",
    "UpdateTeam",
    "UpdateUser",
]

NOT_ENFORCED = frozenset({
    "access_group_ids", "agent_id", "aliases", "allowed_cache_controls", "allowed_passthrough_routes",
    "allowed_routes", "allowed_vector_store_indexes", "auto_rotate", "budget_fallbacks", "budget_id",
    "budget_limits", "config", "default_estimated_output_tokens", "default_estimated_output_tokens_per_model",
    "denied_passthrough_routes", "disable_global_guardrails", "duration_budget", "enable_prompt_caching",
    "end_user_budget_id", "enforced_params", "guardrails", "key", "key_type", "mcp_rpm_limit",
    "object_permission", "organization_id", "permissions", "policies", "project_id", "prompts",
    "rotation_interval", "router_settings", "rpm_limit_type", "send_invite_email", "soft_budget", "spend",
    "tag_rpm_limit", "tags", "temp_budget_expiry", "temp_budget_increase", "throttle_on_budget_exceeded",
    "tpd_limit", "tpm_limit_type",
})  # fmt: skip
"""Fields of LiteLLM's `/key/generate` that this release knows by name and refuses."""

_TEAM_NOT_ENFORCED = (NOT_ENFORCED - {"key"}) | {
    "admins", "enforced_batch_output_expires_after", "enforced_file_expires_after", "members",
    "members_with_roles", "model_aliases", "model_max_budget", "model_rpm_limit", "model_tpm_limit",
    "secret_manager_settings", "team_member_budget", "team_member_budget_duration", "team_member_key_duration",
    "team_member_permissions", "team_member_rpm_limit", "team_member_tpm_limit",
}  # fmt: skip
_USER_NOT_ENFORCED = (NOT_ENFORCED - {"key"}) | {
    "duration", "key_alias", "model_max_budget", "model_rpm_limit", "model_tpm_limit", "models", "organizations",
    "password", "sso_user_id", "team_id", "teams", "user_email", "user_role",
}  # fmt: skip

Validity = Annotated[
    Duration | None, Field(description="Validity from now: 30s, 30m, 30h, 30d, 4w or 1mo; none: no end")
]


class Body(BaseModel):
    """A body: JSON's own types, no unknown field."""

    model_config = ConfigDict(extra="forbid", strict=True)
    refused: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _unset_is_absent(cls, body: Any) -> Any:
        """Take a field that is not enforced for absent when it asks for nothing: clients send the whole form."""
        if not isinstance(body, dict):
            return body
        return {
            name: value for name, value in body.items() if name not in cls.refused or not _asks_nothing(value)
        }


class LimitFields(Body):
    """The limits that keys, teams and users have alike; null is no limit."""

    rpm_limit: Annotated[Count | None, Field(description="Requests a minute")] = None
    tpm_limit: Annotated[Count | None, Field(description="Tokens a minute")] = None
    max_parallel_requests: Annotated[Parallel | None, Field(description="Calls at the same time")] = None
    max_budget: Annotated[Dollars | None, Field(description="Dollars that may be spent in a period")] = None
    budget_duration: Annotated[
        Duration | None,
        Field(description="The budget's period, from when it is set; none: one budget for ever"),
    ] = None
    blocked: bool | None = None
    metadata: Annotated[
        Metadata | None,
        Field(description="Kept; `routeiq.strategy` and (keys) `routeiq.fail_closed` are acted on"),
    ] = None


class KeyFields(LimitFields):
    """What a key can have."""

    key_alias: Alias | None = None
    models: Annotated[Models | None, Field(description="Groups the key may use; none: all")] = None
    team_id: Name | None = None
    user_id: Name | None = None
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
    key: Annotated[str, Field(min_length=1, max_length=512, description="The key or its token id")]
    duration: Annotated[
        Extension | None, Field(description="Validity from now; `-1`: no end; null: as it was")
    ] = None


class BlockKey(Body):
    """The body of `POST /key/block` and `/key/unblock`."""

    key: Annotated[str, Field(min_length=1, max_length=512, description="The key or its token id")]


class DeleteKeys(Body):
    """The body of `POST /key/delete`: all are deleted, or none when one does not exist."""

    keys: Annotated[list[str] | None, Field(max_length=1000, description="Keys or their token ids")] = None
    key_aliases: Annotated[list[str] | None, Field(max_length=1000)] = None


class NewTeam(LimitFields):
    """The body of `POST /team/new`."""

    refused = _TEAM_NOT_ENFORCED
    team_id: Annotated[Name | None, Field(description="None: made")] = None
    team_alias: Alias | None = None
    models: Annotated[Models | None, Field(description="Groups the team's keys may use; none: all")] = None


class UpdateTeam(LimitFields):
    """The body of `POST /team/update`: what is absent stays, null takes a limit away."""

    refused = _TEAM_NOT_ENFORCED
    team_id: Name
    team_alias: Alias | None = None
    models: Models | None = None


class NewUser(LimitFields):
    """The body of `POST /user/new`."""

    refused = _USER_NOT_ENFORCED
    user_id: Annotated[Name | None, Field(description="None: made")] = None
    user_alias: Alias | None = None
    auto_create_key: Annotated[bool | None, Field(description="Make a key of the user's, too")] = True


class UpdateUser(LimitFields):
    """The body of `POST /user/update`: what is absent stays, null takes a limit away."""

    refused = _USER_NOT_ENFORCED
    user_id: Name
    user_alias: Alias | None = None


def _asks_nothing(value: Any) -> bool:
    return value is None or value is False or (isinstance(value, list | dict | str) and not value)
