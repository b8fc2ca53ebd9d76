"""What LiteLLM enforces of a key, team, user or budget and this gateway does not. Pure.

Rule: a row is not carried when that would let it do more than before, for example because a limit is not enforced
here; whoever wants it all the same says so. What only grants more there, or has no effect on calls, is a change to be
told. Source: litellm/proxy/auth/auth_checks.py and `LiteLLM_ManagementEndpoint_MetadataFields` of LiteLLM 1.106.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from routeiq_appliance.moving.values import Values
from routeiq_appliance.pipeline.roles import KEY_TYPES

__all__ = ["Kind", "changes", "kept_metadata", "key_type_of", "restrictions"]

Kind = Literal["budget", "key", "organization", "team", "user"]

_ROUTES = {
    frozenset({"llm_api_routes"}): "llm_api",
    frozenset({"openai_routes"}): "llm_api",
    frozenset({"llm_api_routes", "openai_routes"}): "llm_api",
    frozenset({"management_routes"}): "management",
    frozenset({"info_routes"}): "read_only",
}
"""LiteLLM's names for many routes → the type of key that may use them."""
_METADATA_LIMITS = {
    "end_user_budget_id": "budgets of end users",
    "enforced_params": "required request fields",
    "guardrails": "guardrails",
    "model_itpm_limit": "input tokens a minute per model",
    "model_otpm_limit": "output tokens a minute per model",
    "policies": "guardrail policies",
    "tag_rpm_limit": "requests a minute per tag",
}
_OWNER_LIMITS = {
    "model_rpm_limit": "requests a minute per model of more than one key",
    "model_tpm_limit": "tokens a minute per model of more than one key",
}
_CONFIDENTIAL = ("logging", "secret_manager_settings")
"""Metadata that holds credentials of other services."""
_DROPPED = {
    "routeiq": "`metadata.routeiq` is acted on here: it was left out",
    "logging": "callbacks of its own (`metadata.logging`) are not called: they were left out",
    "secret_manager_settings": "`metadata.secret_manager_settings` was left out",
}
_TYPES = ("rpm_limit_type", "tpm_limit_type")
_CHANGES = {
    "access_group_ids": "access groups give it no models here: name them in `models`",
    "aliases": "its model aliases are not followed: use `router_settings.model_group_alias`",
    "auto_rotate": "it is not rotated any more",
    "budget_fallbacks": "no other model takes over when its budget is spent",
    "config": "its own provider configuration is not used",
    "model_id": "its model aliases are not followed: use `router_settings.model_group_alias`",
    "password": "its password was left out: there is no sign-in",
    "permissions": "further permissions are not granted",
    "router_settings": "its own router settings are not used",
    "soft_budget": "nobody is told when its soft budget is reached",
    "sso_user_id": "there is no sign-on: only its keys open the gateway",
    "temp_budget_increase": "the temporary increase of its budget does not hold",
}


def restrictions(values: Values, kind: Kind, permission: Values | None = None) -> list[str]:
    """Return what would not be enforced any more, each to be read after "not enforced here: ".

    `permission` is the row that `object_permission_id` names. Raises `UnfitError`.
    """
    return [*_columns(values, kind), *_metadata(values, kind), *_permission(permission)]


def changes(values: Values, kind: Kind) -> list[str]:
    """Return what is different and restricts nothing; raises `UnfitError`."""
    found = [text for column, text in _CHANGES.items() if _says(values.text(column))]
    if kind == "budget":
        return found
    metadata = values.object("metadata")
    found += [text for name, text in _DROPPED.items() if metadata.get(name)]
    if any(metadata.get(name) for name in _TYPES):
        found.append("its limits are exact: not shared out by `rpm_limit_type` or `tpm_limit_type`")
    if metadata.get("temp_budget_increase"):
        found.append(_CHANGES["temp_budget_increase"])
    return found


def kept_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata without what is acted on here, and without credentials of other services."""
    return {name: item for name, item in metadata.items() if name != "routeiq" and name not in _CONFIDENTIAL}


def key_type_of(values: Values) -> str | None:
    """Return the type of a key by its column, else by the routes that it may use; None: of no type."""
    routes = frozenset(values.names("allowed_routes"))
    return _ROUTES.get(routes) if routes else values.text("key_type")


def _columns(values: Values, kind: Kind) -> Iterator[str]:
    if values.count("tpd_limit") is not None:
        yield "tokens a day"
    if _says(values.text("budget_limits")):
        yield "budgets over several periods"
    if values.names("policies"):
        yield "guardrail policies"
    if kind == "budget" and values.names("allowed_models"):
        yield "models of a member"
    if kind != "key":
        if values.object("model_max_budget"):
            yield f"budgets per model of a {kind}"
        return
    if values.names("allowed_routes") and key_type_of(values) is None:
        yield "a list of allowed routes"
    if key_type_of(values) not in {None, *KEY_TYPES}:
        yield "a type of key that is not known"
    if values.text("project_id"):
        yield "the limits of a project"
    for entry in values.object("model_max_budget").values():
        if isinstance(entry, dict) and (entry.get("time_period") or entry.get("budget_duration")):
            yield "a model's budget with a period"
            return


def _metadata(values: Values, kind: Kind) -> Iterator[str]:
    metadata = values.object("metadata") if kind != "budget" else {}
    limits = _METADATA_LIMITS if kind == "key" else {**_METADATA_LIMITS, **_OWNER_LIMITS}
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
