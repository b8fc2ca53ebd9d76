"""LiteLLM's budgets, organizations, teams, users and members → ours. Pure: the rows that one names are handed in."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from routeiq_appliance.moving.allowance import Limits, groups_of, limits_of
from routeiq_appliance.moving.outcome import Carried, Held, Outcome
from routeiq_appliance.moving.restrictions import Kind, changes, kept_metadata, restrictions
from routeiq_appliance.moving.values import UnfitError, Values
from routeiq_appliance.pipeline.principal import member_scope
from routeiq_appliance.pipeline.roles import USER_ROLES
from routeiq_appliance.state.records import MemberRecord, allowance_columns

__all__ = [
    "Named", "Terms", "budget_outcome", "members_of_team", "organization_member", "organization_outcome", "shown_name",
    "team_outcome", "user_outcome",
]  # fmt: skip

_MANAGES = "its keys manage this gateway, as they did there"
_MOST_MEMBERS = 100_000


@dataclass(frozen=True, slots=True)
class Named:
    """The rows that a row names, as far as there are any."""

    team: Values | None = None
    user: Values | None = None
    budget: Values | None = None
    permission: Values | None = None
    held: str | None = None
    """Which of those that it names was not carried: without it the row's limits would be gone."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How a run decides: `unsafe` carries rows without limits that are not enforced here."""

    now: datetime
    unsafe: bool


def budget_outcome(values: Values, _named: Named, terms: Terms) -> Outcome:
    """Return what becomes of a row of LiteLLM_BudgetTable."""

    def columns() -> tuple[dict[str, Any], Limits]:
        limits = limits_of(values, terms.now)
        made = values.instant("created_at") or terms.now
        named = {
            "id": values.name("budget_id"),
            "created_at": made,
            "updated_at": values.instant("updated_at") or made,
        }
        return {**named, **_only_limits(limits)}, limits

    return _decided(values, "budget", Named(), terms, columns)


def organization_outcome(values: Values, named: Named, terms: Terms) -> Outcome:
    """Return what becomes of a row of LiteLLM_OrganizationTable."""

    def columns() -> tuple[dict[str, Any], Limits]:
        limits = limits_of(values, terms.now, named.budget)
        return {
            "id": values.name("organization_id"),
            "alias": values.name("organization_alias", most=256),
            "models": list(groups_of(values.names("models"))[0]),
            "budget_id": values.name("budget_id"),
            **_owner(values, limits, terms),
        }, limits

    return _decided(values, "organization", named, terms, columns)


def team_outcome(values: Values, named: Named, terms: Terms) -> Outcome:
    """Return what becomes of a row of LiteLLM_TeamTable."""

    def columns() -> tuple[dict[str, Any], Limits]:
        limits = limits_of(values, terms.now)
        return {
            "id": values.name("team_id"),
            "alias": values.name("team_alias", most=256),
            "models": list(groups_of(values.names("models"))[0]),
            "organization_id": values.name("organization_id"),
            **_owner(values, limits, terms),
        }, limits

    return _decided(values, "team", named, terms, columns)


def user_outcome(values: Values, named: Named, terms: Terms) -> Outcome:
    """Return what becomes of a row of LiteLLM_UserTable."""
    role = values.text("user_role")
    more = [_MANAGES] if USER_ROLES.get(role or "") is not None else []
    if role is not None and role not in USER_ROLES:
        more = ["its role has no counterpart here: its keys have none"]

    def columns() -> tuple[dict[str, Any], Limits]:
        limits = limits_of(values, terms.now)
        return {
            "id": values.name("user_id"),
            "alias": values.name("user_alias", most=256),
            "models": list(groups_of(values.names("models"))[0]),
            "email": values.name("user_email", most=320),
            "role": role if role in USER_ROLES else None,
            **_owner(values, limits, terms),
        }, limits

    return _decided(values, "user", named, terms, columns, more)


def members_of_team(
    values: Values,
    others: Iterable[str],
    membership: Callable[[str], tuple[Values | None, Values | None, bool]],
    terms: Terms,
) -> Iterator[Outcome]:
    """Yield what becomes of each member of a team: those that its row lists, and `others`, who have a membership.

    `membership` returns, for a user's id, its row of LiteLLM_TeamMembership, the row of its budget, and whether that
    budget stays behind.
    """
    name = shown_name(values, "team_id")
    try:
        roles = _roles(values)
        team_id = values.name("team_id")
    except UnfitError as error:
        yield Held(name, str(error))
        return
    roles |= {user: "user" for user in others if user not in roles}
    for user, role in roles.items():
        yield _member("team", team_id, user, role, membership(user), terms)


def organization_member(values: Values, budget: Values | None, held: bool, terms: Terms) -> Outcome:
    """Return what becomes of a row of LiteLLM_OrganizationMembership."""
    try:
        owner, user = values.name("organization_id"), values.name("user_id") or ""
    except UnfitError as error:
        return Held(shown_name(values, "organization_id"), str(error))
    role = "admin" if values.text("user_role") == "org_admin" else "user"
    return _member("organization", owner, user, role, (values, budget, held), terms)


def shown_name(values: Values, column: str) -> str:
    """Return an id as it may be printed in a report."""
    return _printable(values.text(column) or "?")


def _roles(values: Values) -> dict[str, str]:
    """Return user → role of those that a team's row lists; raises `UnfitError`."""
    listed = values.json("members_with_roles")
    roles = dict.fromkeys(values.names("members"), "user") | dict.fromkeys(values.names("admins"), "admin")
    # Its default is an empty object.
    if listed is None or isinstance(listed, dict):
        return roles
    if not isinstance(listed, list) or len(listed) > _MOST_MEMBERS:
        raise UnfitError("members_with_roles: not a list of members")
    for entry in listed:
        user = entry.get("user_id") if isinstance(entry, dict) else None
        if isinstance(user, str) and user:
            roles[user] = "admin" if entry.get("role") == "admin" else "user"
    return roles


def _member(
    kind: str,
    owner: str | None,
    user: str,
    role: str,
    found: tuple[Values | None, Values | None, bool],
    terms: Terms,
) -> Outcome:
    row, budget, held = found
    name = _printable(f"{user} of {owner}")
    try:
        if held:
            return Held(name, "its budget was not carried")
        if len(user) > 128 or not user.isprintable():
            raise UnfitError("user_id: longer than 128 characters, or with characters that cannot be printed")
        limits = limits_of(budget if budget is not None else Values({}), terms.now)
        spent = row.dollars("spend") or 0 if row is not None else 0
    except UnfitError as error:
        return Held(name, str(error))
    columns = {
        "kind": kind, "owner_id": owner, "user_id": user, "role": role, "created_at": terms.now, **_only_limits(limits),
    }  # fmt: skip
    # Members of organizations have no limits of their own here.
    scope = member_scope(MemberRecord("team", owner or "", user, role, terms.now)) if kind == "team" else ""
    return Carried(name, columns, scope, spent, limits.period)


def _decided(
    values: Values,
    kind: Kind,
    named: Named,
    terms: Terms,
    columns: Callable[[], tuple[dict[str, Any], Limits]],
    more: list[str] | None = None,
) -> Outcome:
    name = shown_name(values, f"{kind}_id")
    if named.held is not None:
        return Held(name, f"its {named.held} was not carried")
    try:
        lost = restrictions(values, kind, named.permission)
        if lost and not terms.unsafe:
            return Held(name, f"not enforced here: {lost[0]}")
        made, limits = columns()
        told = changes(values, kind) + [f"not enforced any more: {item}" for item in lost] + (more or [])
        if kind != "budget":
            told += groups_of(values.names("models"))[1]
    except UnfitError as error:
        return Held(name, str(error))
    return Carried(
        name,
        made,
        "" if kind == "budget" else f"{kind}:{made['id']}",
        limits.spent,
        limits.period,
        tuple(told),
    )


def _owner(values: Values, limits: Limits, terms: Terms) -> dict[str, Any]:
    return {
        "metadata": kept_metadata(values.metadata()),
        "created_at": values.instant("created_at") or terms.now,
        **allowance_columns(limits.allowance),
    }


def _only_limits(limits: Limits) -> dict[str, Any]:
    return {name: value for name, value in allowance_columns(limits.allowance).items() if name != "blocked"}


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text[:80])
