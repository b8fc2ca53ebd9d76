"""`router_settings` of LiteLLM: why each is not acted on, or what to use instead. Names: LiteLLM 1.106.2."""

__all__ = ["ROUTER"]

ROUTER = {
    "REDIS_URL in the environment is used": "redis_db redis_host redis_password redis_port redis_url cache_kwargs",
    "ROUTEIQ_CACHE_ENABLED in the environment switches the response cache on; `routeiq.cache` says what it keeps":
        "cache_responses caching_groups",
    "is a section of its own": "model_list",
    "one number holds for every fault: `num_retries`; what is tried again is in docs/gateway.md":
        "max_retries model_group_retry_policy retry_policy",
    "one number holds for every fault: `allowed_fails`": "allowed_fails_policy",
    "`allowed_fails` left out means no cooldown; a breaker opens after ROUTEIQ_CB_FAILURE_THRESHOLD failures":
        "disable_cooldowns",
    "a refusal for its content is an answer, and is handed to the caller": "content_policy_fallbacks",
    "all groups of a list are tried, in order": "max_fallbacks",
    "fallbacks go only to groups that the key may use, within its budget":
        "fallback_access_check fallback_budget_check",
    "a prompt that is too long is the upstream's to refuse: `context_window_fallbacks` follow":
        "enable_pre_call_checks optional_pre_call_checks",
    "`/health` asks the upstreams; breakers and cooldowns watch the calls themselves":
        "background_health_check_model_groups enable_health_check_routing health_check_ignore_transient_errors "
        "health_check_staleness_threshold",
    "`routing_strategy` has no parameters": "routing_strategy_args",
    "one strategy balances every group": "routing_groups",
    "`litellm_params.weight` of each deployment is used": "weights",
    "the next deployment is chosen by the strategy": "enable_weighted_failover",
    "a conversation stays with its deployment for `routeiq.affinity_seconds`":
        "deployment_affinity_ttl_seconds model_group_affinity_config",
    "a deployment with one of the call's tags answers it": "tag_filtering_match_any tag_routing_prefix",
    "write them into each `litellm_params`": "default_litellm_params default_max_parallel_requests",
    "a deployment that is wrong is a mistake of the configuration": "ignore_invalid_deployments",
    "calls do not wait in a queue": "default_priority polling_interval",
    "budgets are those of keys, teams, users and organizations, not of providers": "provider_budget_config",
    "`model: auto` and `routeiq.auto` choose a model": "auto_router_capability_limit",
    "Python of one's own is not run in the gateway": "plugins",
    "alerts come from `/metrics`, by Prometheus and Alertmanager": "alerting_config",
    "assistants are not served": "assistants_config",
    "guardrails are not run here": "guardrail_list",
    "search tools are not served": "search_tools",
    "there is one client a worker": "client_ttl router_general_settings",
    "ROUTEIQ_LOG_LEVEL in the environment is used": "debug_level set_verbose",
    "LiteLLM's longer form of an entry is not acted on: write `name: group`": "model_group_alias",
}  # fmt: skip
"""Reason → the settings that it holds for."""
