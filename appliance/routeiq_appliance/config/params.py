"""Which names in `litellm_params` are whose: the gateway's, the direct upstream's, LiteLLM's proxy's, or its calls'.

Pure. The sets follow litellm/types/router.py and litellm/types/utils.py.
"""

from routeiq_appliance.config.model_list import PRICES, ModelEntry

__all__ = [
    "DIRECT_DEFAULTS", "DIRECT_PARAMS", "DIRECT_PROVIDERS", "GATEWAY_PARAMS", "is_for_the_proxy", "not_direct",
    "sent_upstream",
]  # fmt: skip

DIRECT_PROVIDERS = frozenset({"openai", "hosted_vllm", "llamafile", "lm_studio"})
"""LiteLLM's providers whose servers speak OpenAI's dialect at `api_base`."""
DIRECT_DEFAULTS = frozenset({
    "frequency_penalty", "logit_bias", "max_completion_tokens", "max_tokens", "presence_penalty", "reasoning_effort",
    "response_format", "seed", "stop", "temperature", "top_p",
})  # fmt: skip
"""Names that the direct upstream puts into each chat or text request which does not give them."""
DIRECT_PARAMS = DIRECT_DEFAULTS | {
    "api_base", "api_key", "drop_params", "extra_body", "extra_headers", "model", "organization",
}  # fmt: skip
"""Names that the direct upstream understands.

`drop_params` has nothing to do there: callers' fields are checked against OpenAI's before, and each is relayed.
"""
GATEWAY_PARAMS = frozenset({
    *PRICES, "max_parallel_requests", "max_retries", "order", "rpm", "stream_timeout", "tags", "timeout", "tpm",
    "weight",
})  # fmt: skip
"""Names that the gateway acts on itself: no upstream sees them."""
_PROXY_PARAMS = frozenset({
    "allow_client_keepalive_override", "budget_duration", "configurable_clientside_auth_params",
    "default_api_key_rpm_limit", "default_api_key_tpm_limit", "itpm", "keepalive_seconds", "litellm_credential_name",
    "max_budget", "max_file_size_mb", "model_info", "num_retries", "otpm", "provider_affinity_header",
    "stream_timeout_by_service_tier", "tag_regex", "tiered_pricing", "timeout_by_service_tier", "use_in_pass_through",
})  # fmt: skip
_PROXY_PREFIXES = ("adaptive_router_", "auto_router_", "complexity_router_", "quality_router_")
_PRICE_WORDS = ("_cost_per_", "cost_per_query", "token_cost")


def is_for_the_proxy(name: str) -> bool:
    """Whether LiteLLM's router, proxy or cost map acts on the name, its calls do not, and neither do we."""
    if name in GATEWAY_PARAMS:
        return False
    return (
        name in _PROXY_PARAMS
        or name.startswith(_PROXY_PREFIXES)
        or any(word in name for word in _PRICE_WORDS)
    )


def sent_upstream(name: str) -> bool:
    """Whether a call's upstream is handed the name."""
    return name not in GATEWAY_PARAMS and not is_for_the_proxy(name)


def not_direct(entry: ModelEntry) -> list[str]:
    """Return the names of an entry that the direct upstream would be handed and does not understand."""
    given = entry.litellm_params.model_dump(exclude_none=True)
    return sorted(name for name in given if name not in DIRECT_PARAMS and sent_upstream(name))
