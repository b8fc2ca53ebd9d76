"""The bodies and answers of `/model/*`: LiteLLM's names. No answer holds a credential."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from routeiq_appliance.api.management.base_schemas import Body
from routeiq_appliance.api.management.fields import Metadata, Name
from routeiq_appliance.config.model_list import PRICES
from routeiq_appliance.pipeline.types import Deployment
from routeiq_appliance.state.models import ModelRecord

__all__ = [
    "DeleteModel",
    "DeletedModel",
    "ListedModel",
    "ModelList",
    "ModelPage",
    "NewModel",
    "StoredModel",
    "UpdateModel",
    "listed",
    "shown_params",
    "stored_model",
]

_SHOWN = frozenset({
    *PRICES, "api_base", "api_version", "drop_params", "max_parallel_requests", "max_retries", "model", "order",
    "organization", "rpm", "stream_timeout", "tags", "timeout", "tpm", "weight",
})  # fmt: skip
"""What of `litellm_params` is shown, beside numbers and the names of variables."""
Group = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}$")]
"""A group's name, as the configuration has it."""
_VARIABLE = "os.environ/"
_MODEL = ConfigDict(protected_namespaces=())


class NewModel(Body):
    """The body of `POST /model/new`."""

    model_config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())
    model_name: Annotated[Group, Field(description="Group that callers ask for")]
    litellm_params: Annotated[
        Metadata,
        Field(
            description="As in `config.yaml`; credentials are encrypted",
            json_schema_extra={"required": ["model"], "properties": {"model": {"type": "string"}}},
        ),
    ]
    model_info: Annotated[
        Metadata | None, Field(description="As in `config.yaml`; `id` is made when it is missing")
    ] = None


class UpdateModel(Body):
    """The body of `POST /model/update`: what is absent or null stays."""

    model_config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())
    model_name: Group | None = None
    litellm_params: Metadata | None = None
    model_info: Annotated[Metadata | None, Field(description="`id` names the model")] = None
    id: Annotated[Name | None, Field(description="The same, as LiteLLM's own client says it")] = None


class DeleteModel(Body):
    """The body of `POST /model/delete`."""

    id: Annotated[Name, Field(description="`model_info.id`")]


class ListedModel(BaseModel):
    """One deployment."""

    model_config = _MODEL
    model_name: str
    litellm_params: Annotated[dict[str, Any], Field(description="Without credentials")]
    model_info: Annotated[dict[str, Any], Field(description="`db_model` tells stored from configured ones")]


class ModelList(BaseModel):
    """The answer to `GET /model/info`."""

    data: list[ListedModel]


class ModelPage(ModelList):
    """The answer to `GET /v2/model/info`."""

    total_count: int
    current_page: int
    total_pages: int
    size: int


class StoredModel(BaseModel):
    """The answer to `POST /model/new` and `/model/update`."""

    model_config = _MODEL
    model_id: str
    model_name: str
    litellm_params: dict[str, Any]
    model_info: dict[str, Any]
    created_at: datetime
    created_by: str | None
    updated_at: datetime


class DeletedModel(BaseModel):
    """The answer to `POST /model/delete`."""

    message: str


def shown_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what cannot be a credential: some names, numbers, and variables by their names."""
    return {name: _shown(value) for name, value in params.items() if _may_show(name, value)}


def listed(
    name: str,
    params: Mapping[str, Any],
    info: Mapping[str, Any],
    deployment: Deployment | None,
    *,
    identity: str,
    stored: bool,
    refused: str | None = None,
    breaker: str | None = None,
) -> dict[str, Any]:
    """Return `ListedModel`; `deployment` None is one that is not served, and `refused` says why.

    `breaker` is how the worker that answers sees it (`routing.breaker.Health.shown`).
    """
    said = {key: value for key, value in info.items() if value is not None and key != "id"}
    prices = {key: _shown(params[key]) for key in PRICES if params.get(key) is not None}
    ours: dict[str, Any] = {"served": deployment is not None}
    if deployment is not None:
        ours |= {"upstream": deployment.upstream, "priced": deployment.price is not None}
    if refused is not None:
        ours["reason"] = refused
    if breaker is not None:
        ours["breaker"] = breaker
    return {
        "model_name": name,
        "litellm_params": shown_params(params),
        "model_info": {
            **{key: _shown(value) for key, value in said.items()},
            **prices,
            "id": identity,
            "db_model": stored,
            "litellm_provider": str(params.get("model", "")).partition("/")[0],
            "routeiq": ours,
        },
    }


def stored_model(record: ModelRecord) -> dict[str, Any]:
    """Return `StoredModel`."""
    return {
        "model_id": record.id,
        "model_name": record.name,
        "litellm_params": shown_params(record.params),
        "model_info": {**record.info, "id": record.id, "db_model": True},
        "created_at": record.created_at,
        "created_by": record.created_by,
        "updated_at": record.updated_at,
    }


def _may_show(name: str, value: Any) -> bool:
    if value is None:
        return False
    return name in _SHOWN or isinstance(value, bool | int | float | Decimal) or _is_variable(value)


def _is_variable(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(_VARIABLE) and value[len(_VARIABLE) :].isidentifier()


def _shown(value: Any) -> Any:
    if isinstance(value, str) and "://" in value:
        # An operator may have put a password into an address of config.yaml.
        scheme, _, rest = value.partition("://")
        authority, slash, path = rest.partition("/")
        return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path.partition('?')[0]}"
    return value
