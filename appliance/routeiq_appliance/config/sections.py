"""The schema of LiteLLM's sections beside `model_list`: what the gateway acts on is typed, the rest kept and told."""

from typing import Annotated, Any, Literal

from pydantic import Field

from routeiq_appliance.config.values import Acted, Fallbacks, Group, Number, Whole

__all__ = ["BALANCING", "GeneralSettings", "LitellmSettings", "Reliability", "RouterSettings"]

BALANCING = {
    "round-robin": "round-robin",
    "weighted": "weighted",
    "random": "random",
    "least-busy": "least-busy",
    "lowest-latency": "lowest-latency",
    "lowest-cost": "lowest-cost",
    "usage-based": "usage-based",
    "order": "order",
    "simple-shuffle": "weighted",
    "latency-based-routing": "lowest-latency",
    "cost-based-routing": "lowest-cost",
    "usage-based-routing": "usage-based",
    "usage-based-routing-v2": "usage-based",
}
"""Every accepted `routing_strategy`, ours then LiteLLM's → the balancing strategy that it means."""


class Reliability(Acted):
    """What LiteLLM accepts in `router_settings` and in `litellm_settings`; the former wins."""

    num_retries: Annotated[
        Whole | None, Field(ge=0, le=20, description="Further attempts in a group after the first; default 2")
    ] = None
    fallbacks: Annotated[
        Fallbacks | None,
        Field(description="`[{group: [group, …]}]`: groups to try, in order, when one cannot answer"),
    ] = None
    context_window_fallbacks: Annotated[
        Fallbacks | None, Field(description="The same, for calls that are too long for the group's model")
    ] = None
    default_fallbacks: Annotated[
        list[Group] | None, Field(description="Groups to try for a group that has no entry in `fallbacks`")
    ] = None
    allowed_fails: Annotated[
        Whole | None,
        Field(
            ge=0,
            description="Failures in a minute after which a deployment rests; unset: the breaker alone decides",
        ),
    ] = None
    cooldown_time: Annotated[
        Number | None, Field(ge=0, le=86400, description="Seconds that it then rests; default 5")
    ] = None


class RouterSettings(Reliability):
    """How a group's deployments are balanced, retried and replaced."""

    routing_strategy: Annotated[
        Literal[
            "round-robin", "weighted", "random", "least-busy", "lowest-latency", "lowest-cost", "usage-based",
            "order", "simple-shuffle", "latency-based-routing", "cost-based-routing", "usage-based-routing",
            "usage-based-routing-v2",
        ],
        Field(description="How a group's deployments are balanced, by our names or LiteLLM's (see below)"),
    ] = "round-robin"  # fmt: skip
    timeout: Annotated[
        Number | None,
        Field(gt=0, description="Seconds for a whole call; else `litellm_settings.request_timeout`"),
    ] = None
    stream_timeout: Annotated[
        Number | None,
        Field(
            gt=0, description="Seconds until a stream's first event and between two; else `routeiq.deadlines`"
        ),
    ] = None
    retry_after: Annotated[
        Number, Field(ge=0, le=3600, description="Least seconds between two attempts in a group")
    ] = 0.0
    enable_tag_filtering: Annotated[
        bool, Field(description="A call with tags goes to deployments that have one of them")
    ] = False
    model_group_alias: Annotated[
        dict[str, str | dict[str, Any]] | None,
        Field(description="Other name → group; LiteLLM's longer form of an entry is not acted on"),
    ] = None


class LitellmSettings(Reliability):
    """What LiteLLM sets for every call."""

    request_timeout: Annotated[
        Number | None, Field(gt=0, description="Seconds for a whole call; else `routeiq.deadlines.total`")
    ] = None
    drop_params: Annotated[
        bool | None,
        Field(description="LiteLLM drops a caller's fields that a provider does not know"),
    ] = None


class GeneralSettings(Acted):
    """The settings of LiteLLM's proxy; the gateway has its own in the environment."""
