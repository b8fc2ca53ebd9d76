"""LiteLLM's teams and users → ours. Pure: the rows that one names are handed in."""

from datetime import datetime

from routeiq_appliance.moving.allowance import groups_of, limits_of
from routeiq_appliance.moving.outcome import Carried, Held, Outcome
from routeiq_appliance.moving.restrictions import changes, kept_metadata, restrictions
from routeiq_appliance.moving.values import UnfitError, Values
from routeiq_appliance.state.records import allowance_columns

__all__ = ["team_outcome", "user_outcome"]


def team_outcome(values: Values, permission: Values | None, now: datetime, *, unsafe: bool) -> Outcome:
    """Return what becomes of a row of LiteLLM_TeamTable; `unsafe` carries it without limits not enforced here."""
    name = shown_name(values, "team_id")
    try:
        lost = restrictions(values, "team", permission)
        if lost and not unsafe:
            return Held(name, f"not enforced here: {lost[0]}")
        limits = limits_of(values, now)
        models, told = groups_of(values.names("models"))
        team_id = values.name("team_id")
        columns = {
            "id": team_id,
            "alias": values.name("team_alias", most=256),
            "models": list(models),
            "metadata": kept_metadata(values.metadata()),
            "created_at": values.instant("created_at") or now,
            **allowance_columns(limits.allowance),
        }
        told += changes(values, "team") + [f"not enforced any more: {item}" for item in lost]
    except UnfitError as error:
        return Held(name, str(error))
    return Carried(name, columns, f"team:{team_id}", limits.spent, limits.period, tuple(told))


def user_outcome(values: Values, permission: Values | None, now: datetime, *, unsafe: bool) -> Outcome:
    """Return what becomes of a row of LiteLLM_UserTable; its `models` are put into its keys."""
    name = shown_name(values, "user_id")
    try:
        lost = restrictions(values, "user", permission)
        if lost and not unsafe:
            return Held(name, f"not enforced here: {lost[0]}")
        limits = limits_of(values, now)
        user_id = values.name("user_id")
        metadata = kept_metadata(values.metadata())
        columns = {
            "id": user_id,
            "alias": values.name("user_alias", most=256),
            "metadata": metadata,
            "created_at": values.instant("created_at") or now,
            **allowance_columns(limits.allowance),
        }
        told = changes(values, "user") + [f"not enforced any more: {item}" for item in lost]
    except UnfitError as error:
        return Held(name, str(error))
    return Carried(name, columns, f"user:{user_id}", limits.spent, limits.period, tuple(told))


def shown_name(values: Values, column: str) -> str:
    """Return an id as it may be printed in a report."""
    text = values.text(column) or "?"
    return "".join(sign if sign.isprintable() else "?" for sign in text[:80])
