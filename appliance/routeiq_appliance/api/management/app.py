"""Composes the management application from its routers."""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Executor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import sqlalchemy as sa
from fastapi import APIRouter, FastAPI

from routeiq_appliance.api.management.budgets import budget_routes
from routeiq_appliance.api.management.context import Context, Flush, ReadLogs, ReadSpend
from routeiq_appliance.api.management.decisions import decision_routes
from routeiq_appliance.api.management.errors import install_errors
from routeiq_appliance.api.management.global_spend import global_routes
from routeiq_appliance.api.management.keys import key_routes
from routeiq_appliance.api.management.members import member_routes
from routeiq_appliance.api.management.organizations import organization_routes
from routeiq_appliance.api.management.report_writer import ReportWriter
from routeiq_appliance.api.management.reports import report_routes
from routeiq_appliance.api.management.spend import spend_routes
from routeiq_appliance.api.management.teams import team_routes
from routeiq_appliance.api.management.users import user_routes
from routeiq_appliance.api.reference.routes import reference_routes
from routeiq_appliance.pipeline.types import Principal
from routeiq_appliance.state.budgets import BudgetStore
from routeiq_appliance.state.keys import KeyStore
from routeiq_appliance.state.members import MemberStore
from routeiq_appliance.state.organizations import OrganizationStore
from routeiq_appliance.state.shared.interface import SharedState
from routeiq_appliance.state.teams import TeamStore
from routeiq_appliance.state.users import UserStore

__all__ = ["build_management"]


def _now() -> datetime:
    return datetime.now(UTC)


def build_management(
    *,
    keys: KeyStore,
    teams: TeamStore,
    users: UserStore,
    organizations: OrganizationStore,
    budgets: BudgetStore,
    members: MemberStore,
    shared: SharedState | None,
    executor: Executor,
    groups: AbstractSet[str],
    request_id: Callable[[], str],
    load_spend: ReadSpend,
    spend_logs: ReadLogs,
    flush: Flush,
    engine: sa.Engine,
    folder: Path,
    principal: Callable[[], Principal | None],
    strategies: frozenset[str] | None = None,
    now: Callable[[], datetime] = _now,
    more: Sequence[Callable[[Context], APIRouter]] = (),
) -> FastAPI:
    """Return the application; FastAPI's documentation pages are off, they load scripts from the internet.

    `load_spend` and `spend_logs` are those of `state.spend`, bound to `engine`, which reports read; they are written
    to `folder` before they are sent. `principal` tells who makes the
    current request: a key may see itself. `strategies` are the names that `metadata.routeiq.strategy` may have; None
    accepts any. `groups` may change. `more` makes further routes.
    """
    context = Context(
        keys,
        teams,
        users,
        organizations,
        budgets,
        members,
        shared,
        executor,
        groups,
        strategies,
        load_spend,
        spend_logs,
        flush,
        principal,
        now,
    )
    app = FastAPI(title="RouteIQ Appliance", docs_url=None, redoc_url=None, openapi_url=None)
    writer = ReportWriter(context, engine, folder)
    own: tuple[Callable[[Context], APIRouter], ...] = (
        key_routes,
        team_routes,
        user_routes,
        member_routes,
        organization_routes,
        budget_routes,
        partial(spend_routes, writer=writer),
        decision_routes,
        partial(report_routes, writer=writer),
        partial(global_routes, engine=engine),
    )
    for make in (*own, *more):
        app.include_router(make(context))
    app.include_router(reference_routes(context, management=app.openapi))
    install_errors(app, request_id)
    return app
