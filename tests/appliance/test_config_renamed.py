"""Variables of earlier gateways are told, each, at every start."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from routeiq_appliance.config.renamed import GONE, RENAMED, renamed
from routeiq_appliance.settings import Settings

OF_THE_PLAN = {
    "REDIS_HOST": "REDIS_URL",
    "REDIS_PORT": "REDIS_URL",
    "REDIS_PASSWORD": "REDIS_URL",
    "LLMROUTER_MODELS_PATH": "ROUTEIQ_MODELS_PATH",
    "LLMROUTER_HOT_RELOAD": "ROUTEIQ_HOT_RELOAD",
    "LLMROUTER_RELOAD_INTERVAL": "ROUTEIQ_RELOAD_INTERVAL",
    "LLMROUTER_ALLOW_PRIVATE_IPS": "ROUTEIQ_SSRF_ALLOW_PRIVATE",
    "LLMROUTER_SSRF_ALLOWLIST_HOSTS": "ROUTEIQ_SSRF_HOST_ALLOWLIST",
    "LLMROUTER_SSRF_ALLOWLIST_CIDRS": "ROUTEIQ_SSRF_CIDR_ALLOWLIST",
}


@pytest.mark.parametrize(("old", "new"), OF_THE_PLAN.items())
def test_a_renamed_variable_is_told_with_its_new_name(old: str, new: str) -> None:  # L4
    ((name, advice),) = renamed({old: "planted-value", "PATH": "/bin"})
    assert name == old
    assert new in advice
    assert "planted" not in advice


@pytest.mark.parametrize("name", [*GONE, "LLMROUTER_HA_MODE", "LLMROUTER_CONFIG_SYNC_ENABLED"])
def test_a_variable_without_a_successor_is_told(name: str) -> None:  # L4
    ((found, advice),) = renamed({name: "x"})
    assert found == name
    assert advice


def test_every_successor_is_read() -> None:
    read = {field.alias for field in Settings.model_fields.values()} | {"LITELLM_CONFIG_PATH"}
    assert set(RENAMED.values()) <= read
    assert not (RENAMED.keys() | GONE.keys()) & read


def test_nothing_is_told_of_what_nobody_set() -> None:
    kubernetes = {"REDIS_PORT": "tcp://10.0.0.1:6379", "REDIS_SERVICE_HOST": "10.0.0.1"}
    assert list(renamed({"REDIS_URL": "redis://h", "REDIS_HOST": "", **kubernetes})) == []


def test_the_start_warns_of_every_old_name(tmp_path: Path) -> None:  # L4
    config = tmp_path / "config.yaml"
    config.write_text(
        'model_list: [{model_name: a, litellm_params: {model: openai/m, api_base: "http://h/v1"}}]'
    )
    # Two workers without Redis are refused, after the warnings: the process ends by itself.
    command = [
        sys.executable,
        "-m",
        "routeiq_appliance.cli",
        "serve",
        "--config",
        str(config),
        "--workers",
        "2",
    ]
    environ = {
        "PATH": os.environ["PATH"],
        "LITELLM_MASTER_KEY": "sk-planted-master",
        **dict.fromkeys(OF_THE_PLAN, "x"),
    }
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    told = {
        line["variable"]: line["hint"]
        for line in lines
        if line["message"] == "environment variable is not read"
    }
    assert told.keys() == OF_THE_PLAN.keys()
    assert all(OF_THE_PLAN[name] in hint for name, hint in told.items())
