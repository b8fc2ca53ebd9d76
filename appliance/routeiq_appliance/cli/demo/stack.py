"""Starts the LLM and the gateway, inside the sealed network when there is one, and stops both.

Two model groups, `small` and `large`, are two deployments of one real small LLM: a laptop has no 51 billion
parameters to spare. The decision between them is the signed artifact's own, for the models that `MODEL_MAP` names.
"""

import json
import os
import secrets
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from routeiq_appliance.cli.demo.prepare import ARTIFACT, Prepared
from routeiq_appliance.cli.sealed.errors import ProcessError
from routeiq_appliance.cli.sealed.network import Namespace
from routeiq_appliance.cli.sealed.process import Service

__all__ = [
    "CANARIES",
    "LLM_NAME",
    "MODEL_MAP",
    "Endpoint",
    "free_port",
    "gateway_config",
    "is_free",
    "run_gateway",
    "run_llm",
]

LLM_NAME = "smollm2"
MODEL_MAP = {"small": "mistral-7b-instruct-v0.3", "large": "llama-3.1-nemotron-51b-instruct"}
"""Group → the model of the artifact that stands for it, until calibration exists."""
COST_WEIGHT = 0.2
CANARIES = (("1.1.1.1", 443), ("8.8.8.8", 53), ("9.9.9.9", 443))
"""What the gateway tries at start, as it does by default; the sensor counts these packets apart."""

_LLM_SCRIPT = Path(__file__).with_name("llm_server.py")
_LLM_READY = "the model is served at"
_READY_SECONDS = 60.0
_ANSWER_SECONDS = 120.0
# A proxy of the caller's environment has no business between us and loopback.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Endpoint:
    """A gateway that listens at `url` (no slash at the end), and a key for it."""

    url: str
    key: str

    def get(self, path: str) -> Any:
        """Return the JSON at `path`; raises `OSError` (also for a status of 400 or more)."""
        with _DIRECT.open(self._request(path, None), timeout=_ANSWER_SECONDS) as answer:
            return json.load(answer)

    def post(self, path: str, body: Mapping[str, Any]) -> tuple[Mapping[str, str], Any]:
        """Post JSON; returns the headers, names in lower case, and the JSON. Raises `ProcessError` with the refusal."""
        try:
            with _DIRECT.open(self._request(path, body), timeout=_ANSWER_SECONDS) as answer:
                return {name.lower(): value for name, value in answer.headers.items()}, json.load(answer)
        except urllib.error.HTTPError as error:
            raise ProcessError(f"{path}: {error.code}: {error.read(2000).decode(errors='replace')}") from None

    def _request(self, path: str, body: Mapping[str, Any] | None) -> urllib.request.Request:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        return urllib.request.Request(self.url + path, data=data, headers=headers)  # noqa: S310 - our own loopback


def free_port() -> int:
    """Return a port of loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def is_free(port: int) -> bool:
    """Tell whether a port of loopback can be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def gateway_config(llm_url: str, *, canaries: Sequence[tuple[str, int]] = CANARIES) -> dict[str, Any]:
    """Return `config.yaml`: two groups at the one LLM, `auto` routed by the pretrained artifact, egress sealed."""
    params = {"model": f"openai/{LLM_NAME}", "api_base": f"{llm_url}/v1", "api_key": "os.environ/LLM_API_KEY"}
    return {
        "model_list": [{"model_name": group, "litellm_params": params} for group in MODEL_MAP],
        "routeiq": {
            "egress": "sealed",
            "canaries": [f"{address}:{port}" for address, port in canaries],
            "auto": {
                "candidates": list(MODEL_MAP),
                "artifact": f"routers/{ARTIFACT}",
                "model_map": MODEL_MAP,
                "cost_weight": COST_WEIGHT,
            },
        },
    }


@contextmanager
def run_llm(
    python: Path, gguf: Path, *, inside: Namespace | None, port: int, api_key: str, scratch: Path
) -> Iterator[Service]:
    """Serve the model on loopback, of the namespace or of the host; it has loaded when the block begins."""
    command = [
        str(python),
        "-I",
        str(_LLM_SCRIPT),
        "--model",
        str(gguf),
        "--name",
        LLM_NAME,
        "--port",
        str(port),
    ]
    command += ["--threads", str(max(1, (os.cpu_count() or 1) // 2))]
    environ = {**_environ(), "LLM_API_KEY": api_key}
    with Service("LLM server", _place(inside, command), log=scratch / "llm.log", environ=environ) as service:
        service.wait_until(lambda: _LLM_READY in service.said(), seconds=_READY_SECONDS)
        yield service


@contextmanager
def run_gateway(
    prepared: Prepared,
    config: Mapping[str, Any],
    *,
    inside: Namespace | None,
    port: int,
    reached_at: int,
    llm_key: str,
    scratch: Path,
) -> Iterator[tuple[Service, Endpoint]]:
    """Run `routeiq serve` on the embedded defaults; it is ready when the block begins.

    It listens on `port` of loopback where it runs, and is reached from here at `reached_at`. The endpoint's key is
    the master key.
    """
    path = scratch / "config.yaml"
    path.write_text(yaml.safe_dump(dict(config), sort_keys=False), encoding="utf-8")
    master = f"sk-master-{secrets.token_hex(12)}"
    environ = {
        **_environ(),
        "LITELLM_MASTER_KEY": master,
        "LLM_API_KEY": llm_key,
        "ROUTEIQ_DATA_DIR": str(scratch / "data"),
        "ROUTEIQ_MODELS_PATH": str(prepared.models),
        "ROUTEIQ_TRUST_KEY": str(prepared.trust_key),
        "ROUTEIQ_CONSOLE_PATH": str(prepared.console),
        "ROUTEIQ_METRICS_PORT": "0",
    }
    command = [
        sys.executable,
        "-m",
        "routeiq_appliance.cli",
        "serve",
        "--config",
        str(path),
        "--port",
        str(port),
    ]
    endpoint = Endpoint(f"http://127.0.0.1:{reached_at}", master)

    def ready() -> bool:
        try:
            return bool(endpoint.get("/health/readiness")["status"] == "ready")
        except (OSError, ValueError):
            return False

    with Service("gateway", _place(inside, command), log=scratch / "gateway.log", environ=environ) as service:
        service.wait_until(ready, seconds=_READY_SECONDS)
        yield service, endpoint


def _place(inside: Namespace | None, command: list[str]) -> list[str]:
    return command if inside is None else inside.confine(command)


def _environ() -> dict[str, str]:
    """Return what is kept of the caller's environment: nothing that could configure what is shown."""
    kept = ("PATH", "HOME", "LANG", "TZ", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ}
