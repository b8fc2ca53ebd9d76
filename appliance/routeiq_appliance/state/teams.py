"""Teams in the database."""

from collections.abc import Sequence

import sqlalchemy as sa

from routeiq_appliance.state.access import transaction
from routeiq_appliance.state.entities import EntityStore
from routeiq_appliance.state.records import TeamRecord, allowance_columns
from routeiq_appliance.state.rows import read_team
from routeiq_appliance.state.tables import keys, members, teams

__all__ = ["TeamStore"]


class TeamStore(EntityStore[TeamRecord]):
    """Blocking: call from an executor. Raises `StateError` when the database does not answer."""

    def __init__(self, engine: sa.Engine) -> None:
        super().__init__(engine, teams, read_team, "team_id")

    def create(self, team: TeamRecord) -> TeamRecord:
        """Add a team and return it as it is then; raises `TakenError` when its id or alias is taken."""
        return self._insert(
            {
                "id": team.id,
                "alias": team.alias,
                "models": list(team.models),
                "metadata": team.metadata,
                "created_at": team.created_at,
                "organization_id": team.organization_id,
                "budget_id": team.budget_id,
                **allowance_columns(team.allowance),
            }
        )

    def search(
        self,
        *,
        user_id: str | None = None,
        organization_id: str | None = None,
        organization_ids: Sequence[str] | None = None,
        team_ids: Sequence[str] | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> Sequence[TeamRecord]:
        """Return teams that match all that is given, in the order of their ids; `user_id` is a member's."""
        tests: list[sa.ColumnElement[bool]] = []
        if user_id is not None:
            has = sa.select(members.c.owner_id).where(members.c.kind == "team", members.c.user_id == user_id)
            tests.append(teams.c.id.in_(has))
        if organization_id is not None:
            tests.append(teams.c.organization_id == organization_id)
        if organization_ids is not None:
            tests.append(teams.c.organization_id.in_(organization_ids))
        if team_ids is not None:
            tests.append(teams.c.id.in_(team_ids))
        return self.some(*tests, limit=limit, offset=offset)

    def delete(self, team_ids: Sequence[str]) -> tuple[list[TeamRecord], list[str]]:
        """Delete teams with their keys and memberships: all of them, or none when one does not exist.

        Returns what was found, and which ids were not.
        """
        with transaction(self._engine) as connection:
            query = self._query.where(teams.c.id.in_(team_ids)).order_by(teams.c.id)
            found = [read_team(row) for row in connection.execute(query).mappings()]
            here = {team.id for team in found}
            missing = [identity for identity in team_ids if identity not in here]
            if not missing:
                connection.execute(keys.delete().where(keys.c.team_id.in_(here)))
                connection.execute(
                    members.delete().where(members.c.kind == "team", members.c.owner_id.in_(here))
                )
                connection.execute(teams.delete().where(teams.c.id.in_(here)))
        return found, missing
