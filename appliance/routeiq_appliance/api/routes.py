"""The table of the data plane's routes: path, methods, who may, handler."""

from routeiq_appliance.api.console import ConsoleRoutes
from routeiq_appliance.api.health import HealthRoutes
from routeiq_appliance.api.openai import OpenAIRoutes
from routeiq_appliance.api.server import Access, Route

__all__ = ["routes_of"]


def routes_of(openai: OpenAIRoutes, health: HealthRoutes, console: ConsoleRoutes) -> list[Route]:
    """Return the table; what is not in it is the management API's."""
    routes = [
        Route("/_health/live", ("GET",), Access.OPEN, health.live),
        Route("/health/liveliness", ("GET",), Access.OPEN, health.live),
        Route("/health/liveness", ("GET",), Access.OPEN, health.live),
        Route("/health/readiness", ("GET",), Access.OPEN, health.readiness),
        Route("/ui/", ("GET",), Access.BROWSER, console.serve),
    ]
    # LiteLLM's proxy answers with and without the version.
    for prefix in ("/v1", ""):
        routes += [
            Route(f"{prefix}/chat/completions", ("POST",), Access.KEY, openai.chat),
            Route(f"{prefix}/completions", ("POST",), Access.KEY, openai.completions),
            Route(f"{prefix}/embeddings", ("POST",), Access.KEY, openai.embeddings),
            Route(f"{prefix}/models", ("GET",), Access.KEY, openai.models),
        ]
    return routes
