from pathlib import Path

import pytest

from routeiq_appliance.config.ignored import notes
from routeiq_appliance.config.load import load_config, parse_config, read_config
from routeiq_appliance.errors import ConfigError

GOOD = """
model_list:
  - model_name: small
    litellm_params: {model: openai/tiny, api_base: "http://127.0.0.1:8081/v1", api_key: os.environ/SMALL_KEY, top_k: 3}
routeiq:
  canaries: ["192.0.2.1:443"]
"""


def _mistakes(text: str, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, environ, name="c.yaml")
    return str(caught.value)


def test_a_value_is_taken_from_the_environment_and_unknown_params_are_kept() -> None:
    config = parse_config(GOOD, {"SMALL_KEY": "sk-1"})
    params = config.model_list[0].litellm_params
    assert params.api_key == "sk-1"
    assert params.model_dump()["top_k"] == 3
    assert config.routeiq.egress == "sealed"


def test_all_mistakes_are_listed_at_once_with_line_and_nearest_name() -> None:  # L1
    text = """model_list:
  - model_name: auto
    litellm_params: {model: openai/x, api_base: ftp://x}
  - model_nam: b
    litellm_params: {}
routeiq:
  egres: sealed
  canaries: [nonsense]
  auto: {cost_weight: 2}
"""
    assert _mistakes(text).splitlines() == [
        "c.yaml:2: model_list[0].model_name: `auto` is reserved: it asks the gateway to choose a group",
        "c.yaml:3: model_list[0].litellm_params.api_base: not a URL of the form http(s)://HOST[:PORT]/…",
        "c.yaml:4: model_list[1].model_nam: unknown name; did you mean `model_name`?",
        "c.yaml:4: model_list[1].model_name: is missing",
        "c.yaml:5: model_list[1].litellm_params.model: is missing",
        "c.yaml:7: routeiq.egres: unknown name; did you mean `egress`?",
        "c.yaml:8: routeiq.canaries: 'nonsense': not a destination; write HOST:PORT, for example 192.0.2.1:443",
        "c.yaml:9: routeiq.auto.cost_weight: input should be less than or equal to 1",
    ]


def test_names_that_belong_together_are_checked() -> None:
    text = (
        GOOD.replace("os.environ/SMALL_KEY", "x")
        + "  auto: {candidates: [smal], artifact: routers/a, model_map: {small: m}}\n"
    )
    assert "routeiq.auto.candidates[0]: no group `smal` in model_list; did you mean `small`?" in _mistakes(
        text
    )


def test_a_candidate_without_a_model_of_the_artifact_is_noted() -> None:
    text = GOOD.replace("os.environ/SMALL_KEY", "x") + "  auto: {candidates: [small], artifact: routers/a}\n"
    expected = "routeiq.auto: `small` is not in model_map: no prediction, unless the artifact has its name"
    assert expected in list(notes(parse_config(text, {})))


@pytest.mark.parametrize(
    ("auto", "mistake"),
    [
        ("{objective: 'cost=nan'}", "routeiq.auto.objective: cost='nan' is not a number from 0 to 100"),
        ("{objective: {speed: 1}}", "routeiq.auto.objective: unknown name 'speed'"),
        ("{objective: {floor: 2}}", "routeiq.auto.objective: floor='2.0' is not"),
        ("{objective: floor=0.8, cost_weight: 0.1}", "routeiq.auto.cost_weight: `objective` is given too"),
    ],
)
def test_a_wrong_objective_is_a_mistake(auto: str, mistake: str) -> None:
    text = GOOD.replace("os.environ/SMALL_KEY", "x") + f"  auto: {auto}\n"
    assert mistake in _mistakes(text)


def test_an_unset_variable_is_named() -> None:
    expected = "c.yaml:4: model_list[0].litellm_params.api_key: environment variable SMALL_KEY is not set"
    assert _mistakes(GOOD) == expected


def test_a_deployment_without_address_is_refused_while_sealed() -> None:  # A11
    text = "model_list: [{model_name: a, litellm_params: {model: openai/gpt}}]\n"
    assert "while sealed, every deployment names its address" in _mistakes(text)
    assert parse_config(text + "routeiq: {egress: open}\n", {}).routeiq.egress == "open"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "c.yaml: is empty"),
        ("- a", "c.yaml:1: must be a mapping with `model_list`"),
        ("model_list: [", "c.yaml:1: expected the node content, but found '<stream end>'"),
        ("a: 1\na: 2\n", "c.yaml:2: a: is given twice"),
        ("model_list: []\n", "c.yaml:1: model_list: list should have at least 1 item"),
        ("a: !!python/object/apply:os.system [x]", "could not determine a constructor"),
        ("a: 2001-99-99", "month must be in 1..12"),
        ("a: !!int ''", "a value does not fit its tag"),
        ("a: !!bool x", "a value does not fit its tag"),
        ("a: !!timestamp x", "a value does not fit its tag"),
        ("a: !!int planted", "c.yaml: invalid literal for int() with base 10: …"),
        ("a: *planted", "c.yaml:1: found undefined alias …"),
    ],
)
def test_a_broken_file_is_one_clear_error(text: str, message: str) -> None:
    assert message in _mistakes(text)


def test_aliases_that_grow_without_bound_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "values once aliases are expanded" in _mistakes("\n".join(lines))


def test_deep_nesting_is_refused() -> None:
    assert "c.yaml: nested too deeply" in _mistakes("a: " + "[" * 5000 + "]" * 5000)


def test_a_missing_file_says_what_to_pass(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file") as caught:
        load_config(tmp_path / "none.yaml", {})
    assert caught.value.hint == "pass --config FILE"


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(path, {})


LENIENT = """
model_list:
  - model_name: small
    litellm_params: {model: os.environ/MODEL, api_base: os.environ/BASE, api_key: os.environ/KEY, rpm: os.environ/RPM}
"""


def test_where_a_file_is_written_unset_variables_are_no_mistake() -> None:
    loaded = read_config(LENIENT, {"KEY": "sk-1"}, unset_is_a_mistake=False)
    assert [path[-1] for path in loaded.unset] == ["model", "api_base", "rpm"]
    assert loaded.variables == {("model_list", 0, "litellm_params", "api_key"): "KEY"}
    with pytest.raises(ConfigError) as caught:
        read_config(LENIENT, {})
    assert len(str(caught.value).splitlines()) == 4


def test_a_forgotten_space_is_told_and_what_follows_is_not_shown() -> None:  # I8
    text = "model_list: [{model_name: a, litellm_params: {model: openai/m, api_base: http://h, api_key:sk-planted}}]"
    expected = (
        "c.yaml:1: model_list[0].litellm_params.api_key…: not a name; is there a space after the colon?"
    )
    assert _mistakes(text) == expected


@pytest.mark.parametrize(
    ("name", "near"),
    [("api_bas", "api_base"), ("temprature", "temperature"), ("output_cost_per_tokn", "output_cost_per_token"),
     ("base_url", "api_base"), ("extra_header", "extra_headers")],
)  # fmt: skip
def test_a_misspelt_name_in_litellm_params_is_a_mistake(name: str, near: str) -> None:  # L1
    text = (
        f"model_list: [{{model_name: a, litellm_params: {{model: openai/m, api_base: http://h, {name}: 1}}}}]"
    )
    assert f"litellm_params.{name}: unknown name; did you mean `{near}`?" in _mistakes(text)


@pytest.mark.parametrize(
    "name",
    ["api_version", "top_k", "itpm", "input_cost_per_token_flex", "input_cost_per_audio_token", "azure_ad_token",
     "aws_region_name", "vertex_project", "output_cost_per_second_2k", "max_file_size_mb"],
)  # fmt: skip
def test_litellms_own_names_are_not_taken_for_misspelt(name: str) -> None:
    text = (
        f"model_list: [{{model_name: a, litellm_params: {{model: openai/m, api_base: http://h, {name}: 1}}}}]"
    )
    assert parse_config(text, {})


def test_two_deployments_cannot_have_one_name() -> None:
    params = "litellm_params: {model: openai/m, api_base: http://h}"
    given = f"model_list: [{{model_name: a, {params}, model_info: {{id: b-1}}}}, {{model_name: b, {params}}}]"
    assert "model_list[1]: its name would be `b-1`, which another deployment has" in _mistakes(given)
    entry = f"{params}, model_info: {{id: x}}"
    made = f"model_list: [{{model_name: a, {entry}}}, {{model_name: b, {entry}}}]"
    assert "model_list[1].model_info.id: `x` is given to two deployments" in _mistakes(made)


@pytest.mark.parametrize("headers", ["{'a b': c}", '{a: "b\\nc"}', "{'': c}", "{a: 5}", "[a]"])
def test_headers_that_no_server_may_be_sent_are_refused(headers: str) -> None:
    params = f"{{model: openai/m, api_base: http://h, extra_headers: {headers}}}"
    text = f"model_list: [{{model_name: a, litellm_params: {params}}}]"
    assert "litellm_params.extra_headers" in _mistakes(text)
