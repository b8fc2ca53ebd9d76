from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from routeiq_appliance.config.deployments import deployments_of, needs_litellm, unpriced
from routeiq_appliance.config.load import parse_config
from routeiq_appliance.config.params import DIRECT_DEFAULTS, DIRECT_PARAMS
from routeiq_appliance.errors import ConfigError
from routeiq_appliance.money import dollars, pico
from routeiq_appliance.pipeline.types import Deployment, Price
from routeiq_appliance.upstreams.direct import DEFAULTS

BASE = {"model": "openai/tiny", "api_base": "http://127.0.0.1:8081/v1"}


def _config(*params: dict[str, Any], info: dict[str, Any] | None = None, **sections: Any) -> Any:
    entries = [
        {"model_name": "g", "litellm_params": {**BASE, **item}, "model_info": info or {}} for item in params
    ]
    return parse_config(yaml.safe_dump({"model_list": entries, **sections}), {})


def _group(*params: dict[str, Any], **sections: Any) -> list[Deployment]:
    return deployments_of(_config(*params, **sections))["g"]


def _one(params: dict[str, Any] | None = None, **sections: Any) -> Deployment:
    return _group(params or {}, **sections)[0]


def test_every_field_of_a_deployment_is_filled() -> None:  # C7, G9
    params = {
        "api_key": "k", "timeout": 30, "stream_timeout": 7, "max_retries": 4, "rpm": 10, "tpm": 20,
        "max_parallel_requests": 3, "weight": 2, "order": 1, "tags": ["eu"], "input_cost_per_token": "1e-7",
        "temperature": 0.1,
    }  # fmt: skip
    found = _one(params, info={"id": "one", "mode": "chat"})
    assert found == Deployment(
        id="one", group="g", mode="chat", destination=found.destination, upstream="direct", provider="openai",
        params={**BASE, "api_key": "k", "temperature": 0.1}, model="tiny", connect_timeout=5.0, timeout=30.0,
        first_token_timeout=7.0, stream_timeout=7.0, retries=4, price=Price(input_token=100_000), rpm=10, tpm=20,
        parallel=3, weight=2.0, order=1, tags=frozenset({"eu"}),
    )  # fmt: skip
    assert str(found.destination) == "127.0.0.1:8081"


def test_deadlines_come_from_the_nearest_place_that_gives_one() -> None:
    def seconds(found: Deployment) -> tuple[float, ...]:
        return found.connect_timeout, found.first_token_timeout, found.stream_timeout, found.timeout

    ours = {"routeiq": {"deadlines": {"connect": 1, "first_token": 20, "idle": 10, "total": 90}}}
    assert seconds(_one()) == (5, 120, 60, 600)
    assert seconds(_one(**ours)) == (1, 20, 10, 90)
    assert seconds(_one(litellm_settings={"request_timeout": 50})) == (5, 50, 50, 50)
    both = {
        "router_settings": {"timeout": 40, "stream_timeout": 4},
        "litellm_settings": {"request_timeout": 50},
    }
    assert seconds(_one(**both)) == (5, 4, 4, 40)
    assert seconds(_one({"timeout": 2, "stream_timeout": 9}, **both)) == (2, 2, 2, 2)


@pytest.mark.parametrize(
    ("params", "sections", "retries"),
    [
        ({}, {}, 2),
        ({}, {"litellm_settings": {"num_retries": 5}}, 5),
        ({}, {"litellm_settings": {"num_retries": 5}, "router_settings": {"num_retries": 0}}, 0),
        ({"max_retries": 1}, {"router_settings": {"num_retries": 0}}, 1),
    ],
)
def test_retries(params: dict[str, Any], sections: dict[str, Any], retries: int) -> None:
    assert _one(params, **sections).retries == retries


@pytest.mark.parametrize(
    ("strategy", "params", "weights"),
    [
        ("simple-shuffle", [{"weight": 3}, {"weight": 1}], [3, 1]),
        ("simple-shuffle", [{"rpm": 30}, {"rpm": 10, "tpm": 5}], [30, 10]),
        ("simple-shuffle", [{"tpm": 30}, {}], [30, 0]),
        ("simple-shuffle", [{"weight": 1, "rpm": 9}, {"rpm": 10}], [1, 0]),
        ("simple-shuffle", [{}, {}], [1, 1]),
        ("simple-shuffle", [{"weight": 0}, {"weight": 0}], [1, 1]),
        ("weighted", [{"rpm": 30}, {"rpm": 10}], [1, 1]),
    ],
)
def test_weights_are_litellms(strategy: str, params: list[dict[str, Any]], weights: list[float]) -> None:
    found = _group(*params, router_settings={"routing_strategy": strategy})
    assert [item.weight for item in found] == weights


def test_a_deployment_without_an_order_comes_last_where_others_have_one() -> None:
    assert [item.order for item in _group({"order": 2}, {}, {"order": 1})] == [2, 3, 1]
    assert [item.order for item in _group({}, {})] == [0, 0]


@pytest.mark.parametrize(
    ("params", "info", "upstream"),
    [
        ({}, {}, "direct"),
        ({"model": "hosted_vllm/a/b"}, {}, "direct"),
        ({"model": "llamafile/a"}, {}, "direct"),
        ({"model": "lm_studio/a"}, {}, "direct"),
        ({"temperature": 0, "extra_headers": {"x-a": "b"}, "extra_body": {"top_k": 1}}, {}, "direct"),
        ({"organization": "o", "drop_params": True, "itpm": 3, "max_budget": 1}, {}, "direct"),
        ({"top_k": 3}, {}, "litellm"),
        ({"custom_llm_provider": "azure"}, {}, "litellm"),
        ({}, {"upstream": "litellm"}, "litellm"),
        ({"model": "anthropic/claude"}, {}, "litellm"),
        ({"model": "gpt-4o"}, {}, "litellm"),
        ({"model": "openai/"}, {}, "litellm"),
        ({"model": "ollama/llama3"}, {}, "litellm"),
        ({"model": "ollama_chat/llama3"}, {"upstream": "direct"}, "direct"),
    ],
)
def test_the_upstream_is_direct_only_where_nothing_is_to_be_translated(
    params: dict[str, Any], info: dict[str, Any], upstream: str
) -> None:  # C1
    config = _config(params, info=info)
    assert deployments_of(config)["g"][0].upstream == upstream
    assert needs_litellm(config) is (upstream == "litellm")


def test_openai_without_an_address_is_litellms() -> None:
    text = "model_list: [{model_name: g, litellm_params: {model: openai/gpt}}]\nrouteiq: {egress: open}\n"
    assert deployments_of(parse_config(text, {}))["g"][0].upstream == "litellm"


def test_ollama_called_directly_is_asked_below_v1() -> None:
    for base in ("http://127.0.0.1:1", "http://127.0.0.1:1/", "http://127.0.0.1:1/v1"):
        found = _one({"model": "ollama/llama3", "api_base": base}, info={"upstream": "direct"})
        assert found.params["api_base"] == "http://127.0.0.1:1/v1"


def test_what_direct_does_not_understand_cannot_be_forced_upon_it() -> None:
    with pytest.raises(
        ConfigError, match="litellm_params.top_k: is not understood by `model_info.upstream: direct`"
    ):
        _config({"top_k": 3}, info={"upstream": "direct"})
    with pytest.raises(ConfigError, match="litellm_params.model: `direct` needs PROVIDER/NAME"):
        _config({"model": "gpt"}, info={"upstream": "direct"})


def test_the_direct_upstream_and_the_configuration_name_the_same_defaults() -> None:
    assert DEFAULTS == DIRECT_DEFAULTS
    assert DEFAULTS < DIRECT_PARAMS


def test_drop_params_of_litellm_settings_reaches_litellm_only() -> None:
    settings = {"litellm_settings": {"drop_params": True}}
    assert "drop_params" not in _one({}, **settings).params
    assert _one({"model": "anthropic/a"}, **settings).params["drop_params"] is True
    assert _one({"model": "anthropic/a", "drop_params": False}, **settings).params["drop_params"] is False


def test_a_model_without_a_provider_is_called_by_its_whole_name() -> None:
    found = _one({"model": "gpt-4o"})
    assert (found.provider, found.model) == ("unknown", "gpt-4o")
    assert _one({"model": "x", "custom_llm_provider": "azure"}).provider == "azure"


@pytest.mark.parametrize(
    ("params", "info", "price"),
    [
        ({}, {}, None),
        ({"input_cost_per_token": 0}, {}, Price()),
        ({"input_cost_per_token": 1e-7, "output_cost_per_token": "3e-7"}, {}, Price(100_000, 300_000)),
        ({"input_cost_per_token": 1e-7}, {"input_cost_per_token": 9, "output_cost_per_token": 2e-7},
         Price(100_000, 200_000)),
        ({"cost_per_second": 0.5, "input_cost_per_second": 7}, {}, Price(second=500_000_000_000)),
        ({"output_cost_per_second": 2}, {}, Price(second=2 * 10**12)),
        ({"input_cost_per_query": "0.001"}, {"input_cost_per_token": 1e-7}, Price(100_000, call=10**9)),
    ],
)  # fmt: skip
def test_prices(params: dict[str, Any], info: dict[str, Any], price: Price | None) -> None:
    config = _config(params, info=info)
    assert deployments_of(config)["g"][0].price == price
    assert unpriced(config) == (["g: g-1"] if price is None else [])


def test_yaml_reads_a_price_without_a_point_as_text_and_it_counts() -> None:
    params = "{model: openai/a, api_base: 'http://h', input_cost_per_token: 1e-7}"
    config = parse_config(f"model_list: [{{model_name: g, litellm_params: {params}}}]", {})
    assert deployments_of(config)["g"][0].price == Price(input_token=100_000)


@given(st.integers(0, 10**18))
def test_a_price_of_whole_pico_dollars_is_kept_exactly(amount: int) -> None:
    if dollars(amount) > 1_000_000:
        return
    found = _one({"output_cost_per_token": str(dollars(amount))}).price
    assert found is not None
    assert found.output_token == amount


@given(st.floats(5e-12, 1000))
def test_a_price_that_yaml_made_a_float_is_what_the_file_says(amount: float) -> None:
    found = _one({"output_cost_per_token": amount}).price
    assert found is not None
    assert found.output_token == pico(Decimal(repr(amount)))


@pytest.mark.parametrize("price", ["-1", "nan", "inf", "a lot", True, [1], "1e-13", 1_000_001])
def test_a_price_that_is_none_is_refused(price: Any) -> None:
    with pytest.raises(ConfigError, match="input_cost_per_token: (input should be a price|price is below)"):
        _one({"input_cost_per_token": price})
