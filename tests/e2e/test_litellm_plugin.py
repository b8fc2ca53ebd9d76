"""`routeiq-router` beside a stock LiteLLM: its proxy and its SDK route by the signed artifact, at a real LLM."""

import json
import os
import secrets
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.litellm_site import QUIET, make_environment

from routeiq_appliance.cli.demo.prepare import ARTIFACT, Prepared
from routeiq_appliance.cli.demo.stack import LLM_NAME, free_port, run_llm
from routeiq_appliance.cli.sealed.process import Service
from routeiq_signing.keys import PrivateKey

pytestmark = pytest.mark.e2e

MASTER = "sk-master-of-a-stock-litellm"
SMALL, LARGE = "qwen2.5-7b-instruct", "llama-3.1-nemotron-51b-instruct"
WEAK = "llama3-chatqa-1.5-8b"  # the artifact knows that it is bad at sums
MATHS = "A train travels 60 miles in 1.5 hours. What is its average speed in miles per hour?"


@dataclass
class Place:
    python: Path
    folder: Path
    prepared: Prepared
    llm: str
    llm_key: str

    def plugin_file(self, name: str, models: dict[str, str], **changes: Any) -> dict[str, str]:
        """Write the plug-in's configuration; returns the environment that names it."""
        path = self.folder / f"{name}.plugin.yaml"
        given = {
            "artifact": str(self.prepared.models / "routers" / ARTIFACT),
            "embedder": str(self.prepared.models / "sentence-transformers" / "all-MiniLM-L6-v2"),
            "trust_key": str(self.prepared.trust_key),
            "models": models,
            **changes,
        }
        path.write_text(yaml.safe_dump(given, sort_keys=False), encoding="utf-8")
        return {"PATH": os.environ["PATH"], **QUIET, "ROUTEIQ_PLUGIN_CONFIG": str(path)}

    @contextmanager
    def proxy(
        self, name: str, config: dict[str, Any], environ: dict[str, str]
    ) -> Iterator[tuple[Service, str]]:
        path, port = self.folder / f"{name}.yaml", free_port()
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        command = [
            str(self.python), "-c", "import sys; from litellm import run_server; sys.exit(run_server())",
            "--config", str(path), "--host", "127.0.0.1", "--port", str(port), "--telemetry", "False",
        ]  # fmt: skip
        with Service("LiteLLM proxy", command, log=self.folder / f"{name}.log", environ=environ) as service:
            yield service, f"http://127.0.0.1:{port}"

    def entry(self, group: str, model: str = LLM_NAME) -> dict[str, Any]:
        params = {"model": f"openai/{model}", "api_base": f"{self.llm}/v1", "api_key": self.llm_key}
        return {"model_name": group, "litellm_params": params}


@pytest.fixture(scope="module")
def place(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("litellm")
    python = make_environment(folder / "venv")
    port, key = free_port(), secrets.token_hex(12)
    with run_llm(prepared.llm_python, prepared.gguf, inside=None, port=port, api_key=key, scratch=folder):
        yield Place(python, folder, prepared, f"http://127.0.0.1:{port}", key)


@pytest.fixture(scope="module")
def foreign(place: Place) -> Iterator[tuple[Service, str]]:
    """A proxy that trusts another key; it starts while another test has its own start to wait for."""
    other = place.folder / "other.pub"
    other.write_bytes(PrivateKey.generate().public.pem)
    environ = place.plugin_file("foreign", {"small": SMALL}, trust_key=str(other))
    config = {
        "model_list": [place.entry("small")],
        "general_settings": {"master_key": MASTER},
        "litellm_settings": {"callbacks": ["routeiq_router.litellm_plugin.callback"]},
    }
    with place.proxy("foreign", config, environ) as started:
        yield started


def _ask(url: str, model: str, prompt: str) -> tuple[int, dict[str, str], Any]:
    body = {"model": model, "max_tokens": 4, "messages": [{"role": "user", "content": prompt}]}
    headers = {"authorization": f"Bearer {MASTER}", "content-type": "application/json"}
    request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.status, {k.lower(): v for k, v in answer.headers.items()}, json.load(answer)


def _alive(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health/liveliness", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.mark.usefixtures("foreign")
def test_a_stock_proxy_routes_by_both_plug_points(place: Place) -> None:
    # `auto` is the callback's: no group has the name. `pool` is narrowed by the plug-in, by `litellm_params.model`.
    environ = place.plugin_file(
        "both",
        {"small": SMALL, "large": LARGE},
        deployments={"openai/nowhere": WEAK, f"openai/{LLM_NAME}": LARGE},
    )
    nowhere = place.entry("pool", "nowhere")
    nowhere["litellm_params"]["api_base"] = "http://127.0.0.1:9/v1"
    config = {
        "model_list": [place.entry("small"), place.entry("large"), nowhere, place.entry("pool")],
        "general_settings": {"master_key": MASTER},
        "litellm_settings": {"callbacks": ["routeiq_router.litellm_plugin.callback"], "num_retries": 0},
        "router_settings": {"plugins": ["routeiq_router.litellm_plugin.plugin"], "num_retries": 0},
    }
    with place.proxy("both", config, environ) as (service, url):
        service.wait_until(lambda: _alive(url), seconds=90)
        status, headers, body = _ask(url, "auto", MATHS)
        assert status == 200
        assert body["choices"][0]["message"]["content"]
        assert headers["x-routeiq-model"] in {"small", "large"}
        assert headers["x-routeiq-reason"] == "highest quality minus weighted cost"
        assert 0 <= float(headers["x-routeiq-score"]) <= 1
        _, headers, _ = _ask(url, "auto", "?!")  # nothing to judge: the first that is declared
        assert (headers["x-routeiq-model"], "x-routeiq-score" in headers) == ("small", False)
        assert headers["x-routeiq-reason"].startswith("declared order: ")
        for _ in range(
            4
        ):  # of the two deployments one cannot answer; the artifact thinks the other one better
            assert _ask(url, "pool", MATHS)[0] == 200
        _, headers, _ = _ask(url, "large", MATHS)  # asked for by name: left alone
        assert "x-routeiq-model" not in headers


def test_a_proxy_with_an_artifact_that_is_not_trusted_does_not_start(
    place: Place, foreign: tuple[Service, str]
) -> None:
    service, url = foreign
    assert service.wait(seconds=90) != 0
    assert not _alive(url)
    assert "model.sig" in (place.folder / "foreign.log").read_text(encoding="utf-8")


SDK = """
import asyncio, json, sys
import litellm
from routeiq_router.litellm_plugin import plugin, strategy_for

async def main():
    router = litellm.Router(model_list=json.loads(sys.argv[1]), num_retries=0)
    router.set_custom_routing_strategy(strategy_for(router, plugin))
    ask = {"model": "auto", "max_tokens": 4, "messages": [{"role": "user", "content": sys.argv[2]}]}
    answer = await router.acompletion(**ask)
    again = await asyncio.to_thread(lambda: router.completion(**ask))
    chosen = await plugin.choose(ask["messages"])
    print(json.dumps([answer.choices[0].message.content, again.choices[0].message.content, chosen.told()]))

asyncio.run(main())
"""


def test_the_sdk_takes_it_as_a_routing_strategy(place: Place) -> None:
    environ = place.plugin_file("sdk", {"small": SMALL, "large": LARGE}, objective="quality=1,cost=0.2")
    entries = json.dumps([place.entry("small"), place.entry("large")])
    done = subprocess.run(
        [str(place.python), "-c", SDK, entries, MATHS],
        env=environ, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    first, again, told = json.loads(done.stdout.splitlines()[-1])
    assert first
    assert again
    assert told["model"] in {"small", "large"}
    assert told["artifact"].startswith("sha256:")
    assert sorted(told["ranking"]) == ["large", "small"]
