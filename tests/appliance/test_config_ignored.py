from collections.abc import Callable

import pytest
from tests.appliance import litellm_settings

from routeiq_appliance.config import explained
from routeiq_appliance.config.explained import explanation, general, library, others, router
from routeiq_appliance.config.ignored import ignored, instead, notes
from routeiq_appliance.config.load import parse_config
from routeiq_appliance.config.model_list import ModelInfo
from routeiq_appliance.config.models import GatewayConfig
from routeiq_appliance.config.params import is_for_the_proxy
from routeiq_appliance.config.sections import LitellmSettings, RouterSettings


def test_what_is_acted_on_is_not_listed() -> None:
    text = """
model_list:
  - model_name: a
    litellm_params: {model: openai/m, api_base: "http://h/v1", weight: 2, rpm: 3, tags: [x], top_k: 3, temperature: 1}
    model_info: {id: one, mode: chat, input_cost_per_token: 1}
router_settings: {routing_strategy: simple-shuffle, num_retries: 1, enable_tag_filtering: true}
litellm_settings: {request_timeout: 5, drop_params: true}
"""
    assert ignored(parse_config(text, {})) == []


def test_everything_accepted_and_not_acted_on_is_listed_once() -> None:  # L1
    text = """
model_list:
  - model_name: a
    litellm_params: {model: openai/m, api_base: "http://h/v1", weight: 2, tags: [x], itpm: 3, input_cost_per_token: 1,
                     cache_read_input_token_cost: 1, input_cost_per_audio_token: 3, cost_per_second: 3}
    model_info: {input_cost_per_token: 2, input_cost_per_second: 4, supports_reasoning: true}
  - model_name: a
    litellm_params: {model: openai/m, api_base: "http://h/v1", weight: 2}
router_settings:
  routing_strategy_args: {ttl: 5}
  redis_host: h
  num_retries: 1
  timeout: 4
  model_group_alias: {b: {model: a, hidden: true}}
litellm_settings: {callbacks: [otel], num_retries: 2, request_timeout: 5, cache: true}
general_settings: {master_key: sk-planted, alerting: [slack]}
environment_variables: {A: b}
"""
    assert ignored(parse_config(text, {})) == [
        "model_list[].litellm_params.itpm",
        "model_list[].litellm_params.cache_read_input_token_cost",
        "model_list[].litellm_params.input_cost_per_audio_token",
        "model_list[].model_info.input_cost_per_token",
        "model_list[].model_info.input_cost_per_second",
        "model_list[].litellm_params.weight",
        "model_list[].litellm_params.tags",
        "model_list[].model_info.supports_reasoning",
        "router_settings.routing_strategy_args",
        "router_settings.redis_host",
        "router_settings.model_group_alias",
        "litellm_settings.callbacks",
        "litellm_settings.cache",
        "litellm_settings.num_retries",
        "litellm_settings.request_timeout",
        "general_settings.master_key",
        "general_settings.alerting",
        "environment_variables.A",
    ]
    assert instead("general_settings.master_key") == "LITELLM_MASTER_KEY in the environment is used"
    assert instead("router_settings.made_up") == "is no setting that this release knows"


def test_sections_that_only_litellm_has_are_accepted_and_listed() -> None:  # L4
    text = """
model_list:
  - model_name: a
    litellm_params: {model: openai/m, api_base: "http://h/v1"}
guardrails: [{guardrail_name: pii, litellm_params: {guardrail: presidio, mode: pre_call}}]
mcp_servers: {a: {url: "http://h"}}
"""
    assert ignored(parse_config(text, {})) == ["guardrails", "mcp_servers"]
    assert instead("guardrails") == "guardrails are not run here"


@pytest.mark.parametrize(
    ("section", "names", "acted_on"),
    [
        ("general_settings", litellm_settings.general_names, frozenset()),
        ("router_settings", litellm_settings.router_names, frozenset(RouterSettings.model_fields)),
        ("litellm_settings", litellm_settings.library_names, frozenset(LitellmSettings.model_fields)),
        ("model_info", litellm_settings.model_info_names, frozenset(ModelInfo.model_fields)),
    ],
)
def test_every_setting_of_the_installed_litellm_is_acted_on_or_explained(
    section: str, names: Callable[[], set[str]], acted_on: frozenset[str]
) -> None:  # L4
    found = names()
    assert len(found) > 20, "LiteLLM says its settings in another way: `litellm_settings` must follow"
    assert sorted(name for name in found - acted_on if explanation(f"{section}.{name}") is None) == []


def test_every_parameter_that_only_litellms_proxy_reads_is_explained() -> None:  # L4
    found = {name for name in litellm_settings.param_names() if is_for_the_proxy(name)}
    assert len(found) > 20
    assert sorted(name for name in found if explanation(f"model_list[].litellm_params.{name}") is None) == []


def test_every_section_of_litellms_file_is_acted_on_or_explained() -> None:  # L4
    found = litellm_settings.section_names() - set(GatewayConfig.model_fields)
    assert len(found) > 10
    assert sorted(found - set(explained.SECTIONS)) == []


@pytest.mark.parametrize(
    "reasons", [general.GENERAL, library.LIBRARY, router.ROUTER, others.PARAMS, others.MODEL_INFO]
)
def test_each_setting_has_one_reason(reasons: dict[str, str]) -> None:
    names = [name for listed in reasons.values() for name in listed.split()]
    assert sorted(names) == sorted(set(names))
    assert all(reason == reason.strip() and not reason.endswith(".") for reason in reasons)


def test_what_is_seldom_meant_is_noted() -> None:
    text = """
model_list:
  - model_name: a
    litellm_params: {model: openai/m, api_base: "http://h/v1", top_k: 3}
    model_info: {input_cost_per_token: 2}
  - model_name: a
    litellm_params: {model: openai/m, api_base: "http://h/v1", weight: 2}
  - model_name: e
    litellm_params: {model: openai/m, api_base: "http://h/v1"}
    model_info: {input_cost_per_token: 2, mode: embedding}
router_settings: {routing_strategy: weighted}
"""
    assert list(notes(parse_config(text, {}))) == [
        "a-1: gets no calls: it has no weight, and others of its group do",
        "model_list[0] (a): no output_cost_per_token: its answers count as free",
        "model_list[0] (a): called through LiteLLM because of top_k; `extra_body` sends a name as it is",
    ]
