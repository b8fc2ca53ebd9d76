"""A stored model → the entry of `model_list` that it stands for, or why it may not be one. Pure.

It is judged more strictly than the operator's own file, at acceptance and at each load:

1. Only the names in `TAKEN` are taken in `litellm_params`: others could name files, addresses or ways to sign in.
2. `api_base` passes `egress.ssrf`. Without one the provider's address must be fixed (`FIXED`), and egress open.
3. Where LiteLLM calls an `api_base`, `api_key` is given: without it LiteLLM would send a key of the gateway's own
   environment there.
4. `os.environ/NAME` is taken only for a variable that `config.yaml` uses already: else any could be read into a
   request to an address of the caller's.
5. What the schema and the cross-checks of `config.yaml` say.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from routeiq_appliance.config.checks import cross_checks
from routeiq_appliance.config.deployments import deployments_of, upstream_of
from routeiq_appliance.config.document import dotted
from routeiq_appliance.config.model_list import LitellmParams, ModelEntry
from routeiq_appliance.config.models import GatewayConfig
from routeiq_appliance.config.params import DIRECT_PARAMS, GATEWAY_PARAMS
from routeiq_appliance.egress.ssrf import SsrfRules, check_url
from routeiq_appliance.errors import CallError, UrlRefusedError

__all__ = ["FIXED", "TAKEN", "Judge", "merged", "refused", "tidy", "url_refused", "with_variables"]

_ENVIRONMENT = "os.environ/"
TAKEN = frozenset(LitellmParams.model_fields) | DIRECT_PARAMS | GATEWAY_PARAMS | {"api_version"}
"""Names in `litellm_params` that are taken over the API."""
FIXED = frozenset({
    "anthropic", "cerebras", "cohere", "cohere_chat", "deepseek", "fireworks_ai", "gemini", "groq", "mistral", "openai",
    "openrouter", "perplexity", "together_ai", "xai",
})  # fmt: skip
"""LiteLLM's providers that have one address, whatever the model is named."""
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,255}")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HOP = frozenset({
    "connection", "content-length", "expect", "forwarded", "host", "keep-alive", "proxy-authorization",
    "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "via",
})  # fmt: skip
"""Headers that say where a request goes or how it is framed."""
_NOT_ENFORCED = ("access_groups", "team_id", "team_public_model_name")
_OURS = frozenset({"created_at", "created_by", "db_model", "id", "updated_at", "updated_by"})
"""In `model_info`: what a listing says, and a client may send back."""


def tidy(params: Mapping[str, Any], info: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return both without what asks for nothing (clients send whole forms) and without what we say ourselves."""
    asked = {name: value for name, value in params.items() if value is not None}
    asked = {
        name: value for name, value in asked.items() if name in TAKEN or value not in (False, "", [], {})
    }
    said = {name: value for name, value in info.items() if name not in _OURS and value is not None}
    return asked, {name: value for name, value in said.items() if name not in _NOT_ENFORCED or value}


class Judge:
    """Judges entries against one configuration, which does not change while the worker runs."""

    def __init__(self, config: GatewayConfig, rules: SsrfRules) -> None:
        self.config = config
        self.rules = rules
        self.taken = frozenset(item.id for members in deployments_of(config).values() for item in members)
        """Ids of the configuration's own deployments."""

    def entry(
        self, name: str, params: Mapping[str, Any], info: Mapping[str, Any], identity: str
    ) -> ModelEntry:
        """Return the entry; raises `CallError` 400 naming the field, never repeating a value that may be a secret."""
        _require_taken(params, info)
        filled = with_variables(params, self.config.variables)
        base = filled.get("api_base")
        if isinstance(base, str):
            try:
                filled["api_base"] = check_url(base, self.rules).text
            except UrlRefusedError as error:
                raise url_refused(error) from None
        try:
            entry = ModelEntry.model_validate(
                {"model_name": name, "litellm_params": filled, "model_info": {**info, "id": identity}}
            )
        except ValidationError as error:
            item = error.errors(include_url=False, include_input=False)[0]
            message = item["msg"].removeprefix("Value error, ")
            where = dotted(tuple(step for step in item["loc"] if step not in {"str", "[key]"}))
            raise refused(where, message[:1].lower() + message[1:]) from None
        _require_safe(entry, self.config)
        self._require_fitting(entry)
        return entry

    def _require_fitting(self, entry: ModelEntry) -> None:
        """Check the entry as if it stood in the configuration."""
        for path, what in cross_checks(self.config.model_copy(update={"model_list": [entry]})):
            if path[:2] == ("model_list", 0):
                raise refused(dotted(path[2:]), what)
        if entry.model_name in (self.config.router.model_group_alias or {}):
            raise refused("model_name", "is another name of a group, in `router_settings.model_group_alias`")
        if entry.model_info.id in self.taken:
            raise refused("model_info.id", "is the name of a deployment of config.yaml")


def merged(config: GatewayConfig, entries: Sequence[ModelEntry]) -> GatewayConfig:
    """Return the configuration with these entries after its own."""
    return config.model_copy(update={"model_list": [*config.model_list, *entries]})


def with_variables(params: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the parameters with values in the places of `os.environ/NAME`; raises `CallError` 400."""

    def fill(value: Any, where: str) -> Any:
        if isinstance(value, dict):
            return {key: fill(item, f"{where}.{key}"[:128]) for key, item in value.items()}
        if isinstance(value, list):
            return [fill(item, where) for item in value]
        if not isinstance(value, str) or _ENVIRONMENT not in value:
            return value
        found = variables.get(value.removeprefix(_ENVIRONMENT)) if value.startswith(_ENVIRONMENT) else None
        if found is None:
            raise refused(where, "names an environment variable that config.yaml does not use")
        return found

    return {name: fill(value, f"litellm_params.{name}") for name, value in params.items()}


def url_refused(error: UrlRefusedError) -> CallError:
    """Return the 400 of an address that may not be used."""
    advice = f"; {error.hint}" if error.hint else ""
    return CallError(
        400,
        f"`litellm_params.api_base` {error}{advice}",
        code="address_refused",
        param="litellm_params.api_base",
    )


def refused(where: str, what: str) -> CallError:
    """Return the 400 of a field."""
    return CallError(400, f"`{where[:128]}`: {what}", code="invalid_value", param=where[:128])


def _require_taken(params: Mapping[str, Any], info: Mapping[str, Any]) -> None:
    for name in params:
        if name not in TAKEN:
            raise refused(f"litellm_params.{name}", "is not taken over the API; put the model in config.yaml")
    for name in _NOT_ENFORCED:
        if name in info:
            raise CallError(
                400,
                f"`model_info.{name}` is not enforced by this release: leave it out",
                code="not_enforced",
                param=f"model_info.{name}",
            )


def _require_safe(entry: ModelEntry, config: GatewayConfig) -> None:
    given = entry.litellm_params
    if not _MODEL.fullmatch(given.model) or "//" in given.model or ".." in given.model:
        raise refused("litellm_params.model", "must be PROVIDER/NAME of letters, digits and ._:/@+-")
    for name in ("organization", "api_version"):
        value = (given.model_extra or {}).get(name)
        if value is not None and not (isinstance(value, str) and _PLAIN.fullmatch(value)):
            raise refused(f"litellm_params.{name}", "must be a name of letters, digits and ._-")
    for header in given.extra_headers or {}:
        if header.lower() in _HOP:
            raise refused("litellm_params.extra_headers", "says where a request goes or how it is framed")
    provider, separator, _ = given.model.partition("/")
    if given.api_base is None:
        if config.routeiq.egress == "sealed":
            raise refused(
                "litellm_params.api_base", "is missing; while sealed, every deployment names its address"
            )
        if not separator or provider not in FIXED:
            raise refused("litellm_params.api_base", "is missing; this provider has no fixed address")
    elif upstream_of(entry) == "litellm" and not given.api_key:
        raise refused("litellm_params.api_key", "is missing; LiteLLM would send the gateway's own key there")
