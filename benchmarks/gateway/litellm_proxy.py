"""The LiteLLM proxy that the gateway is compared with: the pinned version, in a throw-away environment of its own.

`litellm[proxy]` carries a package whose licence forbids distribution: it is installed here, for this comparison, and
never in the product. Its fairest fast settings: a master key only, no database, no callbacks, no telemetry, errors
logged only, one worker, uvicorn on uvloop (Granian was no faster).
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from benchmarks.gateway.machine import SUBJECT_CORE, pin

from routeiq_appliance.cli.demo.stack import free_port
from routeiq_appliance.cli.sealed.process import Service

__all__ = ["MASTER_KEY", "environment", "pinned_version", "start"]

MASTER_KEY = "sk-master-of-litellm"
_ROOT = Path(__file__).resolve().parents[2]
_FOLDER = _ROOT / "build" / "bench"
_QUIET = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_OFFLINE_MODE": "true",
    "LITELLM_TELEMETRY": "False",
    "LITELLM_LOG": "ERROR",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
}


def pinned_version() -> str:
    """Return the version of the library that the product is locked to."""
    lock = (_ROOT / "vendor/locks/gateway.txt").read_text(encoding="utf-8")
    found = re.search(r"^litellm==(\S+)", lock, re.MULTILINE)
    if not found:
        raise RuntimeError("vendor/locks/gateway.txt: does not name litellm")
    return found[1]


def environment() -> Path:
    """Return the environment's folder, made on first use with pip (a minute, 700 MB below build/bench)."""
    version = pinned_version()
    folder = _FOLDER / f"litellm-{version}"
    ready = folder / ".ready"
    if not ready.exists():
        print(f"installing litellm[proxy] {version} into {folder.relative_to(_ROOT)}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        environ = {"PIP_CACHE_DIR": str(_ROOT / "build/cache/pip"), **os.environ}
        pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, f"litellm[proxy]=={version}"], check=True, env=environ)
        ready.touch()
    return folder


def start(folder: Path, upstream: int, environ: dict[str, str]) -> tuple[Service, int]:
    """Start the proxy on the subject's core; returns it and its port, before it is ready."""
    port = free_port()
    config: dict[str, Any] = {
        "model_list": [
            {
                "model_name": "fake",
                "litellm_params": {
                    "model": "openai/fake",
                    "api_base": f"http://127.0.0.1:{upstream}/v1",
                    "api_key": "sk-upstream",
                },
            }
        ],
        "general_settings": {"master_key": MASTER_KEY},
        "litellm_settings": {"telemetry": False},
    }
    path = folder / "litellm.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [
        *pin(SUBJECT_CORE), str(environment() / "bin/litellm"), "--config", str(path), "--host", "127.0.0.1",
        "--port", str(port), "--num_workers", "1", "--telemetry", "False",
    ]  # fmt: skip
    return Service("LiteLLM proxy", command, log=folder / "litellm.log", environ={**environ, **_QUIET}), port
