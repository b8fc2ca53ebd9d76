"""Whatever a file says, the answer is a configuration or a list of mistakes."""

import copy
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from routeiq_appliance.config.deployments import deployments_of
from routeiq_appliance.config.describe import summary, values
from routeiq_appliance.config.load import Loaded, read_config
from routeiq_appliance.config.repair import checkable
from routeiq_appliance.errors import ConfigError

GOOD: dict[str, Any] = {
    "model_list": [
        {
            "model_name": "a",
            "litellm_params": {
                "model": "openai/m", "api_base": "http://h/v1", "api_key": "os.environ/KEY", "timeout": 3, "rpm": 4,
                "tags": ["x"], "extra_headers": {"a": "b"}, "extra_body": {"c": [1]}, "input_cost_per_token": 1e-6,
            },
            "model_info": {"id": "one", "mode": "chat", "upstream": "direct"},
        },
        {"model_name": "b", "litellm_params": {"model": "anthropic/m", "api_base": "http://h"}},
    ],
    "router_settings": {
        "routing_strategy": "simple-shuffle", "fallbacks": [{"a": ["b"]}], "default_fallbacks": ["b"],
        "model_group_alias": {"c": "a"}, "timeout": 5,
    },
    "litellm_settings": {"context_window_fallbacks": [{"b": ["a"]}], "num_retries": 1, "drop_params": True},
    "general_settings": {"master_key": "x"},
    "environment_variables": {"A": "b"},
    "routeiq": {
        "egress": "sealed", "canaries": ["192.0.2.1:443"], "auto": {"candidates": ["a"], "model_map": {"a": "m"}},
        "deadlines": {"connect": 1}, "limits": {"estimate_output_tokens": 5}, "extra_params": ["top_k"],
    },
}  # fmt: skip
SCALAR = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 10), st.floats(), st.text(max_size=4),
    st.sampled_from(["a", "b", "1e-7", "os.environ/KEY", "os.environ/", "openai/x", "http://h:99999", "http://[", "*"]),
)  # fmt: skip
ANY = st.recursive(
    SCALAR,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["a", "model", "zz", ""]), inner, max_size=2)
    ),
    max_leaves=4,
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [found for key, item in inner for found in _paths(item, (*path, key))]


@given(st.lists(st.tuples(st.sampled_from(_paths(GOOD)), ANY), max_size=4), st.booleans())
@settings(max_examples=500, deadline=None)
def test_any_file_is_a_configuration_or_a_list_of_mistakes(
    changes: list[tuple[tuple[Any, ...], Any]], strict: bool
) -> None:
    changed = copy.deepcopy(GOOD)
    for path, value in changes:
        around: Any = changed
        for step in path[:-1]:
            present = isinstance(around, dict) and step in around
            listed = isinstance(around, list) and isinstance(step, int) and step < len(around)
            around = around[step] if present or listed else {}
        if isinstance(around, dict) or (
            isinstance(around, list) and isinstance(path[-1], int) and path[-1] < len(around)
        ):
            around[path[-1]] = value
    loaded: Loaded | None = None
    told: list[str] = []
    try:
        loaded = read_config(yaml.safe_dump(changed), {}, unset_is_a_mistake=strict)
    except ConfigError as error:
        told = str(error).splitlines()
    assert all(line.startswith("config.yaml") for line in told)
    assert bool(told) is (loaded is None)
    if loaded is not None:
        assert summary(loaded)
        assert values(loaded, {})
        assert deployments_of(loaded.config)


def test_what_is_refused_is_taken_out_and_what_must_be_there_is_filled_in() -> None:
    broken = copy.deepcopy(GOOD)
    broken["model_list"][1] = {"litellm_params": {}}
    broken["model_list"].append("nothing")
    broken["routeiq"]["canaries"] = [5]
    refused = [
        ("model_list", 1, "model_name"), ("model_list", 1, "litellm_params", "model"), ("model_list", 2),
        ("routeiq", "canaries", 0),
    ]  # fmt: skip
    config, gone = checkable(broken, refused)
    assert config is not None
    assert [entry.model_name for entry in config.model_list] == ["a", "unset-1", "unset-2"]
    assert ("routeiq", "canaries") in gone
    assert broken["routeiq"]["canaries"] == [5]
