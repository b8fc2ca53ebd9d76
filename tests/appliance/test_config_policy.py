import pytest

from routeiq_appliance.config.load import parse_config
from routeiq_appliance.config.policy import CallPolicy, call_policy
from routeiq_appliance.config.sections import BALANCING
from routeiq_appliance.errors import ConfigError

MODELS = "model_list:\n" + "".join(
    f"  - {{model_name: {name}, litellm_params: {{model: openai/m, api_base: 'http://h/v1'}}}}\n"
    for name in ("small", "large", "long")
)


def _policy(text: str = "") -> CallPolicy:
    return call_policy(parse_config(MODELS + text, {}))


def _mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        _policy(text)
    return str(caught.value).splitlines()


def test_without_settings_calls_go_round_and_fall_back_nowhere() -> None:
    policy = _policy()
    assert policy == CallPolicy()
    assert policy.balancing == "round-robin"
    assert policy.after("small") == ()


def test_fallbacks_of_the_router_win_over_litellms() -> None:  # G9
    policy = _policy(
        """
router_settings: {fallbacks: [{small: [large, long, large]}], cooldown_time: 0, retry_after: 2}
litellm_settings:
  fallbacks: [{small: [long]}]
  context_window_fallbacks: [{small: [long]}]
  default_fallbacks: [large]
  allowed_fails: 3
"""
    )
    assert policy.after("small") == ("large", "long")
    assert policy.after("long") == ("large",)
    assert policy.after("large") == ()
    assert policy.after_too_long("small") == ("long",)
    assert policy.after_too_long("long") == ("large",)
    assert (policy.cooldown_seconds, policy.allowed_fails, policy.retry_after) == (0, 3, 2)


def test_a_star_stands_for_every_group_without_an_entry() -> None:
    policy = _policy("router_settings: {fallbacks: [{small: [long]}, {'*': [small, large]}]}")
    assert policy.after("small") == ("long",)
    assert policy.after("large") == ("small",)


def test_aliases_are_resolved() -> None:
    policy = _policy(
        "router_settings: {model_group_alias: {gpt: large, x: {model: small}}, fallbacks: [{small: [gpt]}]}"
    )
    assert policy.aliases == {"gpt": "large"}
    assert policy.after("small") == ("large",)


@pytest.mark.parametrize(("given", "ours"), BALANCING.items())
def test_every_balancing_strategy_has_our_name(given: str, ours: str) -> None:
    assert _policy(f"router_settings: {{routing_strategy: {given}}}").balancing == ours
    assert BALANCING[ours] == ours


def test_a_value_that_is_refused_hides_no_other_mistake() -> None:  # L1
    text = """  - {model_name: bad name, litellm_params: {model: openai/m, api_base: ftp://h, timeout: soon}}
  - nothing
router_settings:
  routing_strategy: least-bussy
  fallbacks: [{large: [2]}, {small: [larg]}]
litellm_settings: {drop_param: true}
routeiq: {auto: {candidates: [larg]}}
"""
    found = _mistakes(text)
    assert [line.partition(": ")[2].partition(": ")[0] for line in found] == [
        "model_list[3].litellm_params.api_base",
        "model_list[3].litellm_params.timeout",
        "model_list[3].model_name",
        "model_list[4]",
        "router_settings.routing_strategy",
        "router_settings.fallbacks[0].large[0]",
        "litellm_settings.drop_param",
    ]
    assert found[4].startswith("config.yaml:8: router_settings.routing_strategy: must be 'round-robin', ")
    assert found[4].endswith("; did you mean `least-busy`?")
    # Which groups there are is known as soon as every entry has a name.
    assert (
        "config.yaml:5: router_settings.fallbacks[1].small[0]: no group `larg` in model_list; did you mean `large`?"
        in _mistakes("router_settings: {fallbacks: [{large: [2]}, {small: [larg]}]}")
    )


def test_unknown_groups_and_names_are_mistakes_with_line_and_nearest_name() -> None:  # L1
    text = """router_settings:
  fallback: []
  routing_strategy_args: {ttl: 3}
  fallbacks:
    - smal: [large]
    - small: [larg, small]
    - small: [large]
  context_window_fallbacks: [{long: [x]}]
  default_fallbacks: [smol]
  model_group_alias: {gpt: larg, small: large}
litellm_settings:
  drop_param: true
  request_timout: 3
  callbacks: [otel]
"""
    assert _mistakes(text) == [
        "config.yaml:6: router_settings.fallback: unknown name; did you mean `fallbacks`?",
        "config.yaml:9: router_settings.fallbacks[0].smal: no group `smal` in model_list; did you mean `small`?",
        "config.yaml:10: router_settings.fallbacks[1].small[0]: no group `larg` in model_list; did you mean `large`?",
        "config.yaml:10: router_settings.fallbacks[1].small[1]: falls back to itself",
        "config.yaml:11: router_settings.fallbacks[2].small: is given twice",
        "config.yaml:12: router_settings.context_window_fallbacks[0].long[0]: no group `x` in model_list",
        "config.yaml:13: router_settings.default_fallbacks[0]: no group `smol` in model_list; did you mean `small`?",
        "config.yaml:14: router_settings.model_group_alias.gpt: no group `larg` in model_list; did you mean `large`?",
        "config.yaml:14: router_settings.model_group_alias.small: is the name of a group already",
        "config.yaml:16: litellm_settings.drop_param: unknown name; did you mean `drop_params`?",
        "config.yaml:17: litellm_settings.request_timout: unknown name; did you mean `request_timeout`?",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("router_settings: {fallbacks: {small: [large]}}", "router_settings.fallbacks: input should be a valid list"),
        ("router_settings: {fallbacks: [{small: large}]}", "fallbacks[0].small: input should be a valid list"),
        ("router_settings: {fallbacks: [{}]}", "router_settings.fallbacks[0]: names no group"),
        ("router_settings: {num_retries: -1}", "num_retries: input should be greater than or equal to 0"),
        ("router_settings: {num_retries: yes}", "router_settings.num_retries: input should be a number"),
        ("router_settings: {timeout: .nan}", "router_settings.timeout: input should be "),
        ("router_settings: [a]", "router_settings: input should be a valid dictionary"),
        ("routeiq: {limits: {estimate_output_tokens: 0}}", "estimate_output_tokens: input should be greater"),
        ("routeiq: {limits: {estimate_token: 5}}", "unknown name; did you mean `estimate_output_tokens`?"),
        ("routeiq: {deadlines: {conect: 5}}", "routeiq.deadlines.conect: unknown name; did you mean `connect`?"),
        ("routeiq: {auto: {strategy: ml}}", "routeiq.auto.strategy: `ml` needs an artifact"),
        ("routeiq: {auto: {strategy: lest-busy}}", "did you mean `least-busy`?"),
        ("litellm_settings: {request_timeout: 5}\nrouteiq: {deadlines: {total: 9}}",
         "routeiq.deadlines.total: is also given as litellm_settings.request_timeout; keep one"),
        ("router_settings: {stream_timeout: 5}\nrouteiq: {deadlines: {idle: 9}}",
         "routeiq.deadlines.idle: is also given as router_settings.stream_timeout; keep one"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(text: str, message: str) -> None:  # L1
    assert message in "\n".join(_mistakes(text))
