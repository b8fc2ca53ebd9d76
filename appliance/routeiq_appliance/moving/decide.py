"""Hands each row the rows that it names, and remembers which of them stay behind. Pure but for reading `Staging`."""

from collections.abc import Iterator

from routeiq_appliance.moving import tables
from routeiq_appliance.moving.keys import key_outcome
from routeiq_appliance.moving.outcome import Held, Outcome
from routeiq_appliance.moving.people import (
    Named,
    Terms,
    budget_outcome,
    members_of_team,
    organization_member,
    organization_outcome,
    team_outcome,
    user_outcome,
)
from routeiq_appliance.moving.staging import Row, Staging
from routeiq_appliance.moving.values import UnfitError, Values

__all__ = ["Decider"]

_ID = {"budgets": "budget_id", "organizations": "organization_id", "teams": "team_id", "users": "user_id"}
_PEOPLE = {
    "budgets": budget_outcome,
    "organizations": organization_outcome,
    "teams": team_outcome,
    "users": user_outcome,
}
_NAMES = {
    "organizations": ("budgets",),
    "teams": ("organizations",),
    "users": (),
    "keys": ("budgets", "organizations", "teams", "users"),
    "budgets": (),
}
"""Kind of row → the kinds that it names, each by its id's column."""


class Decider:
    """One per run; kinds are decided in the order in which they are written."""

    def __init__(self, staging: Staging, pepper: bytes, terms: Terms) -> None:
        self._staging = staging
        self._pepper = pepper
        self._terms = terms
        self._held: dict[str, set[str]] = {kind: set() for kind in _ID}
        self._lost_members: set[tuple[str, str]] = set()

    def decide(self, kind: str, table: str, row: Row) -> Iterator[Outcome]:
        """Yield what becomes of a row; a team's row holds its members."""
        values = Values(row)
        if kind == "members":
            yield from self._members(table, values)
            return
        named = self._named(kind, values)
        if kind == "keys":
            yield key_outcome(values, named, self._pepper, self._terms)
            return
        outcome = _PEOPLE[kind](values, named, self._terms)
        if isinstance(outcome, Held):
            self._held[kind].add(row[_ID[kind]] or "")
        yield outcome

    def _named(self, kind: str, values: Values) -> Named:
        held = next(
            (
                other.removesuffix("s")
                for other in _NAMES[kind]
                if values.text(_ID[other]) in self._held[other]
            ),
            None,
        )
        team, user = values.text("team_id"), values.text("user_id")
        if kind == "keys" and (team, user) in self._lost_members:
            held = held or "user's membership of its team"
        of_key = kind == "keys"
        return Named(
            team=self._find(tables.TEAMS, team) if of_key else None,
            user=self._find(tables.USERS, user) if of_key else None,
            budget=self._find(tables.BUDGETS, values.text("budget_id"))
            if "budgets" in _NAMES[kind]
            else None,
            permission=self._find(tables.PERMISSIONS, values.text("object_permission_id")),
            held=held,
        )

    def _members(self, table: str, values: Values) -> Iterator[Outcome]:
        if table == tables.ORGANIZATION_MEMBERS:
            if values.text("organization_id") not in self._held["organizations"]:
                yield organization_member(values, *self._budget(values.text("budget_id")), self._terms)
            return
        team = values.text("team_id") or ""
        if team in self._held["teams"]:
            return
        default = self._default_budget(values)

        def membership(user: str) -> tuple[Values | None, Values | None, bool]:
            row = self._find(tables.TEAM_MEMBERS, f"{team}\n{user}")
            named = row.text("budget_id") if row is not None else None
            budget, held = self._budget(named or default)
            if held:
                self._lost_members.add((team, user))
            return row, budget, held

        others = self._staging.identities(tables.TEAM_MEMBERS, f"{team}\n")
        yield from members_of_team(values, others, membership, self._terms)

    def _default_budget(self, values: Values) -> str | None:
        try:
            found = values.object("metadata").get("team_member_budget_id")
        except UnfitError:
            return None
        return found if isinstance(found, str) else None

    def _budget(self, identity: str | None) -> tuple[Values | None, bool]:
        return self._find(tables.BUDGETS, identity), identity in self._held["budgets"]

    def _find(self, table: str, identity: str | None) -> Values | None:
        row = self._staging.find(table, identity) if identity is not None else None
        return None if row is None else Values(row)
