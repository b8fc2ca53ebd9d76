"""Starts what a run asks for, once, and stops it all at the end: upstream, relay, sink, gateways, the LiteLLM proxy."""

import json
import os
import sys
import tempfile
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from benchmarks.gateway import gateway, litellm_proxy
from benchmarks.gateway.backends import Backends, running_backends
from benchmarks.gateway.gateway import Gateway
from benchmarks.gateway.machine import LOAD_CORE, SUBJECT_CORE, pin

from routeiq_appliance.cli.demo.stack import free_port
from routeiq_appliance.cli.sealed.process import Service

__all__ = ["PROMPT", "Stage", "Subject", "answers", "body_of"]

_HERE = Path(__file__).parent
_READY_SECONDS = 120.0
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
PROMPT = "What is the capital of France? Answer in one short sentence."


def body_of(model: str = "fake", prompt: str = PROMPT, *, stream: bool = False) -> str:
    """Return a request as a client writes it."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": 50,
    }
    return json.dumps({**body, "stream": True} if stream else body, separators=(",", ":"))


@dataclass(frozen=True)
class Subject:
    """What is measured: `pid` 0 is nobody's (the upstream itself, `direct`)."""

    name: str
    port: int
    pid: int
    key: str = ""
    gateway: Gateway | None = None


class Stage:
    """Use it as a block; everything lives in a temporary folder below build/bench that goes with it."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._gateways: dict[str, Subject] = {}

    def __enter__(self) -> Self:
        parent = _HERE.parents[1] / "build" / "bench"
        parent.mkdir(parents=True, exist_ok=True)
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="run-", dir=parent)))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def environ(self) -> dict[str, str]:
        """No proxies, no variables of the caller that a subject would read."""
        return {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ} | {
            "HOME": str(self.folder)
        }

    @cached_property
    def upstream(self) -> Subject:
        return self._script("upstream", "upstream.py", LOAD_CORE)

    @cached_property
    def direct(self) -> Subject:
        return Subject("direct", self.upstream.port, self.upstream.pid)

    @cached_property
    def relay(self) -> Subject:
        return self._script("relay", "relay.py", SUBJECT_CORE, str(self.upstream.port))

    @cached_property
    def sink(self) -> Subject:
        return self._script("sink", "sink.py", LOAD_CORE)

    @cached_property
    def backends(self) -> Backends:
        return self._stack.enter_context(running_backends())

    @cached_property
    def litellm(self) -> Subject:
        service, port = litellm_proxy.start(self.folder, self.upstream.port, self.environ)
        self._stack.enter_context(service)
        service.wait_until(lambda: answers(port, "/health/readiness"), seconds=_READY_SECONDS)
        return Subject("LiteLLM proxy", port, service.pid, litellm_proxy.MASTER_KEY)

    @property
    def gateway(self) -> Subject:
        """In-process state: SQLite, limits in memory."""
        return self.start_gateway("gateway")

    @property
    def shared(self) -> Subject:
        """State shared between workers: PostgreSQL and Redis."""
        environ = {
            "DATABASE_URL": self.backends.database_url,
            "REDIS_URL": self.backends.redis_url,
            "ROUTEIQ_PEPPER": "a pepper of the benchmark, 32 characters or more",
        }
        return self.start_gateway("gateway, PostgreSQL and Redis", environ)

    @property
    def traced(self) -> Subject:
        """As `gateway`, with every call's spans sent to the sink."""
        endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.sink.port}"}
        return self.start_gateway("gateway, traces on", endpoint)

    def start_gateway(
        self, name: str, environ: Mapping[str, str] | None = None, routeiq: Mapping[str, Any] | None = None
    ) -> Subject:
        """Return the gateway of this name, started and with a key."""
        if name not in self._gateways:
            more = dict(environ or {})
            folder = self.folder / name.replace(" ", "-").replace(",", "")
            config = gateway.config_of(self.upstream.port, routeiq)
            service, port = gateway.start(name, folder, config, {**self.environ, **more})
            self._stack.enter_context(service)
            service.wait_until(lambda: answers(port, "/health/readiness"), seconds=_READY_SECONDS)
            key, key_id = gateway.generate_key(port)
            running = Gateway(name, service, port, folder, key, key_id, more.get("DATABASE_URL"))
            self._gateways[name] = Subject(name, port, service.pid, key, running)
        return self._gateways[name]

    def require_running(self) -> None:
        """Raise when a gateway has ended."""
        for subject in self._gateways.values():
            assert subject.gateway is not None
            subject.gateway.service.require_running()

    @property
    def gateways(self) -> list[Gateway]:
        return [subject.gateway for subject in self._gateways.values() if subject.gateway]

    def _script(self, name: str, file: str, core: int, *arguments: str) -> Subject:
        port = free_port()
        command = [*pin(core), sys.executable, "-P", str(_HERE / file), str(port), *arguments]
        service = self._stack.enter_context(
            Service(name, command, log=self.folder / f"{name}.log", environ=self.environ)
        )
        service.wait_until(lambda: "listening" in service.said(), seconds=30)
        return Subject(name, port, service.pid)


def answers(port: int, path: str) -> bool:
    """Tell whether a GET is answered with 200."""
    try:
        with _OPENER.open(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
