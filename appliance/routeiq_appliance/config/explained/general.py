"""`general_settings` of LiteLLM: why each is not acted on, or what to use instead. Names: LiteLLM 1.106.2."""

__all__ = ["GENERAL"]

GENERAL = {
    "LITELLM_MASTER_KEY in the environment is used": "master_key",
    "a master key is always required": "dangerously_permit_weak_or_unset_master_key",
    "DATABASE_URL in the environment is used": "database_url database_args database_type",
    "the pool and its deadlines are fixed: 4 connections a worker, 5 s to connect, 10 s a statement":
        "database_connect_timeout database_connection_pool_limit database_connection_pool_timeout "
        "database_connection_timeout database_disable_prepared_statements database_extra_connection_params "
        "database_max_idle_connection_lifetime database_socket_timeout",
    "`routeiq admin migrate` changes the schema, never the gateway": "disable_prisma_schema_update",
    "keys seen within the hour keep working while the database is away, others get 503":
        "allow_requests_on_db_unavailable",
    "STORE_MODEL_IN_DB in the environment is used; nothing but models is kept there":
        "store_model_in_db supported_db_objects",
    "SIGHUP replaces the workers, which read the file again": "proxy_config_reload_interval_seconds",
    "REDIS_URL in the environment is used": "coordination_redis use_redis_transaction_buffer",
    "secrets come from the environment or from files (`NAME_FILE`)":
        "key_management_settings key_management_system use_azure_key_vault use_google_kms",
    "every call has one row in the ledger, kept in a journal until it is shipped":
        "disable_spend_logs disable_spend_updates disable_error_logs proxy_batch_write_at spend_capture_rate_check "
        "use_spend_logs_partitioning",
    "the ledger is not thinned out: delete old rows of `calls` in the database":
        "maximum_autorouter_session_retention_period maximum_daily_tag_spend_retention_period "
        "maximum_health_check_retention_period maximum_spend_logs_cleanup_batch_size "
        "maximum_spend_logs_cleanup_batch_timeout maximum_spend_logs_cleanup_cron "
        "maximum_spend_logs_cleanup_max_batches maximum_spend_logs_cleanup_run_budget "
        "maximum_spend_logs_retention_interval maximum_spend_logs_retention_period",
    "no prompt and no answer is ever stored": "store_prompts_in_spend_logs spend_logs_metadata_fields",
    "budgets are reserved before each call; a period begins by the clock, without a job":
        "disable_budget_reservation disable_reset_budget proxy_budget_rescheduler_max_time "
        "proxy_budget_rescheduler_min_time scheduled_job_stagger",
    "`metadata.routeiq.fail_closed` of a key says so":
        "fail_closed_budget_enforcement fail_closed_rate_limit_enforcement",
    "a user's budget counts for all of its keys, those of teams too": "apply_user_budget_to_team_keys",
    "input and output tokens count together": "token_rate_limit_type",
    "ROUTEIQ_MAX_CONCURRENT_REQUESTS in the environment is used":
        "global_max_parallel_requests max_in_flight_requests_per_worker",
    "calls do not wait in a queue: what cannot start is refused with 429 or 503 at once":
        "admission_queue_timeout_seconds max_queued_requests_per_worker",
    "`litellm_params.max_parallel_requests` of each deployment is used": "max_parallel_requests",
    "ROUTEIQ_MAX_BODY_BYTES in the environment is used": "max_request_size_mb max_file_size_mb",
    "an answer may have 256 MB": "max_response_size_mb",
    "each call names its model": "completion_model infer_model_from_keys",
    "names are the groups of `model_list`; there are no public names for teams": "use_team_public_model_name",
    "`/health` asks the upstreams when it is called; breakers and cooldowns watch the calls themselves":
        "background_health_check_model_groups background_health_checks enable_health_check_routing "
        "health_check_concurrency health_check_details health_check_ignore_transient_errors health_check_interval "
        "health_check_skip_disabled_background_models health_check_staleness_threshold model_list_healthy_only "
        "use_shared_health_check disable_model_info_refresh",
    "`/health/readiness` tells what is away, without an account": "allow_public_health_readiness_details",
    "SIGTERM drains a worker, for ROUTEIQ_DRAIN_TIMEOUT_SECONDS": "drain_endpoint_token enable_drain_endpoint",
    "a caller who leaves always ends the upstream's work": "cancel_on_disconnect",
    "a caller asks for it with `stream_options.include_usage`": "always_include_stream_usage",
    "errors always carry the request's id": "include_call_id_in_error_body",
    "fallbacks go only to groups that the key may use, and their failures are in the decision's record":
        "enforce_fallback_model_access expose_fallback_errors_to_caller",
    "`router_settings.num_retries` is used; limits of keys are never tried again":
        "disable_retry_on_max_parallel_request_limit_error",
    "a caller's headers are not handed on, but for `traceparent` and B3":
        "forward_client_headers_to_llm_api forward_llm_provider_auth_headers forward_openai_org_id",
    "callers cannot bring their own credentials or addresses": "allow_client_side_credentials",
    "ROUTEIQ_SSRF_ALLOW_PRIVATE, ROUTEIQ_SSRF_HOST_ALLOWLIST and ROUTEIQ_SSRF_CIDR_ALLOWLIST are used":
        "provider_url_destination_allowed_hosts user_url_allowed_hosts user_url_validation",
    "the proxy in front decides who may connect; forwarded addresses are not read":
        "allowed_ips trusted_proxy_ranges use_x_forwarded_for",
    "keys open the calls, the master key and keys with a role the management; only liveliness and readiness are open":
        "admin_only_routes allowed_routes enforce_rbac public_routes role_permissions allow_user_auth",
    "keys are sent as `Authorization: Bearer` or `x-api-key`": "litellm_key_header_name",
    "callers are known by their keys; there is no other way to prove who one is":
        "custom_auth custom_auth_run_common_checks enable_jwt_auth enable_oauth2_auth enable_oauth2_proxy_auth "
        "litellm_jwtauth oauth2_config_mappings service_account_settings user_api_key_cache_max_size "
        "user_api_key_cache_ttl",
    "Python of one's own is not run in the gateway":
        "custom_key_generate custom_key_policy custom_key_update custom_team_metadata_validate plugins "
        "team_metadata_schema team_metadata_validation_error_message team_metadata_validation_timeout",
    "a field of the request is not required or refused by a setting: use `routeiq.policy`":
        "enforce_user_param enforced_params reject_clientside_metadata_tags missing_session_id",
    "end users (`user` of a call) have no limits here": "user_header_mappings user_header_name",
    "keys are generated here, never chosen": "disable_custom_api_keys",
    "there is no sign-in: the console takes a key":
        "allow_cli_sso_verification_uri_complete auto_redirect_ui_login_to_sso control_plane_url custom_sso "
        "custom_ui_sso_sign_in_handler disable_env_credential_login disable_password_login_when_sso_enabled "
        "failed_login_block_seconds failed_login_window_seconds hide_default_credentials_hint "
        "max_failed_login_attempts_per_source max_failed_login_attempts_per_source_overrides "
        "password_policy_check_breached_passwords password_policy_min_length password_policy_require_lowercase "
        "password_policy_require_numbers password_policy_require_special_characters "
        "password_policy_require_uppercase ui_access_mode disable_master_key_return",
    "users of an organization do not manage it themselves":
        "default_team_disabled disable_auto_add_proxy_admin_to_teams disable_key_generate_for_org_admin",
    "there is no list of models without a key": "enable_public_model_hub",
    "alerts come from `/metrics`, by Prometheus and Alertmanager":
        "alert_to_webhook_url alert_type_config alert_types alerting alerting_args alerting_threshold email ms_teams "
        "slack spend_report_frequency",
    "OTEL_EXPORTER_OTLP_ENDPOINT in the environment is used": "otel tracing",
    "other paths are not passed through to providers":
        "disable_bedrock_agent_runtime_passthrough pass_through_endpoints pass_through_request_timeout "
        "passthrough_managed_object_ids",
    "there are no WebSockets": "enable_openai_websocket_passthrough responses_websocket_session_limit_seconds",
    "responses are not stored here: ids are those of the upstream":
        "allow_unmanaged_response_ids disable_responses_id_security",
    "files and batches are not served":
        "allowed_file_extensions blocked_file_extensions disable_batch_input_file_rate_limiting max_batch_file_records "
        "max_batch_file_size_mb max_batch_file_uploads_per_day max_file_downloads_per_minute "
        "proxy_batch_polling_interval skip_batch_input_file_rate_limiting_for_models "
        "skip_batch_input_file_rate_limiting_for_providers track_unmanaged_batch_cost transcribe_media_buckets",
    "MCP servers are not served":
        "enable_mcp_registry mcp_advertised_versions mcp_allow_all_keys_respects_mcp_scope mcp_allowed_clients "
        "mcp_client_id_header mcp_client_side_auth_header_name mcp_internal_ip_ranges "
        "mcp_prefer_client_id_metadata_document mcp_required_fields mcp_session_token_signing "
        "mcp_trusted_proxy_ranges mcp_xff_num_trusted_hops require_end_user_mcp_access_defined "
        "require_key_mcp_access_defined user_mcp_management_mode",
    "search tools and vector stores are not served":
        "search_tool_deny_by_default search_tools vector_store_deny_by_default",
    "there is no gateway for one client: it uses `/v1/messages`":
        "claude_code_gateway_managed_settings enable_claude_code_gateway",
    "there is no licence": "litellm_license",
}  # fmt: skip
"""Reason → the settings that it holds for."""
