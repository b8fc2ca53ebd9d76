"""Turns the entries of `model_list` into the deployments that calls are balanced over. Pure.

Decided here: which upstream calls a deployment, its deadlines, retries, weight, order, price. What a group does when
none of its deployments answers is `policy`'s.
"""

from typing import Any

from routeiq_appliance.config.model_list import LitellmParams, ModelEntry
from routeiq_appliance.config.models import GatewayConfig
from routeiq_appliance.config.params import DIRECT_PROVIDERS, not_direct, sent_upstream
from routeiq_appliance.config.prices import price_of
from routeiq_appliance.egress.destinations import destination_of_url
from routeiq_appliance.pipeline.types import Deployment
from routeiq_appliance.routing.capabilities import FLAGS

__all__ = ["DEFAULT_RETRIES", "deployments_of", "needs_litellm", "unpriced", "upstream_of"]

DEFAULT_RETRIES = 2


def deployments_of(config: GatewayConfig) -> dict[str, list[Deployment]]:
    """Return the groups in declared order, with their deployments."""
    entries: dict[str, list[ModelEntry]] = {}
    for entry in config.model_list:
        entries.setdefault(entry.model_name, []).append(entry)
    return {group: _group(config, members) for group, members in entries.items()}


def needs_litellm(config: GatewayConfig) -> bool:
    """Whether any deployment is called through the LiteLLM library."""
    return any(upstream_of(entry) == "litellm" for entry in config.model_list)


def unpriced(config: GatewayConfig) -> list[str]:
    """Return the deployments without a price, as `GROUP: DEPLOYMENT`, in declared order."""
    return [
        f"{group}: {deployment.id}"
        for group, members in deployments_of(config).items()
        for deployment in members
        if deployment.price is None
    ]


def upstream_of(entry: ModelEntry) -> Any:
    """Return `direct` where it is certain that nothing has to be translated, or where it is asked for."""
    if entry.model_info.upstream is not None:
        return entry.model_info.upstream
    provider, separator, model = entry.litellm_params.model.partition("/")
    certain = provider in DIRECT_PROVIDERS and separator and model and entry.litellm_params.api_base
    return "direct" if certain and not not_direct(entry) else "litellm"


def _group(config: GatewayConfig, entries: list[ModelEntry]) -> list[Deployment]:
    weights = _weights(config, [entry.litellm_params for entry in entries])
    orders = [entry.litellm_params.order for entry in entries]
    # LiteLLM calls a deployment without an order only when the others are gone.
    last = max((order for order in orders if order is not None), default=-1) + 1
    return [
        _deployment(config, entry, number, weights[number], last if order is None else order)
        for number, (entry, order) in enumerate(zip(entries, orders, strict=True))
    ]


def _deployment(
    config: GatewayConfig, entry: ModelEntry, number: int, weight: float, order: int
) -> Deployment:
    given = entry.litellm_params
    upstream = upstream_of(entry)
    provider, separator, model = given.model.partition("/")
    total, first_token, idle = _deadlines(config, given)
    retries = (given.max_retries, config.router.num_retries, config.litellm.num_retries, DEFAULT_RETRIES)
    return Deployment(
        id=entry.model_info.id or f"{entry.model_name}-{number + 1}",
        group=entry.model_name,
        mode=entry.model_info.mode,
        params=_params(config, given, upstream, provider),
        destination=destination_of_url(given.api_base) if given.api_base else None,
        upstream=upstream,
        provider=str(
            (given.model_extra or {}).get("custom_llm_provider") or (provider if separator else "unknown")
        ),
        model=model if separator else given.model,
        connect_timeout=min(config.routeiq.deadlines.connect, total),
        timeout=total,
        first_token_timeout=first_token,
        stream_timeout=idle,
        retries=next(value for value in retries if value is not None),
        price=price_of(given, entry.model_info),
        rpm=given.rpm,
        tpm=given.tpm,
        parallel=given.max_parallel_requests,
        weight=weight,
        order=order,
        tags=frozenset(given.tags or ()),
        kinds=None if entry.model_info.kinds is None else frozenset(entry.model_info.kinds),
        can={
            need: value
            for need, name in FLAGS.items()
            if (value := getattr(entry.model_info, name)) is not None
        },
        max_input_tokens=entry.model_info.max_input_tokens,
    )


def _params(config: GatewayConfig, given: LitellmParams, upstream: str, provider: str) -> dict[str, Any]:
    params = {
        name: value for name, value in given.model_dump(exclude_none=True).items() if sent_upstream(name)
    }
    if upstream == "litellm" and config.litellm.drop_params is not None:
        params.setdefault("drop_params", config.litellm.drop_params)
    if upstream == "direct" and provider in {"ollama", "ollama_chat"}:
        # LiteLLM's address of an Ollama is its root; what speaks OpenAI's dialect is below /v1.
        base = str(given.api_base).rstrip("/")
        params["api_base"] = base if base.endswith("/v1") else f"{base}/v1"
    return params


def _deadlines(config: GatewayConfig, given: LitellmParams) -> tuple[float, float, float]:
    """Return seconds for the whole call, to the first event and between two; the latter never beyond the first."""
    ours = config.routeiq.deadlines
    total = given.timeout or config.router.timeout or config.litellm.request_timeout or ours.total
    stream = given.stream_timeout or config.router.stream_timeout
    return total, min(stream or ours.first_token, total), min(stream or ours.idle, total)


def _weights(config: GatewayConfig, group: list[LitellmParams]) -> list[float]:
    """Return the shares: `weight`; for LiteLLM's `simple-shuffle` else rpm, else tpm; equal when nobody says one.

    As in LiteLLM, a deployment without a weight beside others with one gets no calls.
    """
    names = ("weight", "rpm", "tpm") if config.router.routing_strategy == "simple-shuffle" else ("weight",)
    for name in names:
        shares = [float(getattr(params, name) or 0.0) for params in group]
        if any(shares):
            return shares
    return [1.0] * len(group)
