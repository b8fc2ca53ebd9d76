"""The schema of `model_list`: LiteLLM's entries, typed where the gateway acts on them."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from routeiq_appliance.config.values import Acted, Dollars, Number, Strict, Whole
from routeiq_appliance.pipeline.types import Kind, Mode

__all__ = ["PRICES", "LitellmParams", "ModelEntry", "ModelInfo", "Prices"]


class Prices(Acted):
    """Dollars; in `litellm_params` or `model_info`, the former first. None at all: the deployment is unpriced."""

    input_cost_per_token: Annotated[Dollars | None, Field(description="Dollars per token of the prompt")] = (
        None
    )
    output_cost_per_token: Annotated[Dollars | None, Field(description="Dollars per token of the answer")] = (
        None
    )
    input_cost_per_query: Annotated[Dollars | None, Field(description="Dollars per call")] = None
    cost_per_second: Annotated[Dollars | None, Field(description="Dollars per second of the call")] = None
    input_cost_per_second: Annotated[
        Dollars | None, Field(description="The same, when `cost_per_second` is not given")
    ] = None
    output_cost_per_second: Annotated[
        Dollars | None, Field(description="The same, when neither of the two above is given")
    ] = None


PRICES = tuple(Prices.model_fields)
"""The prices that are counted, by LiteLLM's names."""


class LitellmParams(Prices):
    """How a deployment is called; names that are not here are handed to the upstream as they are."""

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
    timeout: Annotated[
        Number | None,
        Field(gt=0, description="Seconds for a whole call; else `router_settings.timeout`"),
    ] = None
    stream_timeout: Annotated[
        Number | None,
        Field(
            gt=0,
            description="Seconds until a stream's first event and between two; else `router_settings.stream_timeout`",
        ),
    ] = None
    max_retries: Annotated[
        Whole | None,
        Field(ge=0, le=20, description="Further attempts in the group; else `router_settings.num_retries`"),
    ] = None
    rpm: Annotated[Whole | None, Field(gt=0, description="Requests a minute that the upstream takes")] = None
    tpm: Annotated[Whole | None, Field(gt=0, description="Tokens a minute that the upstream takes")] = None
    max_parallel_requests: Annotated[
        Whole | None, Field(gt=0, description="Calls that may run at the upstream at once")
    ] = None
    weight: Annotated[
        Number | None,
        Field(ge=0, description="Share of the group's calls, for `simple-shuffle` and `weighted`"),
    ] = None
    order: Annotated[
        Whole | None,
        Field(description="Lower comes first, before any balancing; a deployment without one comes last"),
    ] = None
    tags: Annotated[
        list[str] | None,
        Field(description="Tags of calls that it answers, with `router_settings.enable_tag_filtering`"),
    ] = None
    extra_headers: Annotated[
        dict[str, str] | None, Field(description="Headers of every call to the upstream")
    ] = None
    extra_body: Annotated[
        dict[str, Any] | None, Field(description="Fields of every call's body that OpenAI does not know")
    ] = None
    drop_params: Annotated[
        bool | None,
        Field(
            description="LiteLLM drops a caller's fields that the provider does not know; else `litellm_settings`"
        ),
    ] = None

    @field_validator("extra_headers")
    @classmethod
    def _one_line(cls, value: dict[str, str] | None) -> dict[str, str] | None:
        for name, content in (value or {}).items():
            if not name or not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
                raise ValueError("holds a name that is no header's")
            if any(ord(character) < 32 or ord(character) == 127 for character in content):
                raise ValueError("holds a value of several lines")
        return value


class ModelInfo(Prices):
    """What is said about a deployment."""

    id: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
            description="Name of the deployment; default GROUP-NUMBER",
        ),
    ] = None
    mode: Annotated[
        Mode | None,
        Field(description="What the deployment answers; unset: whatever is asked"),
    ] = None
    kinds: Annotated[
        list[Kind] | None,
        Field(
            description="Kinds of calls that the server itself answers in their dialect, say `[chat, messages]`; "
            "others are translated where that can be done; unset: each is tried once in a while"
        ),
    ] = None
    upstream: Annotated[
        Literal["direct", "litellm"] | None,
        Field(
            description="`direct`: the server speaks OpenAI's dialect and is called as it is; `litellm`: through the "
            "LiteLLM library; unset: `direct` where that is certain (see below)"
        ),
    ] = None
    max_input_tokens: Annotated[
        Whole | None,
        Field(
            gt=0, description="Context window; `auto` passes over a group whose window a call does not fit"
        ),
    ] = None
    supports_function_calling: Annotated[
        bool | None, Field(description="`false`: `auto` does not choose the group for calls with tools")
    ] = None
    supports_vision: Annotated[
        bool | None, Field(description="`false`: `auto` does not choose the group for calls with images")
    ] = None
    supports_response_schema: Annotated[
        bool | None,
        Field(description="`false`: `auto` does not choose the group for calls that want a JSON schema"),
    ] = None
    supports_audio_input: Annotated[
        bool | None, Field(description="`false`: `auto` does not choose the group for calls with audio")
    ] = None


class ModelEntry(Strict):
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
