"""Lists what a configuration says and the gateway does not act on: nothing is silently taken for done. Pure."""

from collections.abc import Iterator

from routeiq_appliance.config.deployments import deployments_of
from routeiq_appliance.config.document import dotted
from routeiq_appliance.config.explained import explanation
from routeiq_appliance.config.model_list import PRICES, ModelEntry
from routeiq_appliance.config.models import IGNORED_SECTIONS, GatewayConfig
from routeiq_appliance.config.params import DIRECT_PROVIDERS, is_for_the_proxy, not_direct
from routeiq_appliance.config.prices import given_prices, one_sided
from routeiq_appliance.config.sections import BALANCING, Reliability

__all__ = ["ignored", "instead", "notes"]

_UNKNOWN = "is no setting that this release knows"


def ignored(config: GatewayConfig) -> list[str]:
    """Return the dotted names, each once, sections in the schema's order; entries of `model_list` without number."""
    return list(dict.fromkeys(_ignored(config)))


def instead(name: str) -> str:
    """Return why an ignored name is not acted on, or what to use instead."""
    return explanation(name) or _UNKNOWN


def _ignored(config: GatewayConfig) -> Iterator[str]:
    for entry in config.model_list:
        yield from (f"model_list[].{name}" for name in _of_entry(config, entry))
    router, litellm = config.router, config.litellm
    yield from (dotted(("router_settings", name)) for name in router.model_extra or {})
    if any(not isinstance(value, str) for value in (router.model_group_alias or {}).values()):
        yield "router_settings.model_group_alias"
    yield from (dotted(("litellm_settings", name)) for name in litellm.model_extra or {})
    for name in Reliability.model_fields:
        if getattr(router, name) is not None and getattr(litellm, name) is not None:
            yield f"litellm_settings.{name}"
    if router.timeout is not None and litellm.request_timeout is not None:
        yield "litellm_settings.request_timeout"
    for section in IGNORED_SECTIONS:
        value = getattr(config, section)
        names = value if isinstance(value, dict) else getattr(value, "model_extra", None)
        yield from (dotted((section, name)) for name in names or {})
    yield from config.others


def _of_entry(config: GatewayConfig, entry: ModelEntry) -> Iterator[str]:
    params = entry.litellm_params
    for name in params.model_extra or {}:
        if is_for_the_proxy(name):
            yield f"litellm_params.{name}"
    counted = given_prices(params, entry.model_info)
    for place, label in ((params, "litellm_params"), (entry.model_info, "model_info")):
        for name in PRICES:
            amount = getattr(place, name)
            if amount is not None and counted.get(name) != amount:
                yield f"{label}.{name}"
    if params.weight is not None and config.router.routing_strategy not in {"simple-shuffle", "weighted"}:
        yield "litellm_params.weight"
    if params.tags and not config.router.enable_tag_filtering:
        yield "litellm_params.tags"
    yield from (dotted(("model_info", name)) for name in entry.model_info.model_extra or {})


def notes(config: GatewayConfig) -> Iterator[str]:
    """Yield what is allowed and seldom meant."""
    auto = config.routeiq.auto
    for group in (auto.candidates or []) if auto.artifact else []:
        if group not in auto.model_map:
            yield f"routeiq.auto: `{group}` is not in model_map: no prediction, unless the artifact has its name"
    for members in deployments_of(config).values():
        for deployment in members:
            if deployment.weight == 0 and BALANCING[config.router.routing_strategy] == "weighted":
                yield f"{deployment.id}: gets no calls: it has no weight, and others of its group do"
    for number, entry in enumerate(config.model_list):
        where = f"model_list[{number}] ({entry.model_name})"
        missing = one_sided(entry.litellm_params, entry.model_info)
        if missing and entry.model_info.mode in {None, "chat", "completion"}:
            half = "answers" if missing.startswith("output") else "prompts"
            yield f"{where}: no {missing}: its {half} count as free"
        provider = entry.litellm_params.model.partition("/")[0]
        others = not_direct(entry)
        if (
            entry.model_info.upstream is None
            and provider in DIRECT_PROVIDERS
            and entry.litellm_params.api_base
            and others
        ):
            yield f"{where}: called through LiteLLM because of {', '.join(others)}; `extra_body` sends a name as it is"
