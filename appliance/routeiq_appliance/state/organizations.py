"""Organizations in the database."""

from collections.abc import Sequence

import sqlalchemy as sa

from routeiq_appliance.state.access import transaction
from routeiq_appliance.state.entities import EntityStore
from routeiq_appliance.state.records import OrganizationRecord, allowance_columns
from routeiq_appliance.state.rows import read_organization
from routeiq_appliance.state.tables import keys, members, organizations, teams

__all__ = ["OrganizationStore"]


class OrganizationStore(EntityStore[OrganizationRecord]):
    """Blocking: call from an executor. Raises `StateError` when the database does not answer."""

    def __init__(self, engine: sa.Engine) -> None:
        super().__init__(engine, organizations, read_organization, "organization_id")

    def create(self, organization: OrganizationRecord) -> OrganizationRecord:
        """Add an organization and return it as it is then; raises `TakenError` when its id or alias is taken."""
        return self._insert(
            {
                "id": organization.id,
                "alias": organization.alias,
                "models": list(organization.models),
                "metadata": organization.metadata,
                "created_at": organization.created_at,
                "budget_id": organization.budget_id,
                **allowance_columns(organization.allowance),
            }
        )

    def search(
        self,
        *,
        organization_ids: Sequence[str] | None = None,
        alias: str | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> Sequence[OrganizationRecord]:
        """Return organizations that match all that is given, in the order of their ids; `alias` a part of theirs."""
        tests: list[sa.ColumnElement[bool]] = []
        if organization_ids is not None:
            tests.append(organizations.c.id.in_(organization_ids))
        if alias is not None:
            tests.append(sa.func.lower(organizations.c.alias).contains(alias.lower(), autoescape=True))
        return self.some(*tests, limit=limit, offset=offset)

    def delete(self, organization_ids: Sequence[str]) -> tuple[list[OrganizationRecord], list[str]]:
        """Delete organizations with their teams, the keys of both, and memberships: all, or none when one is missing.

        Returns what was found, and which ids were not.
        """
        with transaction(self._engine) as connection:
            chosen = organizations.c.id.in_(organization_ids)
            # Whoever refers to one holds a lock until committed; only statements after this one see them all.
            connection.execute(sa.select(organizations.c.id).where(chosen).with_for_update())
            query = self._query.where(chosen).order_by(organizations.c.id)
            found = [read_organization(row) for row in connection.execute(query).mappings()]
            here = {organization.id for organization in found}
            missing = [identity for identity in organization_ids if identity not in here]
            if not missing:
                theirs = sa.select(teams.c.id).where(teams.c.organization_id.in_(here)).scalar_subquery()
                connection.execute(
                    keys.delete().where(sa.or_(keys.c.organization_id.in_(here), keys.c.team_id.in_(theirs)))
                )
                of_teams = sa.and_(members.c.kind == "team", members.c.owner_id.in_(theirs))
                own = sa.and_(members.c.kind == "organization", members.c.owner_id.in_(here))
                connection.execute(members.delete().where(sa.or_(of_teams, own)))
                connection.execute(teams.delete().where(teams.c.organization_id.in_(here)))
                connection.execute(organizations.delete().where(organizations.c.id.in_(here)))
        return found, missing
