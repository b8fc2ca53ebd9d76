"""What LiteLLM enforces of a key, team or user and this gateway does not. Pure.

Rule: a row is not carried when that would let it do more than before, for example because a limit is not enforced
here; whoever wants it all the same says so. What only grants more there, or has no effect on calls, is a change to be
told. Source: litellm/proxy/auth/auth_checks.py and `LiteLLM_ManagementEndpoint_MetadataFields` of LiteLLM 1.106.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from routeiq_appliance.moving.values import Values

__all__ = ["changes", "kept_metadata", "restrictions"]

_LLM_ROUTES = frozenset({"llm_api_routes", "openai_routes"})
_METADATA_LIMITS = {
    "end_user_budget_id": "budgets of end users",
    "enforced_params": "required request fields",
    "guardrails": "guardrails",
    "model_itpm_limit": "input tokens a minute per model",
    "model_otpm_limit": "output tokens a minute per model",
    "policies": "guardrail policies",
    "tag_rpm_limit": "requests a minute per tag",
}
_TEAM_LIMITS = {
    "model_rpm_limit": "requests a minute per model of a team",
    "model_tpm_limit": "tokens a minute per model of a team",
    "team_member_budget_id": "budgets of a team's members",
}
_CONFIDENTIAL = ("logging", "secret_manager_settings")
"""Metadata that holds credentials of other services."""
_DROPPED = {
    "routeiq": "`metadata.routeiq` is acted on here: it was left out",
    "logging": "callbacks of its own (`metadata.logging`) are not called; they were left out",
    "secret_manager_settings": "`metadata.secret_manager_settings` was left out",
}
_TYPES = ("rpm_limit_type", "tpm_limit_type")
_CHANGES = {
    "access_group_ids": "access groups give it no models here: name them in `models`",
    "aliases": "its model aliases are not followed: use `router_settings.model_group_alias`",
    "auto_rotate": "it is not rotated any more",
    "budget_fallbacks": "no other model takes over when its budget is spent",
    "config": "its own provider configuration is not used",
    "permissions": "further permissions are not granted",
    "router_settings": "its own router settings are not used",
    "soft_budget": "nobody is told when its soft budget is reached",
}


def restrictions(values: Values, kind: str, permission: Values | None) -> list[str]:
    """Return what would not be enforced any more, in words that end "… not enforced here".

    `kind` is `key`, `team` or `user`; `permission` the row that `object_permission_id` names. Raises `UnfitError`.
    """
    return [*_columns(values, kind), *_metadata(values, kind), *_permission(permission)]


def changes(values: Values, kind: str) -> list[str]:
    """Return what is different and restricts nothing; raises `UnfitError`."""
    found = [text for column, text in _CHANGES.items() if _says(values.text(column))]
    metadata = values.object("metadata")
    found += [text for name, text in _DROPPED.items() if metadata.get(name)]
    if any(metadata.get(name) for name in _TYPES):
        found.append("its limits are exact: not shared out by `rpm_limit_type` or `tpm_limit_type`")
    if metadata.get("temp_budget_increase"):
        found.append("the temporary increase of its budget does not hold")
    if kind == "team" and _says(values.text("members_with_roles")):
        found.append("its members are not kept: keys name their user and team")
    if kind == "user" and values.text("password"):
        found.append("its password was left out: there is no sign-in")
    return found


def kept_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata without what is acted on here, and without credentials of other services."""
    return {name: item for name, item in metadata.items() if name != "routeiq" and name not in _CONFIDENTIAL}


def _columns(values: Values, kind: str) -> Iterator[str]:
    if values.count("tpd_limit") is not None:
        yield "tokens a day"
    if _says(values.text("budget_limits")):
        yield "budgets over several periods"
    if values.names("policies"):
        yield "guardrail policies"
    if kind != "key" and values.object("model_max_budget"):
        yield f"budgets per model of a {kind}"
    if kind != "key":
        return
    routes = values.names("allowed_routes")
    if routes and not _LLM_ROUTES.issuperset(routes):
        yield "a list of allowed routes"
    if values.text("key_type") in {"management", "read_only"}:
        yield "a key that may call no model"
    if values.text("project_id"):
        yield "the limits of a project"
    for entry in values.object("model_max_budget").values():
        if isinstance(entry, dict) and (entry.get("time_period") or entry.get("budget_duration")):
            yield "a model's budget with a period"
            return


def _metadata(values: Values, kind: str) -> Iterator[str]:
    metadata = values.object("metadata")
    limits = _METADATA_LIMITS if kind == "key" else {**_METADATA_LIMITS, **_TEAM_LIMITS}
    yield from (text for name, text in limits.items() if metadata.get(name))


def _permission(permission: Values | None) -> Iterator[str]:
    if permission is None:
        return
    if permission.names("models"):
        yield "models of an object permission"
    if permission.names("blocked_tools"):
        yield "blocked tools"


def _says(text: str | None) -> bool:
    return text not in {None, "", "{}", "[]", "null", "f", "0"}
