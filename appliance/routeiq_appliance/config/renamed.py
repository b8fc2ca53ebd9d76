"""Environment variables of earlier gateways that are not read here, and what took their place. Pure.

Two origins: RouteIQ's prototype (`LLMROUTER_*`), and LiteLLM's proxy. Whoever sets one is told at every start.
"""

from collections.abc import Iterator, Mapping

__all__ = ["GONE", "RENAMED", "renamed", "render_renamed"]

RENAMED = {
    # RouteIQ's prototype.
    "LLMROUTER_MODELS_PATH": "ROUTEIQ_MODELS_PATH",
    "LLMROUTER_ALLOW_PRIVATE_IPS": "ROUTEIQ_SSRF_ALLOW_PRIVATE",
    "LLMROUTER_SSRF_ALLOWLIST_HOSTS": "ROUTEIQ_SSRF_HOST_ALLOWLIST",
    "LLMROUTER_SSRF_ALLOWLIST_CIDRS": "ROUTEIQ_SSRF_CIDR_ALLOWLIST",
    "LLMROUTER_OTEL_SAMPLE_RATE": "OTEL_TRACES_SAMPLER_ARG",
    # Both.
    "REDIS_HOST": "REDIS_URL",
    "REDIS_PORT": "REDIS_URL",
    "REDIS_PASSWORD": "REDIS_URL",
    # LiteLLM's proxy.
    "CONFIG_FILE_PATH": "LITELLM_CONFIG_PATH",
    "DATABASE_HOST": "DATABASE_URL",
    "DATABASE_NAME": "DATABASE_URL",
    "DATABASE_PASSWORD": "DATABASE_URL",
    "DATABASE_PORT": "DATABASE_URL",
    "DATABASE_SCHEMA": "DATABASE_URL",
    "DATABASE_USER": "DATABASE_URL",
    "DATABASE_USERNAME": "DATABASE_URL",
    "LITELLM_LOG": "ROUTEIQ_LOG_LEVEL",
    "OTEL_ENDPOINT": "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER": "OTEL_TRACES_EXPORTER",
    "OTEL_HEADERS": "OTEL_EXPORTER_OTLP_HEADERS",
    "REDIS_SSL": "REDIS_URL",
    "REDIS_USERNAME": "REDIS_URL",
}
"""Old name → the variable that is read."""

GONE = {
    "LLMROUTER_HOT_RELOAD": "its name is ROUTEIQ_HOT_RELOAD, which this release does not read: SIGHUP replaces the "
    "workers, which read the file again",
    "LLMROUTER_RELOAD_INTERVAL": "its name is ROUTEIQ_RELOAD_INTERVAL, which this release does not read: SIGHUP "
    "replaces the workers, which read the file again",
    "MCP_HA_SYNC_ENABLED": "it has no meaning any more",
    "NUM_WORKERS": "`routeiq serve --workers` is used",
    "REDIS_CLUSTER_NODES": "one Redis is used: REDIS_URL",
    "REDIS_SENTINEL_NODES": "one Redis is used: REDIS_URL",
    "SERVER_ROOT_PATH": "the gateway is served at the root: the proxy in front takes a prefix away",
    "UI_PASSWORD": "there is no sign-in: the console takes a key",
    "UI_USERNAME": "there is no sign-in: the console takes a key",
    "USE_PRISMA_MIGRATE": "`routeiq admin migrate` changes the schema",
}
"""Old name → what to know instead of it."""

_PROTOTYPE = "LLMROUTER_"
_SERVICE = "tcp://"
"""How Kubernetes writes `REDIS_PORT` for a Service called `redis`: nobody set that."""


def renamed(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each variable that is set and not read, and what to do; never its value."""
    for name, value in sorted(environ.items()):
        if not value or value.startswith(_SERVICE):
            continue
        if name in RENAMED:
            yield name, f"use {RENAMED[name]}"
        elif name in GONE:
            yield name, GONE[name]
        elif name.startswith(_PROTOTYPE):
            yield name, "it has no meaning any more"


def render_renamed() -> str:
    """Return the table of docs/moving-from-litellm.md; a test compares the two."""
    rows = [(name, f"`{new}`") for name, new in RENAMED.items()] + list(GONE.items())
    lines = [f"| `{name}` | {what} |" for name, what in sorted(rows)]
    return "\n".join(
        [
            "| not read | instead |",
            "|-|-|",
            *lines,
            f"| any other `{_PROTOTYPE}*` | it has no meaning any more |",
        ]
    )
