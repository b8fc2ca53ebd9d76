import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from click.testing import CliRunner, Result

from routeiq_appliance.cli.main import main
from routeiq_appliance.config.schema import config_schema

DOCS = Path(__file__).parents[2] / "docs"
TEXT = """
model_list:
  - model_name: small
    litellm_params: {model: openai/tiny, api_base: "http://127.0.0.1:8081/v1", api_key: os.environ/SMALL_KEY, tpm: 9}
    model_info: {input_cost_per_token: 1e-8, output_cost_per_token: 3e-8}
  - model_name: large
    litellm_params: {model: anthropic/claude, api_base: os.environ/LARGE_BASE, api_key: sk-planted}
router_settings: {fallbacks: [{large: [small]}], model_group_alias: {gpt: large}, redis_host: h}
litellm_settings: {default_fallbacks: [small], context_window_fallbacks: [{small: [large]}]}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(TEXT)
    return path


def _run(*arguments: Any, **environ: str) -> Result:
    names = ("SMALL_KEY", "LARGE_BASE", "LITELLM_MASTER_KEY", "REDIS_URL", "REDIS_URL_FILE")
    return CliRunner().invoke(
        main, ["config", *map(str, arguments)], env={name: environ.get(name) for name in names}
    )


def test_check_tells_what_the_configuration_does(file: Path) -> None:  # L1
    result = _run("check", file, SMALL_KEY="sk-planted")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "GROUP  DEPLOYMENT  MODEL             ADDRESS         UPSTREAM  DOLLARS (1M TOKENS IN, OUT)",
        "small  small-1     openai/tiny       127.0.0.1:8081  direct    0.01 in, 0.03 out",
        "large  large-1     anthropic/claude  -               litellm   unpriced",
        "",
        "balancing: round-robin; egress: sealed",
        "other names:",
        "  gpt is large",
        "fallbacks:",
        "  large → small",
        "fallbacks of every other group:",
        "  small",
        "when a call is too long:",
        "  small → large",
        "not set here:",
        "  LARGE_BASE (line 7, model_list[1].litellm_params.api_base)",
        "unpriced, calls are marked so:",
        "  large: large-1",
        "not acted on:",
        "  router_settings.redis_host: REDIS_URL in the environment is used",
        f"{file}: valid",
    ]


def test_check_tells_the_same_as_json(file: Path) -> None:
    found = json.loads(_run("check", file, "--json").stdout)
    assert found["valid"] is True
    assert found["groups"]["small"] == [
        {"id": "small-1", "model": "openai/tiny", "address": "127.0.0.1:8081", "upstream": "direct",
         "price": {"input_token": "0.00000001", "output_token": "0.00000003"}},
    ]  # fmt: skip
    assert found["unpriced"] == ["large: large-1"]
    assert [item["variable"] for item in found["not_set"]] == ["SMALL_KEY", "LARGE_BASE"]


def test_strict_check_refuses_what_serve_would(file: Path) -> None:
    result = _run("check", file, "--strict")
    assert result.exit_code == 1
    assert (
        "c.yaml:4: model_list[0].litellm_params.api_key: environment variable SMALL_KEY is not set"
        in result.stderr
    )
    assert "c.yaml:7: model_list[1].litellm_params.api_base: environment variable LARGE_BASE" in result.stderr


def test_mistakes_are_told_with_their_lines(file: Path) -> None:  # L1
    file.write_text(TEXT.replace("large: [small]", "larg: [small]"))
    result = _run("check", file)
    assert result.exit_code == 1
    assert (
        "router_settings.fallbacks[0].larg: no group `larg` in model_list; did you mean `large`?"
        in result.stderr
    )
    result = _run("check", file, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "valid": False,
        "mistakes": [
            {"line": 8, "where": "router_settings.fallbacks[0].larg",
             "what": "no group `larg` in model_list; did you mean `large`?"}
        ],
    }  # fmt: skip
    file.write_text("a: [")
    assert json.loads(_run("check", file, "--json").stdout)["valid"] is False


def test_show_tells_every_value_and_where_it_comes_from(file: Path, tmp_path: Path) -> None:  # L1, I8
    environ = {"SMALL_KEY": "sk-planted", "LITELLM_MASTER_KEY": "sk-planted", "REDIS_URL_FILE": "planted"}
    result = _run("show", file, "--json", **environ)
    assert result.exit_code == 0
    found = {
        item["name"]: (item["value"], item["source"], item["where"])
        for item in json.loads(result.stdout)["values"]
    }
    params = "model_list[0].litellm_params"
    assert found["LITELLM_MASTER_KEY"] == ("(redacted)", "environment", "LITELLM_MASTER_KEY")
    assert found["REDIS_URL"] == ("(redacted)", "environment", "REDIS_URL_FILE")
    assert found["ROUTEIQ_CB_FAILURE_THRESHOLD"] == (5, "default", "")
    assert found[f"{params}.model"] == ("openai/tiny", "file", "line 4")
    assert found[f"{params}.tpm"] == (9, "file", "line 4")
    assert found[f"{params}.api_key"] == ("os.environ/SMALL_KEY", "environment", "SMALL_KEY")
    assert found["model_list[1].litellm_params.api_key"] == ("(redacted)", "file", "line 7")
    assert found["model_list[1].litellm_params.api_base"] == (
        "os.environ/LARGE_BASE", "environment", "LARGE_BASE, not set",
    )  # fmt: skip
    assert found["model_list[0].model_info.input_cost_per_token"] == ("0.00000001", "file", "line 5")
    assert found["router_settings.routing_strategy"] == ("round-robin", "default", "")
    assert found["routeiq.deadlines.first_token"] == (120.0, "default", "")
    assert found["small-1: upstream"] == ("direct", "derived", "")
    assert found["large-1: price"] == ("unpriced", "derived", "")
    text = _run("show", file, **environ).stdout
    assert "sk-planted" not in result.stdout + text
    assert text.splitlines()[0].split() == ["NAME", "VALUE", "FROM"]


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    for verb in ("check", "show"):
        result = _run(verb, tmp_path / "none.yaml")
        assert result.exit_code == 1
        assert "none.yaml: no such file or directory" in result.stderr


def test_the_committed_schema_is_this_releases() -> None:  # L2
    committed = (DOCS / "config.schema.json").read_text(encoding="utf-8")
    assert committed == _run("schema").stdout, (
        "docs/config.schema.json: run `routeiq config schema` to make it again"
    )


def test_the_schema_accepts_what_the_gateway_does_and_refuses_unknown_names() -> None:
    validator = jsonschema.Draft202012Validator(config_schema())
    validator.check_schema(config_schema())
    values = yaml.safe_load(TEXT)
    validator.validate(values)
    values["model_list"][0]["litellm_params"]["timeout"] = "os.environ/SECONDS"
    validator.validate(values)
    values["model_list"][0]["litellm_params"]["timeout"] = "soon"
    values["routeiq"] = {"egres": "sealed"}
    assert len(list(validator.iter_errors(values))) == 2


def test_the_documents_example_is_valid(tmp_path: Path) -> None:  # L2
    document = (DOCS / "configuration.md").read_text(encoding="utf-8")
    file = tmp_path / "example.yaml"
    file.write_text(document.partition("```yaml\n")[2].partition("```")[0])
    assert _run("check", file).exit_code == 0
