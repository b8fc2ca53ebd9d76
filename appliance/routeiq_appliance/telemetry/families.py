"""The names, labels and buckets of every metric but the gauges.

A metric that LiteLLM's proxy has, has LiteLLM's name and unit, and the same thing is never shown twice: no total of two
metrics that are shown. What LiteLLM does not have is `gateway_…` or `routeiq_…`.
"""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram

__all__ = ["Families"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_POLICY_SECONDS = (0.000005, 0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.01, 0.1, 1)
_DECISION_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)


class Families:
    """Every metric but the gauges (K1, K2, K5, K11)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def count(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def spread(name: str, text: str, *labels: str, buckets: Sequence[float] = _SECONDS) -> Histogram:
            return Histogram(name, text, labels, buckets=buckets, registry=registry)

        whose = ("model", "api_provider", "team")
        where = ("model_group", "model_id", "api_provider")
        self.requests = count(
            "litellm_proxy_total_requests_metric", "Calls settled", "route", *whose, "status_code"
        )
        self.failed = count(
            "litellm_proxy_failed_requests_metric",
            "Calls that ended in an error",
            *whose,
            "exception_status",
            "exception_class",
        )
        self.latency = spread(
            "litellm_request_total_latency_metric", "Seconds of a whole call", "model", "api_provider"
        )
        self.first_token = spread(
            "litellm_llm_api_time_to_first_token_metric",
            "Seconds until a stream's first token",
            "model",
            "api_provider",
        )
        self.upstream = spread("litellm_llm_api_latency_metric", "Seconds of an attempt", *where)
        self.read = count("litellm_input_tokens_metric", "Tokens read", *whose)
        self.written = count("litellm_output_tokens_metric", "Tokens written", *whose)
        self.spend = count("litellm_spend_metric", "Dollars", *whose)
        self.unpriced = count(
            "gateway_unpriced_requests", "Calls answered by a model without a price", "model", "api_provider"
        )
        self.succeeded = count("litellm_deployment_success_responses", "Attempts that were answered", *where)
        self.broke = count(
            "litellm_deployment_failure_responses", "Attempts that failed", *where, "exception_class"
        )
        self.retries = count("gateway_retries", "Attempts after the first in a group", *where)
        fallback = ("requested_model", "fallback_model")
        self.fell_back = count(
            "litellm_deployment_successful_fallbacks", "Attempts in another group, answered", *fallback
        )
        self.fell_through = count(
            "litellm_deployment_failed_fallbacks", "Attempts in another group, failed", *fallback
        )
        self.refused = count(
            "gateway_refused_requests", "Requests refused before an upstream saw them", "status", "reason"
        )
        self.decisions = spread(
            "routeiq_routing_decision_duration_seconds",
            "Routing decision",
            "strategy",
            "model",
            buckets=_DECISION_SECONDS,
        )
        self.usage = count("routeiq_routing_strategy_usage", "Decisions", "strategy", "outcome")
        self.policy = spread(
            "routeiq_policy_evaluation_duration_seconds",
            "Evaluation of the policy",
            "action",
            buckets=_POLICY_SECONDS,
        )  # K6
        self.cache_hits = count(
            "litellm_cache_hits_metric", "Calls answered from the cache", "model", "team", "level"
        )
        self.cache_misses = count(
            "litellm_cache_misses_metric", "Calls that the cache had no answer for", "model", "team"
        )
        self.loading = spread("routeiq_model_load_duration_seconds", "Loading of a strategy", "strategy")
