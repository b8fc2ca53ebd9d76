"""The table of the data plane's routes: path, methods, who may, handler."""

from routeiq_appliance.api.anthropic import AnthropicRoutes
from routeiq_appliance.api.azure import PREFIXES, AzureRoutes
from routeiq_appliance.api.console import ConsoleRoutes
from routeiq_appliance.api.dataplane import DataPlane
from routeiq_appliance.api.framing import anthropic_error
from routeiq_appliance.api.health import HealthRoutes
from routeiq_appliance.api.media import MediaRoutes
from routeiq_appliance.api.openai import OpenAIRoutes
from routeiq_appliance.api.server import Access, Route

__all__ = ["routes_of"]


def routes_of(plane: DataPlane, health: HealthRoutes, console: ConsoleRoutes) -> list[Route]:
    """Return the table; what is not in it is the management API's."""
    openai, anthropic, media = OpenAIRoutes(plane), AnthropicRoutes(plane), MediaRoutes(plane)
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
            Route(f"{prefix}/models/", ("GET",), Access.KEY, openai.model),
            Route(f"{prefix}/responses", ("POST",), Access.KEY, openai.responses),
            Route(f"{prefix}/rerank", ("POST",), Access.KEY, media.rerank),
            Route(f"{prefix}/moderations", ("POST",), Access.KEY, media.moderations),
            Route(f"{prefix}/images/generations", ("POST",), Access.KEY, media.images),
            Route(f"{prefix}/audio/speech", ("POST",), Access.KEY, media.speech),
            Route(f"{prefix}/audio/transcriptions", ("POST",), Access.KEY, media.transcriptions),
        ]
    azure = AzureRoutes(plane)
    routes += [Route(prefix, ("POST",), Access.KEY, azure.deployment) for prefix in PREFIXES]
    routes += [
        Route("/v2/rerank", ("POST",), Access.KEY, media.rerank),
        Route("/v1/messages", ("POST",), Access.KEY, anthropic.messages, anthropic_error),
        Route("/v1/messages/count_tokens", ("POST",), Access.KEY, anthropic.count_tokens, anthropic_error),
    ]
    return routes
