"""The schema of `routeiq:`, what only this gateway knows. Strict: an unknown name is a mistake."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from routeiq_appliance.config.values import Number, Strict, Whole
from routeiq_appliance.egress.destinations import parse_destination
from routeiq_appliance.errors import ConfigError
from routeiq_appliance.policy.schema import PolicySection
from routeiq_router.errors import RouterError
from routeiq_router.objective import read_objective
from routeiq_signing.errors import DocumentError
from routeiq_signing.formats.consent import check_digest

__all__ = [
    "AutoSection",
    "CacheSection",
    "Deadlines",
    "LimitsSection",
    "RouteIQSection",
    "RoutingStrategyName",
]

RoutingStrategyName = Literal["auto", "ml", "round-robin", "declared-order", "random", "least-busy"]
"""How `model: auto` is routed."""


class AutoSection(Strict):
    """How `model: auto` is routed."""

    strategy: Annotated[
        RoutingStrategyName | None,
        Field(description="Routing strategy, before `ROUTEIQ_STRATEGY`, which names the choices"),
    ] = None
    candidates: Annotated[
        list[str] | None,
        Field(min_length=1, description="Groups that `auto` chooses from; default: every chat group"),
    ] = None
    artifact: Annotated[
        str | None, Field(description="Folder of the signed routing artifact, below `ROUTEIQ_MODELS_PATH`")
    ] = None
    embedder: Annotated[
        str, Field(description="Folder of the embedder's weights, below `ROUTEIQ_MODELS_PATH`")
    ] = "sentence-transformers/all-MiniLM-L6-v2"
    model_map: dict[str, str] = Field(
        default={}, description="Group → the model of the artifact that stands for it, until calibration"
    )
    cost_weight: Annotated[
        float,
        Field(
            ge=0, le=1, description="Quality that one gives up to go from the dearest candidate to a free one"
        ),
    ] = 0.0
    objective: Annotated[
        str | dict[str, float | str] | None,
        Field(
            description="What the artifact's predictions are weighed by: `quality=1,cost=0.3,latency=0.1`, `floor=0.8` "
            "or `floor=95%`; instead of `cost_weight`, before `ROUTEIQ_OBJECTIVE`; see docs/routing-gateway.md"
        ),
    ] = None
    keep_embeddings: Annotated[
        bool,
        Field(
            description="Keep what each decision of the artifact was made from, for `routeiq router replay`: vectors, "
            "from which a prompt can be guessed in part; never the prompt"
        ),
    ] = False
    keep_embeddings_days: Annotated[Whole, Field(ge=1, le=3650, description="How long they are kept")] = 30
    keep_embeddings_rows: Annotated[
        Whole, Field(ge=1, le=10_000_000, description="How many of them are kept, the newest")
    ] = 100_000

    @field_validator("objective")
    @classmethod
    def _objective(cls, value: str | dict[str, float | str] | None) -> str | dict[str, float | str] | None:
        if value is not None:
            try:
                read_objective(value)
            except RouterError as error:
                raise ValueError(f"{str(error).removeprefix('objective: ')}; {error.hint}") from None
        return value

    @field_validator("artifact", "embedder")
    @classmethod
    def _inside(cls, value: str | None) -> str | None:
        if value is not None and (
            value.startswith("/") or any(part in {"", ".", ".."} for part in value.split("/"))
        ):
            raise ValueError("must be a path below the models folder, without `..`")
        return value


class Deadlines(Strict):
    """Seconds, where neither a deployment nor LiteLLM's sections say otherwise."""

    connect: Annotated[Number, Field(gt=0, le=86400, description="Until a connection stands")] = 5.0
    first_token: Annotated[Number, Field(gt=0, le=86400, description="Until a stream's first event")] = 120.0
    idle: Annotated[Number, Field(gt=0, le=86400, description="Between two events of a stream")] = 60.0
    total: Annotated[
        Number, Field(gt=0, le=86400, description="For a whole call, retries and fallbacks included")
    ] = 600.0


class LimitsSection(Strict):
    """Defaults of what calls reserve and how many of them run."""

    estimate_output_tokens: Annotated[
        Whole,
        Field(
            ge=1,
            le=10_000_000,
            description="Tokens of the answer that a call reserves of its budgets when it names no `max_tokens`, and "
            "at most when it does",
        ),
    ] = 1024
    team_max_parallel_requests: Annotated[
        Whole | None,
        Field(
            gt=0,
            description="Calls of one team at once, for teams without a limit of their own; none: no limit",
        ),
    ] = None


class CacheSection(Strict):
    """The cache of whole answers, where `ROUTEIQ_CACHE_ENABLED` switches it on."""

    scope: Annotated[
        Literal["key", "team", "global"],
        Field(description="Who shares answers: each key alone, the keys of a team, or everybody"),
    ] = "key"
    when: Annotated[
        Literal["temperature-zero", "all"],
        Field(description="Which chats and completions: those at `temperature` 0, or all; embeddings always"),
    ] = "temperature-zero"
    ttl: Annotated[Number, Field(ge=1, le=2_592_000, description="Seconds that an answer is kept")] = 600.0
    max_entry_bytes: Annotated[
        Whole, Field(ge=1024, le=16 << 20, description="Largest answer that is kept")
    ] = 256 << 10
    max_bytes: Annotated[
        Whole, Field(ge=0, description="Memory for answers, per worker; 0: they are in Redis only")
    ] = 64 << 20


class RouteIQSection(Strict):
    """What only this gateway knows."""

    egress: Annotated[
        Literal["sealed", "open"],
        Field(
            description="`sealed`: refuse to serve while the outside answers, and every dial to a destination that "
            "is not configured; `open`: count them"
        ),
    ] = "sealed"
    canaries: list[str] = Field(
        default=["1.1.1.1:443", "8.8.8.8:53", "9.9.9.9:443", "[2606:4700:4700::1111]:443"],
        description="Outside destinations (HOST:PORT) that must not answer at start",
    )
    auto: Annotated[AutoSection, Field(description="How `model: auto` is routed")] = AutoSection()
    deadlines: Annotated[
        Deadlines,
        Field(description="Seconds, where neither a deployment nor LiteLLM's sections say otherwise"),
    ] = Deadlines()
    limits: Annotated[LimitsSection, Field(description="What calls reserve, and how many of them run")] = (
        LimitsSection()
    )
    cache: Annotated[CacheSection, Field(description="Answers that are kept")] = CacheSection()
    policy: Annotated[
        PolicySection, Field(description="Which calls may run, and with which model; see docs/policy.md")
    ] = PolicySection()
    affinity_seconds: Annotated[
        Whole,
        Field(
            ge=0, le=2_592_000, description="How long a conversation stays with its deployment; 0: not at all"
        ),
    ] = 3600
    keep_alive_seconds: Annotated[
        Number,
        Field(ge=0, le=3600, description="A silent stream gets a comment this often; 0: never"),
    ] = 15.0
    extra_params: list[str] = Field(
        default=["*"],
        description="Request fields beyond the dialect's that are relayed to upstreams in the body, as they come; `*`: "
        "all but what could be an address, a credential or a file",
    )
    translate: Annotated[
        Literal["on-demand", "at-start", "never"],
        Field(
            description="LiteLLM translates Anthropic's messages and OpenAI's responses for upstreams that only chat; "
            "it is imported (3 s, 200 MB) by the first such call, at start, or never: then they are 501"
        ),
    ] = "on-demand"
    unsafe_artifacts: list[str] = Field(
        default=[],
        description="Digests (`sha256:…`) of model files in unsafe formats that may lie in a model if its signer "
        "marked them unsafe too; nothing of ours loads them",
    )

    @field_validator("unsafe_artifacts")
    @classmethod
    def _digests(cls, value: list[str]) -> list[str]:
        try:
            return [check_digest(item) for item in value]
        except DocumentError as error:
            raise ValueError(str(error)) from None

    @field_validator("canaries")
    @classmethod
    def _destinations(cls, value: list[str]) -> list[str]:
        for item in value:
            try:
                parse_destination(item)
            except ConfigError as error:
                raise ValueError(f"{error}; {error.hint}") from None
        return value
