"""Rows → records, and the joins that bring what a row refers to in the same read.

Columns are labelled with the name of their table and `_`; each table that may refer to a named budget is joined with
an alias of `budgets` of its own.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from routeiq_appliance.state.records import (
    Allowance,
    BudgetRecord,
    Holder,
    KeyRecord,
    MemberRecord,
    OrganizationRecord,
    TeamRecord,
    UserRecord,
)
from routeiq_appliance.state.tables import budgets, keys, members, organizations, teams, users

__all__ = [
    "BUDGETED",
    "holders",
    "read_budget",
    "read_holder",
    "read_key",
    "read_member",
    "read_organization",
    "read_team",
    "read_user",
    "with_budget",
]

BUDGETED = (keys, teams, users, organizations)
"""The tables whose rows may refer to a named budget."""
_LIMITS = (
    "rpm_limit", "tpm_limit", "max_parallel_requests", "max_budget", "budget_duration", "budget_anchor",
)  # fmt: skip


def with_budget(table: sa.Table) -> sa.Select[Any]:
    """Return the query of a table's rows, each with its named budget."""
    budget = _budget_of(table)
    return _labelled(
        sa.select(table, *_columns_of(budget)).select_from(
            table.outerjoin(budget, table.c.budget_id == budget.c.id)
        )
    )


def holders() -> sa.Select[Any]:
    """Return the query of keys, each with all that it belongs to: the one read of authentication."""
    named = {table.name: _budget_of(table) for table in BUDGETED}
    joined: sa.FromClause = (
        keys.outerjoin(teams, keys.c.team_id == teams.c.id)
        .outerjoin(users, keys.c.user_id == users.c.id)
        .outerjoin(
            organizations,
            organizations.c.id == sa.func.coalesce(teams.c.organization_id, keys.c.organization_id),
        )
        .outerjoin(
            members,
            sa.and_(
                members.c.kind == "team",
                members.c.owner_id == keys.c.team_id,
                members.c.user_id == keys.c.user_id,
            ),
        )
    )
    for table in BUDGETED:
        budget = named[table.name]
        joined = joined.outerjoin(budget, table.c.budget_id == budget.c.id)
    columns = [column for budget in named.values() for column in _columns_of(budget)]
    return _labelled(sa.select(keys, teams, users, organizations, members, *columns).select_from(joined))


def read_holder(row: Mapping[Any, Any]) -> Holder:
    """Return the key in a row of `holders`, with all that it belongs to."""
    return Holder(
        read_key(row),
        None if row["teams_id"] is None else read_team(row),
        None if row["users_id"] is None else read_user(row),
        None if row["organizations_id"] is None else read_organization(row),
        None if row["members_user_id"] is None else read_member(row),
    )


def read_key(row: Mapping[Any, Any]) -> KeyRecord:
    """Return the key in a row."""
    return KeyRecord(
        row["keys_id"],
        row["keys_hint"],
        row["keys_alias"],
        tuple(row["keys_models"]),
        dict(row["keys_metadata"]),
        row["keys_created_at"],
        row["keys_expires_at"],
        row["keys_team_id"],
        row["keys_user_id"],
        dict(row["keys_model_limits"]),
        bool(row["keys_fail_closed"]),
        _allowance(row, "keys"),
        row["keys_organization_id"],
        row["keys_role"],
        row["keys_key_type"],
        row["keys_created_by"],
        row["keys_updated_at"],
        row["keys_budget_id"],
        _budget(row, "keys"),
    )


def read_team(row: Mapping[Any, Any]) -> TeamRecord:
    """Return the team in a row."""
    return TeamRecord(
        row["teams_id"],
        row["teams_alias"],
        tuple(row["teams_models"]),
        dict(row["teams_metadata"]),
        row["teams_created_at"],
        _allowance(row, "teams"),
        row["teams_organization_id"],
        row["teams_budget_id"],
        _budget(row, "teams"),
    )


def read_user(row: Mapping[Any, Any]) -> UserRecord:
    """Return the user in a row."""
    return UserRecord(
        row["users_id"],
        row["users_alias"],
        dict(row["users_metadata"]),
        row["users_created_at"],
        _allowance(row, "users"),
        tuple(row["users_models"]),
        row["users_role"],
        row["users_email"],
        row["users_budget_id"],
        _budget(row, "users"),
    )


def read_organization(row: Mapping[Any, Any]) -> OrganizationRecord:
    """Return the organization in a row."""
    return OrganizationRecord(
        row["organizations_id"],
        row["organizations_alias"],
        tuple(row["organizations_models"]),
        dict(row["organizations_metadata"]),
        row["organizations_created_at"],
        _allowance(row, "organizations"),
        row["organizations_budget_id"],
        _budget(row, "organizations"),
    )


def read_member(row: Mapping[Any, Any]) -> MemberRecord:
    """Return the member in a row."""
    return MemberRecord(
        row["members_kind"],
        row["members_owner_id"],
        row["members_user_id"],
        row["members_role"],
        row["members_created_at"],
        _limits(row, "members_"),
    )


def read_budget(row: Mapping[Any, Any]) -> BudgetRecord:
    """Return the named budget in a row."""
    return BudgetRecord(
        row["budgets_id"], row["budgets_created_at"], row["budgets_updated_at"], _limits(row, "budgets_")
    )


def _labelled(query: sa.Select[Any]) -> sa.Select[Any]:
    return query.set_label_style(sa.LABEL_STYLE_TABLENAME_PLUS_COL)


def _budget_of(table: sa.Table) -> sa.FromClause:
    return budgets.alias(f"{table.name}_named")


def _columns_of(budget: sa.FromClause) -> list[sa.ColumnElement[Any]]:
    return [budget.c[name] for name in ("id", *_LIMITS)]


def _budget(row: Mapping[Any, Any], table: str) -> Allowance | None:
    return None if row[f"{table}_named_id"] is None else _limits(row, f"{table}_named_")


def _allowance(row: Mapping[Any, Any], table: str) -> Allowance:
    return _limits(row, f"{table}_", blocked=bool(row[f"{table}_blocked"]))


def _limits(row: Mapping[Any, Any], prefix: str, *, blocked: bool = False) -> Allowance:
    return Allowance(
        row[f"{prefix}rpm_limit"],
        row[f"{prefix}tpm_limit"],
        row[f"{prefix}max_parallel_requests"],
        row[f"{prefix}max_budget"],
        row[f"{prefix}budget_duration"],
        row[f"{prefix}budget_anchor"],
        blocked,
    )
