"""The routes about models and health, bound to what they are about."""

import time
from collections.abc import Callable
from functools import partial

import sqlalchemy as sa
from fastapi import APIRouter

from routeiq_appliance.api.management.context import Context
from routeiq_appliance.api.management.health import health_routes
from routeiq_appliance.api.management.health_checks import HealthChecks
from routeiq_appliance.api.management.models import model_routes
from routeiq_appliance.routing.breaker import Health
from routeiq_appliance.settings import Settings
from routeiq_appliance.state.shared.interface import SharedState
from routeiq_appliance.stored.live import LiveModels
from routeiq_appliance.stored.opening import Stored
from routeiq_appliance.upstreams.interface import Upstream

__all__ = ["live_routes"]


def live_routes(
    settings: Settings,
    engine: sa.Engine,
    shared: SharedState,
    upstream: Upstream,
    stored: Stored,
    live: LiveModels,
    health: Health,
    workers: int,
) -> tuple[Callable[[Context], APIRouter], ...]:
    """Return what makes the routes."""

    def ask_database() -> None:
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT 1"))

    return (
        partial(
            model_routes,
            live=live,
            store=stored.store,
            judge=stored.judge,
            breaker=lambda name: health.shown(name, time.monotonic()),
        ),
        partial(
            health_routes,
            live=live,
            checks=HealthChecks(upstream),
            workers=workers,
            ask_database=ask_database,
            database="sqlite" if settings.database_url is None else "postgres",
            redis=None if settings.redis_url is None else lambda: shared.degraded,
        ),
    )
