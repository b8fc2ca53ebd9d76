"""The schema of `config.yaml`: LiteLLM's sections, and `routeiq:` of our own.

`routeiq:` is strict. LiteLLM's sections that the gateway does not act on are accepted, so that a site can bring its
file, and named in a warning at start (`IGNORED_SECTIONS`): nothing is silently taken for done.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from routeiq_appliance.egress.destinations import parse_destination
from routeiq_appliance.errors import ConfigError

__all__ = [
    "IGNORED_SECTIONS",
    "AutoSection",
    "GatewayConfig",
    "LitellmParams",
    "ModelEntry",
    "ModelInfo",
    "RouteIQSection",
]

IGNORED_SECTIONS = ("litellm_settings", "router_settings", "general_settings", "environment_variables")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=())


class LitellmParams(BaseModel):
    """What the upstream library is called with; unknown names are handed to it as they are."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())

    model: Annotated[
        str, Field(min_length=1, description="Provider and model as LiteLLM names them: `openai/NAME`")
    ]
    api_base: Annotated[
        str | None, Field(description="Address of the upstream; required while `routeiq.egress` is `sealed`")
    ] = None
    api_key: Annotated[
        str | None,
        Field(description="Credential of the upstream; `os.environ/NAME` takes it from the environment"),
    ] = None
    timeout: Annotated[float | None, Field(gt=0, description="Seconds for a whole call; default 600")] = None
    stream_timeout: Annotated[
        float | None,
        Field(gt=0, description="Seconds until a stream's first event and between two; default `timeout`"),
    ] = None
    max_retries: Annotated[
        int | None, Field(ge=0, description="Retries by the upstream library; default 0")
    ] = None


class ModelInfo(BaseModel):
    """What is said about a deployment."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())

    id: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
            description="Name of the deployment; default GROUP-NUMBER",
        ),
    ] = None
    mode: Annotated[
        Literal["chat", "completion", "embedding"] | None,
        Field(description="What the deployment answers; unset: whatever is asked"),
    ] = None


class ModelEntry(_Strict):
    """One deployment; entries with the same `model_name` form a group."""

    model_name: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}$", description="Group that callers ask for"),
    ]
    litellm_params: Annotated[LitellmParams, Field(description="How the deployment is called")]
    model_info: Annotated[ModelInfo, Field(description="What is said about it")] = ModelInfo()

    @field_validator("model_name")
    @classmethod
    def _not_reserved(cls, value: str) -> str:
        if value == "auto":
            raise ValueError("`auto` is reserved: it asks the gateway to choose a group")
        return value


class AutoSection(_Strict):
    """How `model: auto` is routed."""

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
    model_map: Annotated[
        dict[str, str],
        Field(description="Group → the model of the artifact that stands for it, until calibration"),
    ] = {}
    cost_weight: Annotated[
        float,
        Field(
            ge=0, le=1, description="Quality that one gives up to go from the dearest candidate to a free one"
        ),
    ] = 0.0

    @field_validator("artifact", "embedder")
    @classmethod
    def _inside(cls, value: str | None) -> str | None:
        if value is not None and (
            value.startswith("/") or any(part in {"", ".", ".."} for part in value.split("/"))
        ):
            raise ValueError("must be a path below the models folder, without `..`")
        return value


class RouteIQSection(_Strict):
    """What only this gateway knows."""

    egress: Annotated[
        Literal["sealed", "open"],
        Field(
            description="`sealed`: refuse to serve while the outside answers, and every dial to a destination that "
            "is not configured; `open`: count them"
        ),
    ] = "sealed"
    canaries: Annotated[
        list[str], Field(description="Outside destinations (HOST:PORT) that must not answer at start")
    ] = ["1.1.1.1:443", "8.8.8.8:53", "9.9.9.9:443", "[2606:4700:4700::1111]:443"]
    auto: Annotated[AutoSection, Field(description="How `model: auto` is routed")] = AutoSection()
    extra_params: Annotated[
        list[str],
        Field(
            description="Request fields beyond OpenAI's that are relayed to upstreams in the body, as they come"
        ),
    ] = ["chat_template_kwargs", "min_p", "repetition_penalty", "top_k"]

    @field_validator("canaries")
    @classmethod
    def _destinations(cls, value: list[str]) -> list[str]:
        for item in value:
            try:
                parse_destination(item)
            except ConfigError as error:
                raise ValueError(f"{error}; {error.hint}") from None
        return value


class GatewayConfig(_Strict):
    """The whole file."""

    model_list: Annotated[list[ModelEntry], Field(min_length=1, description="The deployments")]
    routeiq: Annotated[RouteIQSection, Field(description="What only this gateway knows")] = RouteIQSection()
    litellm_settings: Annotated[dict[str, Any] | None, Field(description="Accepted, not acted on yet")] = None
    router_settings: Annotated[dict[str, Any] | None, Field(description="Accepted, not acted on yet")] = None
    general_settings: Annotated[dict[str, Any] | None, Field(description="Accepted, not acted on yet")] = None
    environment_variables: Annotated[
        dict[str, Any] | None, Field(description="Accepted, not acted on yet")
    ] = None
