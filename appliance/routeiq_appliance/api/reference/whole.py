"""The document of a gateway that need not run: the routes are made, over nothing, and never called."""

from functools import partial
from importlib.metadata import version
from typing import Any

from routeiq_appliance.api.management.app import build_management
from routeiq_appliance.api.management.health import health_routes
from routeiq_appliance.api.management.models import model_routes
from routeiq_appliance.api.reference.document import describe

__all__ = ["whole_document"]


def whole_document() -> dict[str, Any]:
    """Return what `GET /openapi.json` answers; a test compares the two."""
    nothing: Any = None
    app = build_management(
        keys=nothing,
        teams=nothing,
        users=nothing,
        organizations=nothing,
        budgets=nothing,
        members=nothing,
        shared=nothing,
        executor=nothing,
        groups=frozenset(),
        request_id=str,
        load_spend=nothing,
        spend_logs=nothing,
        flush=nothing,
        engine=nothing,
        folder=nothing,
        principal=lambda: None,
        more=(
            partial(model_routes, live=nothing, store=nothing, judge=nothing),
            partial(
                health_routes,
                live=nothing,
                checks=nothing,
                ask_database=nothing,
                database="sqlite",
                redis=None,
            ),
        ),
    )
    return describe(app.openapi(), version=version("routeiq-appliance"))
