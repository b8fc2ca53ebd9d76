"""LiteLLM's keys → ours. Pure: the rows that a key names are handed in.

LiteLLM keeps SHA-256 of the secret, unsalted; here it is HMAC-SHA256(pepper, that). So a key goes on opening the
gateway, and nobody needs its secret for that.
"""

import hashlib
import hmac
import re
import uuid
from collections.abc import Mapping
from typing import Any

from routeiq_appliance.moving.allowance import groups_of, limits_of
from routeiq_appliance.moving.outcome import Carried, Held, Outcome
from routeiq_appliance.moving.people import Named, Terms, shown_name
from routeiq_appliance.moving.restrictions import changes, kept_metadata, key_type_of, restrictions
from routeiq_appliance.moving.values import UnfitError, Values
from routeiq_appliance.state.records import allowance_columns

__all__ = ["key_name", "key_outcome"]

_TOKEN = re.compile(r"[0-9a-f]{64}")
_HINT = re.compile(r"sk-\.\.\.[!-~]{1,8}")
_MOST_MODELS = 1_000
_UI_TEAM = "litellm-dashboard"


def key_name(values: Values) -> str:
    """Return how a report calls a key: its alias, else its hint, else the first characters of its hash."""
    if values.text("key_alias"):
        return shown_name(values, "key_alias")
    hint = values.text("key_name") or ""
    token = values.text("token") or ""
    # A token that is no hash may be the secret itself.
    short = f"{token[:10]}…" if _TOKEN.fullmatch(token) else "(no hash)"
    return f"{hint} {short}" if _HINT.fullmatch(hint) else short


def key_outcome(values: Values, named: Named, pepper: bytes, terms: Terms) -> Outcome:
    """Return what becomes of a row of LiteLLM_VerificationToken."""
    name = key_name(values)
    try:
        return _outcome(values, named, pepper, terms, name)
    except UnfitError as error:
        return Held(name, str(error))


def _outcome(values: Values, named: Named, pepper: bytes, terms: Terms, name: str) -> Outcome:
    token = values.text("token") or ""
    if not _TOKEN.fullmatch(token):
        return Held(name, "its token is no SHA-256: LiteLLM does not accept it either")
    if values.text("team_id") == _UI_TEAM:
        return Held(name, "a session of LiteLLM's admin page")
    if named.held is not None:
        return Held(name, f"its {named.held} was not carried")
    lost = restrictions(values, "key", named.permission)
    if lost and not terms.unsafe:
        return Held(name, f"not enforced here: {lost[0]}")
    limits = limits_of(values, terms.now, named.budget)
    models, told = groups_of(values.names("models"))
    metadata = values.metadata()
    columns: dict[str, Any] = {
        "id": uuid.uuid4().hex,
        "digest": hmac.new(pepper, bytes.fromhex(token), hashlib.sha256).hexdigest(),
        "hint": _hint(values),
        "alias": values.name("key_alias", most=256),
        "models": list(models),
        "metadata": kept_metadata(metadata),
        "created_at": values.instant("created_at") or terms.now,
        "expires_at": values.instant("expires"),
        "team_id": values.name("team_id"),
        "user_id": values.name("user_id"),
        "model_limits": _model_limits(values, metadata),
        "fail_closed": False,
        "organization_id": values.name("organization_id"),
        "key_type": key_type_of(values),
        "budget_id": values.name("budget_id"),
        "updated_at": values.instant("updated_at"),
        **allowance_columns(limits.allowance),
    }
    told += changes(values, "key") + [f"not enforced any more: {item}" for item in lost]
    told += _user_changes(values, named)
    if any("budget" in limit for limit in columns["model_limits"].values()):
        told.append("the budgets of its models begin with nothing spent")
    return Carried(name, columns, f"key:{columns['id']}", limits.spent, limits.period, tuple(told))


def _user_changes(values: Values, named: Named) -> list[str]:
    if named.user is not None and values.text("team_id") and named.user.text("max_budget"):
        return ["the budget of its user counts here for keys of teams, too"]
    return []


def _hint(values: Values) -> str:
    hint = values.text("key_name") or ""
    return hint if _HINT.fullmatch(hint) else "sk-..."


def _model_limits(values: Values, metadata: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    limits: dict[str, dict[str, int]] = {}
    for field, kind in (("model_rpm_limit", "rpm"), ("model_tpm_limit", "tpm")):
        given = metadata.get(field) or {}
        if not isinstance(given, dict):
            raise UnfitError(f"metadata.{field}: not a JSON object")
        for group, count in given.items():
            if count is None:
                continue
            if isinstance(count, bool) or not isinstance(count, int):
                raise UnfitError(f"metadata.{field}: holds what is no whole number")
            limits.setdefault(group, {})[kind] = max(0, min(count, 10**12))
    for group, entry in values.object("model_max_budget").items():
        amount = entry.get("budget_limit", entry.get("max_budget")) if isinstance(entry, dict) else entry
        if amount is None:
            continue
        if isinstance(amount, bool) or not isinstance(amount, int | float):
            raise UnfitError("model_max_budget: holds what is no amount")
        limits.setdefault(group, {})["budget"] = Values.amount(repr(amount), "model_max_budget")
    if len(limits) > _MOST_MODELS:
        raise UnfitError(f"model_max_budget: more than {_MOST_MODELS} models")
    return limits
