"""The environment variables of the gateway: names, defaults, meaning. Nothing else reads the environment.

`config.yaml` (see `config/`) holds models and routing; these hold secrets, addresses of backends and paths.
The table in docs/configuration.md is checked against this model by a test.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from routeiq_appliance.config.routeiq_section import RoutingStrategyName
from routeiq_appliance.config.variables import with_files
from routeiq_appliance.errors import ConfigError
from routeiq_router.errors import RouterError
from routeiq_router.objective import read_objective

__all__ = ["SECRETS", "Settings", "Strategy", "load_settings"]

Strategy = RoutingStrategyName


def _redis(value: SecretStr | None) -> SecretStr | None:
    if value is not None and not value.get_secret_value().startswith(("redis://", "rediss://")):
        raise ValueError("must begin with `redis://` or `rediss://`")
    return value


def _objective(value: str | None) -> str | None:
    if value is not None:
        try:
            read_objective(value)
        except RouterError as error:
            raise ValueError(f"{str(error).removeprefix('objective: ')}; {error.hint}") from None
    return value


class Settings(BaseSettings):
    """Each field is one variable; the field's alias is its name."""

    model_config = SettingsConfigDict(
        extra="ignore", frozen=True, env_ignore_empty=True, validate_by_name=False
    )

    master_key: Annotated[
        SecretStr,
        Field(alias="LITELLM_MASTER_KEY", min_length=8, description="Admin key; 8 characters or more"),
    ]
    database_url: Annotated[
        SecretStr | None,
        Field(
            alias="DATABASE_URL",
            description="`postgresql://user:password@host:5432/name`; unset: SQLite in `ROUTEIQ_DATA_DIR`",
        ),
    ] = None
    pepper: Annotated[
        SecretStr | None,
        Field(
            alias="ROUTEIQ_PEPPER",
            min_length=32,
            description="Secret that keys are hashed with, 32 characters or "
            "more. Required with PostgreSQL; with SQLite it is made on first start and kept in the data directory",
        ),
    ] = None
    redis_url: Annotated[
        SecretStr | None,
        Field(
            alias="REDIS_URL",
            description="`redis://:password@host:6379/0` (`rediss://` with TLS); unset: limits, budgets and breakers "
            "are those of one worker",
        ),
        AfterValidator(_redis),
    ] = None
    cache_enabled: Annotated[
        bool,
        Field(
            alias="ROUTEIQ_CACHE_ENABLED",
            description="Answer what was asked before without a call; `routeiq.cache` says what, for whom and how long",
        ),
    ] = False
    cache_redis_url: Annotated[
        SecretStr | None,
        Field(
            alias="ROUTEIQ_CACHE_REDIS_URL",
            description="Redis for cached answers, best one of their own with `allkeys-lru`; unset: `REDIS_URL`",
        ),
        AfterValidator(_redis),
    ] = None
    policy_enabled: Annotated[
        bool,
        Field(
            alias="ROUTEIQ_POLICY_ENABLED",
            description="Judge every call by the rules of `routeiq.policy`, or by those that Redis keeps",
        ),
    ] = False
    policy_key: Annotated[
        Path | None,
        Field(
            alias="ROUTEIQ_POLICY_KEY",
            description="Public key (PEM) that rules in Redis must be signed with; unset: they need no signature",
        ),
    ] = None
    data_dir: Annotated[
        Path, Field(alias="ROUTEIQ_DATA_DIR", description="The only directory that the gateway writes to")
    ] = Path("routeiq-data")
    models_path: Annotated[
        Path, Field(alias="ROUTEIQ_MODELS_PATH", description="Folder of model weights and routing artifacts")
    ] = Path("/app/models")
    trust_key: Annotated[
        Path | None,
        Field(
            alias="ROUTEIQ_TRUST_KEY",
            description="Public key (PEM) that models must be signed with, or the site's `state.json`: then any "
            "release key of its root; without it no routing artifact is loaded",
        ),
    ] = None
    bundle_json: Annotated[
        Path,
        Field(
            alias="ROUTEIQ_BUNDLE_JSON",
            description="`bundle.json` that vouches for the models of an image, its signature beside it",
        ),
    ] = Path("/app/trust/bundle.json")
    strategy: Annotated[
        Strategy,
        Field(
            alias="ROUTEIQ_STRATEGY",
            description="How `model: auto` is routed: `ml` by the signed artifact, `round-robin`, `declared-order`, "
            "`random`, `least-busy`, or `auto`: `ml` when `config.yaml` names an artifact, else `declared-order`; "
            "`routeiq.auto.strategy` comes first",
        ),
    ] = "auto"
    objective: Annotated[
        str | None,
        Field(
            alias="ROUTEIQ_OBJECTIVE",
            description="What the artifact's predictions are weighed by, where `routeiq.auto` says nothing: "
            "`quality=1,cost=0.3`, `floor=0.8`",
        ),
        AfterValidator(_objective),
    ] = None
    store_model_in_db: Annotated[
        bool,
        Field(
            alias="STORE_MODEL_IN_DB",
            description="`true`: `/model/new` and its like keep models in the database, beside those of `config.yaml`",
        ),
    ] = False
    store_key: Annotated[
        SecretStr | None,
        Field(
            alias="ROUTEIQ_STORE_KEY",
            min_length=32,
            description="Secret that the credentials of stored models are encrypted under, 32 characters or more; "
            "the same for all replicas",
        ),
    ] = None
    ssrf_allow_private: Annotated[
        bool,
        Field(
            alias="ROUTEIQ_SSRF_ALLOW_PRIVATE",
            description="`true`: addresses given over the API may be loopback or private, while egress is `open`",
        ),
    ] = False
    ssrf_hosts: Annotated[
        str | None,
        Field(
            alias="ROUTEIQ_SSRF_HOST_ALLOWLIST",
            description="Hosts (`HOST` or `HOST:PORT`, by commas) that addresses given over the API may name, "
            "wherever they lead but to link-local and metadata addresses",
        ),
    ] = None
    ssrf_networks: Annotated[
        str | None,
        Field(
            alias="ROUTEIQ_SSRF_CIDR_ALLOWLIST",
            description="Networks (`10.20.0.0/16`, by commas) that they may lead to; while egress is `sealed`, "
            "no other",
        ),
    ] = None
    metrics_host: Annotated[
        str, Field(alias="ROUTEIQ_METRICS_HOST", description="Address that `/metrics` listens on")
    ] = "0.0.0.0"  # noqa: S104 - the metrics hold no secret, and a scraper is on another host
    metrics_port: Annotated[
        int,
        Field(
            alias="ROUTEIQ_METRICS_PORT", ge=0, le=65535, description="Port of `/metrics`; 0 switches it off"
        ),
    ] = 9464
    max_body_bytes: Annotated[
        int, Field(alias="ROUTEIQ_MAX_BODY_BYTES", ge=1024, description="Largest request body; above it: 413")
    ] = 50 << 20
    drain_timeout_seconds: Annotated[
        int,
        Field(
            alias="ROUTEIQ_DRAIN_TIMEOUT_SECONDS",
            ge=0,
            description="How long running calls may take to end after SIGTERM",
        ),
    ] = 30
    max_concurrent_requests: Annotated[
        int,
        Field(
            alias="ROUTEIQ_MAX_CONCURRENT_REQUESTS",
            ge=0,
            description="Calls that one worker runs at once; above it: 503; 0: no limit",
        ),
    ] = 0
    breaker_failures: Annotated[
        int,
        Field(
            alias="ROUTEIQ_CB_FAILURE_THRESHOLD",
            ge=1,
            description="Failures in a row after which a deployment's breaker opens",
        ),
    ] = 5
    breaker_seconds: Annotated[
        float,
        Field(
            alias="ROUTEIQ_CB_TIMEOUT_SECONDS",
            gt=0,
            le=86400,
            allow_inf_nan=False,
            description="How long it stays open before one call may try the deployment again",
        ),
    ] = 30.0
    console_path: Annotated[
        Path,
        Field(
            alias="ROUTEIQ_CONSOLE_PATH",
            description="Static files of the console, served at `/ui/` when the folder exists",
        ),
    ] = Path("/app/static")
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(alias="ROUTEIQ_LOG_LEVEL", description="Least severe log line that is written"),
    ] = "info"
    otel_endpoint: Annotated[
        str | None,
        Field(
            alias="OTEL_EXPORTER_OTLP_ENDPOINT",
            pattern=r"^https?://[^\s/@]+[^\s@]*$",
            description="Where traces are sent (OTLP over HTTP), for example `http://collector:4318`; unset: nowhere",
        ),
    ] = None
    otel_headers: Annotated[
        SecretStr | None,
        Field(
            alias="OTEL_EXPORTER_OTLP_HEADERS",
            description="Headers of what is sent there, `name=value,name=value`",
        ),
    ] = None
    otel_protocol: Annotated[
        Literal["http/protobuf"],
        Field(alias="OTEL_EXPORTER_OTLP_PROTOCOL", description="How traces are sent; gRPC is not spoken"),
    ] = "http/protobuf"
    otel_certificate: Annotated[
        Path | None,
        Field(
            alias="OTEL_EXPORTER_OTLP_CERTIFICATE",
            description="CA certificates (PEM) that the collector's may be signed with, beside the system's",
        ),
    ] = None
    otel_service_name: Annotated[
        str, Field(alias="OTEL_SERVICE_NAME", min_length=1, description="`service.name` of traces and logs")
    ] = "routeiq-gateway"
    otel_traces_exporter: Annotated[
        Literal["otlp", "none"],
        Field(alias="OTEL_TRACES_EXPORTER", description="`none` switches traces off"),
    ] = "otlp"
    otel_traces_sampler: Annotated[
        Literal[
            "always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off",
            "parentbased_traceidratio",
        ],
        Field(alias="OTEL_TRACES_SAMPLER", description="Which calls are traced; OpenTelemetry's names"),
    ] = "parentbased_always_on"  # fmt: skip
    otel_traces_sampler_arg: Annotated[
        float,
        Field(
            alias="OTEL_TRACES_SAMPLER_ARG",
            ge=0,
            le=1,
            description="Share of the calls, for the samplers with `traceidratio`",
        ),
    ] = 1.0

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values as given, then the environment; no `.env` file is read behind the operator's back."""
        del settings_cls, dotenv_settings, file_secret_settings
        return init_settings, env_settings


SECRETS = tuple(
    str(field.alias)
    for field in Settings.model_fields.values()
    if SecretStr in (field.annotation, *get_args(field.annotation))
)
"""The variables that hold a secret; each may be given as a file by `NAME_FILE`."""


def load_settings(values: Mapping[str, Any] | None = None) -> Settings:
    """Read the environment (`values` by variable name win over it); raises `ConfigError` naming every mistake.

    A secret `NAME` may be in the file that `NAME_FILE` names.
    """
    given = dict(values or {})
    # What is passed as a value wins over the environment's file as well.
    environ = {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in given}
    found, mistakes = with_files(SECRETS, environ | {name: str(value) for name, value in given.items()})
    told = {mistake.partition(":")[0].removesuffix("_FILE") for mistake in mistakes}
    try:
        settings = Settings(**found | given)
    except ValidationError as error:
        # Never `error["input"]`: it may be a secret.
        mistakes += [
            f"{item['loc'][0]}: {_reason(item['type'], item['msg'])}"
            for item in error.errors()
            if item["loc"][0] not in told
        ]
    if mistakes:
        raise ConfigError(
            "environment: " + "; ".join(sorted(mistakes)), hint="docs/configuration.md lists every variable"
        )
    return settings


def _reason(kind: str, message: str) -> str:
    if kind == "missing":
        return "required, not set"
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]
