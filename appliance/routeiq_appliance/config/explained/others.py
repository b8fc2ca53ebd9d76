"""LiteLLM's other sections, `litellm_params` that only its proxy reads, and `model_info`: why, or what to use instead.

Names: LiteLLM 1.106.2.
"""

__all__ = ["MODEL_INFO", "PARAMS", "PARAM_PREFIXES", "SECTIONS"]

SECTIONS = {
    "agents": "agents are not served",
    "agent_list": "agents are not served",
    "assistant_settings": "assistants are not served",
    "callback_settings": "callbacks are not called: `/metrics`, OTEL_EXPORTER_OTLP_ENDPOINT and logs tell of calls",
    "credential_list": "write `api_key` into each `litellm_params`",
    "default_vertex_config": "other paths are not passed through to providers",
    "environment_variables": "set it where the gateway is started",
    "files_settings": "files are not served",
    "finetune_settings": "fine-tuning is not served",
    "guardrails": "guardrails are not run here",
    "mcp_servers": "MCP servers are not served",
    "mcp_tools": "MCP servers are not served",
    "policies": "they name guardrails, which are not run here; `routeiq.policy` judges calls",
    "policy_attachments": "they name guardrails, which are not run here; `routeiq.policy` judges calls",
    "prompts": "prompts are the caller's: templates are not kept here",
    "sandbox_tools": "tools are not run here",
    "search_tools": "search tools are not served",
    "vector_store_registry": "vector stores are not served",
    "worker_registry": "each gateway has a console of its own",
}
"""LiteLLM's sections of which nothing is acted on → why."""

PARAMS = {
    "LiteLLM's keep-alives are not sent: `routeiq.keep_alive_seconds`":
        "allow_client_keepalive_override keepalive_seconds",
    "budgets are those of keys, teams, users and organizations": "budget_duration max_budget",
    "callers cannot bring their own credentials or addresses": "configurable_clientside_auth_params",
    "give `rpm_limit` and `tpm_limit` with each key": "default_api_key_rpm_limit default_api_key_tpm_limit",
    "input and output tokens count together: `tpm`": "itpm otpm",
    "write `api_key` here": "litellm_credential_name",
    "ROUTEIQ_MAX_BODY_BYTES in the environment is used": "max_file_size_mb",
    "write it beside `litellm_params`": "model_info",
    "`max_retries` is used": "num_retries",
    "a conversation stays with its deployment for `routeiq.affinity_seconds`": "provider_affinity_header",
    "`timeout` and `stream_timeout` hold for every tier": "stream_timeout_by_service_tier timeout_by_service_tier",
    "`tags` are compared as they are": "tag_regex",
    "only a price per token, per second or per call is counted": "tiered_pricing",
    "other paths are not passed through to providers": "use_in_pass_through",
    "calls with tags need `router_settings.enable_tag_filtering`": "tags",
    "of the prices per second the first of `cost_per_second`, `input_cost_per_second` and this one counts":
        "input_cost_per_second output_cost_per_second",
    "weights are for `routing_strategy: simple-shuffle` or `weighted`": "weight",
}  # fmt: skip
"""Reason → the names in `litellm_params`."""

PARAM_PREFIXES = ("adaptive_router_", "auto_router_", "complexity_router_", "quality_router_")
"""How the names of LiteLLM's own routers begin."""

MODEL_INFO = {
    "groups are open at all times: `routeiq.policy` can deny by time": "access_windows",
    "name the group in `models` of keys and teams": "access_groups",
    "guardrails are not run here": "allow_fail_open",
    "prices are those written here, never looked up by another name": "base_model",
    "take the entry out of the file": "blocked",
    "only a price per token, per second or per call is counted":
        "cache_creation_input_token_cost cache_read_input_token_cost cost_per_ptu_per_hour input_cost_per_character "
        "output_cost_per_character ptu_count ptu_effective_from ptu_effective_to tiered_pricing",
    "who made it is not kept in the file": "created_at created_by db_model updated_at updated_by",
    "`/v1/models` lists what a key may use": "discoverable internal_router_model",
    "`router_settings.enable_tag_filtering` holds for all": "enable_tag_filtering",
    "name the group in `models` of the team": "member_auto_router team_id team_public_model_name",
    "`routeiq.auto` and the artifact know the models": "tier",
    "in `litellm_params` it wins": "input_cost_per_token output_cost_per_token input_cost_per_query cost_per_second "
        "input_cost_per_second output_cost_per_second",
    "it describes the model, and decides nothing here":
        "description litellm_provider max_output_tokens max_tokens metadata mode_description "
        "supported_openai_params supports_assistant_prefill supports_audio_output "
        "supports_parallel_function_calling supports_pdf_input supports_prompt_caching "
        "supports_reasoning supports_system_messages supports_tool_choice "
        "supports_web_search health_check_max_tokens health_check_model health_check_timeout health_check_voice "
        "disable_background_health_check health_check_params",
}  # fmt: skip
"""Reason → the names in `model_info`."""
