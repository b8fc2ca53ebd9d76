"""`routeiq serve` as an operator types it: what keeps it from starting is one clear error and exit 1."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

CONFIG = (
    "model_list: [{model_name: a, litellm_params: {model: openai/x, api_base: 'http://127.0.0.1:9/v1'}}]\n"
)


def _serve(tmp_path: Path, config: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "config.yaml"
    path.write_text(config)
    base = {
        "PATH": os.environ["PATH"],
        "LITELLM_MASTER_KEY": "sk-master-key",
        "ROUTEIQ_DATA_DIR": str(tmp_path / "data"),
    }
    command = [
        sys.executable,
        "-m",
        "routeiq_appliance.cli",
        "serve",
        "--config",
        str(path),
        "--port",
        "0",
        *arguments,
    ]
    return subprocess.run(
        command, env=base | environ, capture_output=True, text=True, timeout=60, check=False
    )


def _refused(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_canary_that_answers_refuses_to_serve(tmp_path: Path) -> None:  # A11
    with socket.create_server(("127.0.0.1", 0)) as listener:
        canary = f"127.0.0.1:{listener.getsockname()[1]}"
        done = _serve(tmp_path, f"{CONFIG}routeiq: {{canaries: ['{canary}']}}\n")
    text = _refused(done)
    assert f"error: egress: sealed, but the outside answers: {canary}" in text
    assert "`routeiq.egress: open`" in text
    assert not (tmp_path / "data").exists()


def test_more_workers_without_shared_state_are_refused(tmp_path: Path) -> None:  # B1
    assert "--workers 2: DATABASE_URL and REDIS_URL not set" in _refused(
        _serve(tmp_path, CONFIG, "--workers", "2")
    )


def test_a_missing_master_key_is_named(tmp_path: Path) -> None:
    assert "LITELLM_MASTER_KEY: required, not set" in _refused(
        _serve(tmp_path, CONFIG, LITELLM_MASTER_KEY="")
    )


def test_config_mistakes_are_listed(tmp_path: Path) -> None:
    text = _refused(_serve(tmp_path, "model_list: []\nrouteiq: {egres: open}\n"))
    assert "config.yaml:1: model_list: list should have at least 1 item" in text
    assert "config.yaml:2: routeiq.egres: unknown name; did you mean `egress`?" in text


def test_postgresql_needs_a_pepper(tmp_path: Path) -> None:
    done = _serve(
        tmp_path,
        f"{CONFIG}routeiq: {{canaries: []}}\n",
        DATABASE_URL="postgresql://u:planted-secret@127.0.0.1:1/d",
    )
    text = _refused(done)
    assert "ROUTEIQ_PEPPER: required with DATABASE_URL, not set" in text
    assert "planted-secret" not in text


def test_a_database_that_is_down_is_named_without_its_password(tmp_path: Path) -> None:
    done = _serve(
        tmp_path, f"{CONFIG}routeiq: {{canaries: []}}\n",
        DATABASE_URL="postgresql://u:planted-secret@127.0.0.1:1/d", ROUTEIQ_PEPPER="p" * 32,
    )  # fmt: skip
    text = _refused(done)
    assert "error: database:" in text
    assert "planted-secret" not in text


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "routers/a: cannot be verified, no key is trusted"),
        ({"ROUTEIQ_TRUST_KEY": "/nonexistent.pub"}, "/nonexistent.pub"),
    ],
)
def test_an_artifact_without_a_trusted_key_is_refused(
    tmp_path: Path, environ: dict[str, str], message: str
) -> None:  # A7
    config = f"{CONFIG}routeiq: {{canaries: [], auto: {{artifact: routers/a, model_map: {{a: m}}}}}}\n"
    assert message in _refused(_serve(tmp_path, config, ROUTEIQ_MODELS_PATH=str(tmp_path), **environ))


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        done = _serve(tmp_path, f"{CONFIG}routeiq: {{canaries: []}}\n", "--port", port)
    assert f"127.0.0.1:{port}: cannot listen: address already in use" in _refused(done)
