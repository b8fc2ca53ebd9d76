"""Teams in the database."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from routeiq_appliance.state.access import transaction
from routeiq_appliance.state.records import TeamRecord, allowance_columns, anchored, read_allowance
from routeiq_appliance.state.tables import teams

__all__ = ["TeamStore", "read_team"]


class TeamStore:
    """Blocking: call from an executor. Raises `StateError` when the database does not answer."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def create(self, team: TeamRecord) -> None:
        """Add a team; raises `TakenError` when its id or alias is taken."""
        row = {
            "id": team.id,
            "alias": team.alias,
            "models": list(team.models),
            "metadata": team.metadata,
            "created_at": team.created_at,
            **allowance_columns(team.allowance),
        }
        with transaction(self._engine) as connection:
            taken = connection.execute(sa.select(teams.c.id).where(teams.c.id == team.id)).first()
        field = ("team_id", team.id) if taken else ("team_alias", team.alias or "")
        with transaction(self._engine, taken=field) as connection:
            connection.execute(teams.insert().values(row))

    def get(self, team_id: str) -> TeamRecord | None:
        """Return a team, or None when there is none."""
        with transaction(self._engine) as connection:
            return _get(connection, team_id)

    def update(self, team_id: str, changes: Mapping[str, Any], *, now: datetime) -> TeamRecord | None:
        """Change columns and return the team; None when there is none. Raises `TakenError` for its alias."""
        with transaction(self._engine, taken=("team_alias", str(changes.get("alias")))) as connection:
            before = _get(connection, team_id)
            if before is None:
                return None
            values = anchored(changes, before.allowance, now)
            if values:
                connection.execute(teams.update().where(teams.c.id == team_id).values(values))
            return _get(connection, team_id)


def read_team(row: Mapping[Any, Any]) -> TeamRecord | None:
    """Return the team in a row with labelled columns; None when an outer join found none."""
    if row["teams_id"] is None:
        return None
    return TeamRecord(
        row["teams_id"],
        row["teams_alias"],
        tuple(row["teams_models"]),
        dict(row["teams_metadata"]),
        row["teams_created_at"],
        read_allowance(row, "teams_"),
    )


def _get(connection: sa.Connection, team_id: str) -> TeamRecord | None:
    query = sa.select(teams).where(teams.c.id == team_id)
    labelled = query.set_label_style(sa.LABEL_STYLE_TABLENAME_PLUS_COL)
    row = connection.execute(labelled).mappings().one_or_none()
    return None if row is None else read_team(row)
