"""Secrets: where they may come from, and that none is ever shown."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routeiq_appliance.cli.main import main
from routeiq_appliance.config.load import parse_config
from routeiq_appliance.config.variables import SECRET_BYTES, read_variable
from routeiq_appliance.errors import ConfigError
from routeiq_appliance.settings import SECRETS, load_settings

TEXT = """
model_list:
  - model_name: small
    litellm_params:
      model: openai/tiny
      api_base: os.environ/BASE
      api_key: os.environ/KEY
      timeout: os.environ/SECONDS
      extra_headers: {authorization: os.environ/TOKEN}
"""
ENVIRON = {"BASE": "http://127.0.0.1:1/v1", "KEY": "sk-1", "SECONDS": "30", "TOKEN": "Bearer t"}


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)


def _file(folder: Path, content: bytes) -> str:
    path = folder / "secret"
    path.write_bytes(content)
    return str(path)


def test_values_come_from_the_environment_anywhere_in_litellm_params() -> None:  # L3
    params = parse_config(TEXT, ENVIRON).model_list[0].litellm_params
    assert (params.api_key, params.timeout) == ("sk-1", 30.0)
    assert params.extra_headers == {"authorization": "Bearer t"}


def test_a_value_may_be_in_a_file(tmp_path: Path) -> None:  # L3
    environ = {**ENVIRON, "KEY_FILE": _file(tmp_path, b" sk-2\n")}
    del environ["KEY"]
    assert parse_config(TEXT, environ).model_list[0].litellm_params.api_key == "sk-2"


def test_a_variable_and_its_file_at_once_are_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="c.yaml:7: .*api_key: KEY: given twice, as KEY and as KEY_FILE"):
        parse_config(TEXT, {**ENVIRON, "KEY_FILE": _file(tmp_path, b"sk-2")}, name="c.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe", "not UTF-8"),
        (b"a\0b", "holds a NUL byte"),
        (b"x" * (SECRET_BYTES + 1), f"larger than {SECRET_BYTES} bytes"),
    ],
)
def test_a_file_that_holds_no_secret_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    path = _file(tmp_path, content)
    with pytest.raises(ConfigError) as caught:
        read_variable("KEY", {"KEY_FILE": path})
    assert str(caught.value) == f"KEY_FILE: {path}: {message}"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path, message in (
        ("none", "no such file or directory"),
        (".", "not a regular file"),
        ("fifo", "not a regular"),
    ):
        with pytest.raises(ConfigError, match=f"KEY_FILE: .*: {message}"):
            read_variable("KEY", {"KEY_FILE": str(tmp_path / path)})
    with pytest.raises(ConfigError, match="not a path"):
        read_variable("KEY", {"KEY_FILE": "a\0b"})


def test_the_secret_itself_after_os_environ_is_not_shown() -> None:
    text = TEXT.replace("os.environ/KEY", "os.environ/sk-planted")
    with pytest.raises(ConfigError) as caught:
        parse_config(text, ENVIRON)
    assert "api_key: what follows os.environ/ is no variable's name" in str(caught.value)
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize("name", SECRETS)
def test_every_secret_of_the_environment_may_be_in_a_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # L3
    values = {
        "LITELLM_MASTER_KEY": "sk-" + "m" * 8, "DATABASE_URL": "postgresql://u:p@h/d", "ROUTEIQ_PEPPER": "p" * 32,
        "REDIS_URL": "redis://:p@h:6379/0", "OTEL_EXPORTER_OTLP_HEADERS": "a=b",
        "ROUTEIQ_CACHE_REDIS_URL": "redis://:p@h:6379/1", "ROUTEIQ_STORE_KEY": "s" * 32,
    }  # fmt: skip
    for other, value in values.items():
        monkeypatch.setenv(other, value)
    monkeypatch.delenv(name)
    monkeypatch.setenv(f"{name}_FILE", _file(tmp_path, values[name].encode() + b"\n"))
    found = {
        field.alias: getattr(load_settings(), key)
        for key, field in type(load_settings()).model_fields.items()
    }
    assert {other: found[other].get_secret_value() for other in SECRETS} == values


def test_mistakes_of_secret_files_are_told_with_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITELLM_MASTER_KEY_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:planted@h/d")
    monkeypatch.setenv("DATABASE_URL_FILE", _file(tmp_path, b"planted"))
    monkeypatch.setenv("ROUTEIQ_STRATEGY", "magic")
    with pytest.raises(ConfigError) as caught:
        load_settings()
    text = str(caught.value)
    assert f"LITELLM_MASTER_KEY_FILE: {tmp_path}/none: no such file or directory" in text
    assert "DATABASE_URL: given twice, as DATABASE_URL and as DATABASE_URL_FILE" in text
    assert "ROUTEIQ_STRATEGY: input should be" in text
    assert "required" not in text
    assert "planted" not in text


MARK = "pLaNtEd"
SECRET = st.builds(
    lambda before, after: f"{before}{MARK}{after}",
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=4),
    st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="\n"), max_size=8),
)
# How an operator may write a credential, rightly or not.
PLACES = [
    "      api_key: {raw}",
    "      api_key: [{raw}]",
    "      api_key:{raw}",
    "      api_key= {raw}",
    "      api_key: '{raw}",
    "      api_key: !!int {raw}",
    "      api_key: !{raw}",
    "      api_key: {quoted}",
    "      api_key: [{quoted}]",
    "      timeout: {quoted}",
    "      rpm: {quoted}",
    "      input_cost_per_token: {quoted}",
    "      extra_headers: {{authorization: {quoted}}}",
    "      extra_headers: {quoted}",
    "      extra_body: {{token: {quoted}}}",
    "      aws_secret_access_key: {quoted}",
    "      drop_params: {quoted}",
    "      api_base: {userinfo}",
    "    model_info: {{note: {quoted}}}",
    "    model_info: {{upstream: {quoted}}}",
    "general_settings: {{master_key: {quoted}}}",
    "environment_variables: {{API_KEY: {quoted}}}",
    "router_settings: {{redis_password: {quoted}, timeout: {quoted}}}",
    "litellm_settings: {{cache_params: {{password: {quoted}}}, num_retries: {quoted}}}",
]


@given(secret=SECRET, place=st.sampled_from(PLACES), broken=st.booleans())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_secret_in_the_file_is_never_shown(
    secret: str, place: str, broken: bool, tmp_path: Path
) -> None:  # I8
    quoted = yaml.safe_dump(secret, default_style='"', width=10_000).strip()
    line = place.format(raw=secret, quoted=quoted, userinfo=f"'http://u:{MARK}@127.0.0.1/v1?k={MARK}'")
    lines = ["model_list:", "  - model_name: small", "    litellm_params:", "      model: openai/tiny"]
    lines += ["      api_base: http://127.0.0.1:1/v1"] if "api_base" not in place else []
    lines += [line, "routeiq: {egres: sealed}" if broken else "routeiq: {egress: sealed}"]
    file = tmp_path / "c.yaml"
    file.write_text("\n".join(lines))
    assert MARK not in _said(file)


@given(secret=SECRET, name=st.sampled_from(sorted(ENVIRON)), in_file=st.booleans())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_secret_of_the_environment_is_never_shown(
    secret: str, name: str, in_file: bool, tmp_path: Path
) -> None:  # I8
    environ: dict[str, Any] = dict(ENVIRON)
    if in_file:
        del environ[name]
        environ[f"{name}_FILE"] = _file(tmp_path, secret.encode())
    else:
        environ[name] = secret
    for variable in SECRETS:
        environ[variable] = f"redis://:{secret}@h"
    file = tmp_path / "c.yaml"
    file.write_text(TEXT)
    assert MARK not in _said(file, environ)


def _said(file: Path, environ: dict[str, Any] | None = None) -> str:
    runner = CliRunner(env={"REDIS_URL": f"redis://:{MARK}@h", **(environ or {})})
    output = ""
    for arguments in (["check"], ["check", "--json", "--strict"], ["show"], ["show", "--json"]):
        result = runner.invoke(main, ["config", *arguments, str(file)])
        assert result.exit_code in {0, 1}
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        output += result.output
    return output
