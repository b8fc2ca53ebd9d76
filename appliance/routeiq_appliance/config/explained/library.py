"""`litellm_settings` of LiteLLM: why each is not acted on, or what to use instead. Names: LiteLLM 1.106.2.

They are the attributes of its module that its proxy sets from the file, and some that only the proxy reads.
"""

__all__ = ["LIBRARY"]

_ELSEWHERE = "the same in `router_settings` wins"
_NO_CALLBACKS = (
    "callbacks are not called: `/metrics`, OTEL_EXPORTER_OTLP_ENDPOINT, logs, `/spend/logs` tell of calls"
)
_METRICS = "`/metrics` has names and labels of its own: docs/gateway.md"
_CREDENTIAL = "`api_key` in each `litellm_params` is used"

LIBRARY = {
    _ELSEWHERE: "allowed_fails context_window_fallbacks cooldown_time default_fallbacks fallbacks num_retries "
        "request_timeout",
    "`router_settings.num_retries` is used": "num_retries_per_request retry",
    "write `router_settings.fallbacks`": "model_fallbacks",
    "all groups of a list are tried, in order": "max_fallbacks",
    "a refusal for its content is an answer, and is handed to the caller": "content_policy_fallbacks",
    "ROUTEIQ_CACHE_ENABLED in the environment switches the response cache on; `routeiq.cache` says what it keeps":
        "cache cache_params caching caching_with_models default_in_memory_ttl default_redis_batch_cache_expiry "
        "default_redis_ttl enable_caching_on_provider_specific_optional_params enable_redis_auth_cache",
    "REDIS_URL in the environment is used, without groups of keys": "force_redis_hash_tag_grouping",
    _NO_CALLBACKS:
        "argilla_batch_size argilla_transformation_object audit_log_callbacks aws_sqs_callback_params "
        "azure_content_safety_params callback_settings callbacks cold_storage_custom_logger "
        "datadog_llm_observability_params "
        "datadog_params datadog_use_v1 dynamodb_table_name failure_callback gcs_pub_sub_use_v1 generic_api_use_v1 "
        "generic_logger_headers initialized_langfuse_clients input_callback langfuse_default_tags "
        "langfuse_enable_update_trace_keys langsmith_batch_size logged_real_time_event_types newrelic_params "
        "otel_tenant_destination_mode pointfive_params s3_audit_callback_params s3_callback_params service_callback "
        "service_callbacks standard_logging_payload_excluded_fields success_callback zerobus_params "
        "allow_dynamic_callback_disabling global_disable_no_log_param disable_streaming_logging",
    _METRICS:
        "custom_prometheus_metadata_labels custom_prometheus_tags prometheus_deployment_and_latency_caller_identity "
        "prometheus_emit_input_sequence_length_label prometheus_emit_rate_limit_labels prometheus_emit_stream_label "
        "prometheus_end_user_metrics_cleanup_interval_seconds prometheus_end_user_metrics_max_series_per_metric "
        "prometheus_end_user_metrics_ttl_seconds prometheus_exclude_labels prometheus_exclude_metrics "
        "prometheus_initialize_budget_metrics prometheus_latency_buckets prometheus_metrics_cleanup_interval_seconds "
        "prometheus_metrics_config prometheus_metrics_max_series_per_metric prometheus_metrics_ttl_seconds "
        "prometheus_user_budget_label_include_email_alias",
    "`/metrics` has a port of its own, ROUTEIQ_METRICS_PORT, without keys": "require_auth_for_metrics_endpoint",
    "logs are JSON lines; ROUTEIQ_LOG_LEVEL says which":
        "json_logs log_auth_failure_key_identity log_client_error_tracebacks logging request_correlation_in_logs "
        "set_verbose suppress_debug_info",
    "no prompt, answer, key or address is in a log, a trace or an error":
        "expose_router_debug_in_errors log_raw_request_response redact_messages_in_exceptions "
        "redact_user_api_key_info "
        "turn_off_message_logging error_logs",
    "there is no audit log yet": "store_audit_logs",
    "guardrails are not run here":
        "banned_keywords_list blocked_user_list google_moderation_confidence_threshold guardrail_name_config_map "
        "guardrails llamaguard_model_name llamaguard_unsafe_content_categories llm_guard_mode "
        "openai_moderations_model_name output_parse_pii presidio_ad_hoc_recognizers presidio_logging_only "
        "prompt_injection_params skip_system_message_in_guardrail skip_tool_message_in_guardrail",
    "Python of one's own is not run in the gateway": "post_call_rules pre_call_rules custom_provider_map adapters",
    "prompts are the caller's: templates are not kept here":
        "custom_prompt_dict disable_add_prefix_to_prompt global_bitbucket_config global_gitlab_config "
        "global_prompt_directory prompt_name_config_map",
    "budgets are those of keys, teams, users and organizations":
        "budget_duration max_budget max_end_user_budget max_end_user_budget_id tag_budget_config "
        "validate_end_user_id_in_db disable_end_user_cost_tracking disable_end_user_cost_tracking_prometheus_only "
        "enable_end_user_cost_tracking_prometheus_only extra_spend_tag_headers "
        "disable_add_user_agent_to_request_tags",
    "a budget that is spent is 429, and its period has the length that was written, from when it was set":
        "budget_exceeded_status_code budget_exceeded_throttle_percentage budget_reset_time budget_rollover timezone "
        "default_soft_budget",
    "give limits with each key, team and user; there are no defaults":
        "default_internal_user_params default_key_generate_params default_key_max_budget_alert_emails "
        "default_max_internal_user_budget default_team_params default_team_settings internal_user_budget_duration "
        "key_generation_settings max_internal_user_budget max_ui_session_budget max_user_budget "
        "upperbound_key_generate_params enable_key_alias_format_validation key_alias_pattern",
    "share a group out with `rpm` and `tpm` of keys and teams": "priority_reservation priority_reservation_settings",
    "prices are those of `litellm_params` or `model_info`, never looked up":
        "apply_search_free_tier cost_discount_config cost_margin_config model_cost model_cost_map_url",
    "a call without a price is marked unpriced, and goes through": "block_requests_for_models_without_pricing",
    "nothing is looked up on the internet":
        "anthropic_beta_headers_url autorouter_presets_url blog_posts_url disable_hf_tokenizer_download",
    _CREDENTIAL:
        "ai21_key aleph_alpha_key amazon_nova_api_key anthropic_key api_key azure_key baseten_key bytez_key "
        "clarifai_key "
        "cloudflare_api_key cohere_key cometapi_key databricks_key datarobot_key gdc_key gigachat_key "
        "gradient_ai_api_key groq_key heroku_key huggingface_key inception_key infinity_key lemonade_key "
        "llama_api_key "
        "maritalk_key nebius_key nlp_cloud_key novita_api_key ollama_key openai_key openai_like_key openrouter_key "
        "ovhcloud_key predibase_key replicate_key sap_service_key snowflake_key togetherai_api_key token "
        "vercel_ai_gateway_key wandb_key xai_key email common_cloud_provider_auth_params credential_list "
        "enable_azure_ad_token_refresh enable_model_config_credential_overrides proxy_auth secret_manager_client",
    "write it into each `litellm_params`":
        "api_base api_version gdc_api_base headers max_tokens organization predibase_tenant_id project "
        "vertex_location "
        "vertex_project vertex_ai_safety_settings use_litellm_proxy model_alias_map model_group_settings",
    "`litellm_params` and the request say what is sent; nothing is rewritten unasked":
        "add_function_to_prompt add_user_information_to_llm_headers anthropic_prompt_caching_ttl "
        "bedrock_neutralize_orphaned_tool_blocks bedrock_request_metadata_fields "
        "disable_add_transform_inline_image_block disable_anthropic_gemini_context_caching_transform "
        "disable_copilot_system_to_assistant disable_stop_sequence_limit enable_anthropic_prompt_caching "
        "enable_gemini_default_thinking_level_low modify_params openai_system_messages_first "
        "overwrite_user_with_key_hash reasoning_auto_summary safe_memory_mode strip_anthropic_total_tokens "
        "enable_preview_features gemini_live_defer_setup disable_token_counter",
    "`traceparent` is always handed on": "forward_traceparent_to_llm_provider",
    "which dialect an upstream speaks is said by `model_info.upstream` and its provider: docs/upstreams.md":
        "route_all_chat_openai_to_responses use_chat_completions_url_for_anthropic_messages responses",
    "answers are relayed as they come": "enable_json_schema_validation include_cost_in_streaming_usage "
        "return_response_headers filter_invalid_headers",
    "`routeiq.keep_alive_seconds` is used": "anthropic_sse_ping_interval_seconds sse_keepalive_ping_interval_seconds",
    "certificates are always checked, against the system's: SSL_CERT_FILE":
        "ssl_certificate ssl_ecdh_curve ssl_security_level ssl_verify",
    "connections are the gateway's own: HTTP/1.1, no proxy, IPv4 and IPv6":
        "aclient_session aiohttp_trust_env client_session disable_aiohttp_transport "
        "disable_aiohttp_trust_env force_ipv4 "
        "http2 in_memory_llm_clients_cache use_aiohttp_transport use_client network_mock",
    "ROUTEIQ_SSRF_ALLOW_PRIVATE, ROUTEIQ_SSRF_HOST_ALLOWLIST and ROUTEIQ_SSRF_CIDR_ALLOWLIST are used":
        "provider_url_destination_allowed_hosts user_url_allowed_hosts user_url_validation",
    "files, batches and vector stores are not served":
        "disable_vertex_batch_output_transformation enable_loadbalancing_on_batch_endpoints require_managed_files "
        "vector_store_index_registry vector_store_registry vector_store_search_failure_mode",
    "MCP servers, agents and skills are not served":
        "agent_search_embedding_model mcp_aliases mcp_semantic_tool_filter mcp_tool_search public_agent_groups "
        "public_mcp_hub_strict_whitelist public_mcp_servers public_skills_index skill_search_embedding_model "
        "websearch_interception_params",
    "there is no list of models without a key": "public_model_groups public_model_groups_links",
    "users are not provisioned by SCIM": "scim_admin_group scim_upsert_user",
    "is a section of its own": "model_list",
    "is LiteLLM's own, not a setting of a site": "check_provider_endpoint config_path litellm_mode",
}  # fmt: skip
"""Reason → the settings that it holds for."""
