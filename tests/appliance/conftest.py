"""Fixtures of the gateway's tests: a real upstream over HTTP, a gateway composed like in production, and clients.

`HttpUpstream` is an OpenAI-compatible server for tests: it answers with canned text, and its model's name picks a
fault. It exists to be slow, broken or wrong on demand, which a real LLM is not.
"""

import asyncio
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
import uvicorn
from tests.appliance.postgresql import PostgreSQL, running_postgresql
from tests.appliance.redis_server import RedisServer, running_redis

from routeiq_appliance.app import Gateway, build_gateway
from routeiq_appliance.config.load import parse_config
from routeiq_appliance.egress.arming import arm_guard
from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.types import Call, Deployment
from routeiq_appliance.settings import load_settings
from routeiq_appliance.state.database import database_url, open_engine
from routeiq_appliance.state.migrate import migrate
from routeiq_appliance.telemetry.logs import CallLog, LineWriter
from routeiq_appliance.upstreams.interface import Upstream

MASTER_KEY = "sk-master-key-of-the-tests"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No variable of the developer's own, and logging as it was."""
    for name in ("DATABASE_URL", "LITELLM_MASTER_KEY", "SMALL_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in list(os.environ):
        if name.startswith("ROUTEIQ_"):
            monkeypatch.delenv(name)
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    yield
    root.handlers[:], root.level = before[0], before[1]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    with running_postgresql() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.e2e)])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    url = request.getfixturevalue("postgresql").new_database() if request.param == "postgresql" else None
    made = open_engine(database_url(url, tmp_path / "data"))
    yield made
    made.dispose()


@pytest.fixture
def engine(empty_database: sa.Engine) -> sa.Engine:
    """A database of either kind, migrated."""
    migrate(empty_database)
    return empty_database


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture
def redis_server(shared_redis: RedisServer) -> RedisServer:
    """A server without data."""
    shared_redis.cli("FLUSHALL")
    return shared_redis


@pytest.fixture
def mortal_redis() -> Iterator[RedisServer]:
    """A server that the test may kill."""
    with running_redis() as server:
        yield server


class MemoryUpstream:
    """Implements `Upstream` in memory; answers with what it was asked, so that tests see what got through."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.fails: CallError | None = None
        self.script: dict[str, list[CallError]] = {}
        """By deployment: what its next calls fail with; then it answers."""
        self.asked: list[str] = []
        self.closed_streams = 0
        self.ends: str | None = None
        """The finish reason of streams."""
        self.hold = asyncio.Event()
        self.hold.set()

    async def complete(self, deployment: Deployment, call: Call, headers: Any = None) -> dict[str, Any]:
        self._ask(deployment, call)
        await self.hold.wait()
        if self.fails is not None:
            raise self.fails
        return {
            "id": "memory", "object": "chat.completion", "created": 1, "model": deployment.params["model"],
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": call.prompt}, "finish_reason": "stop"}
            ],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        }  # fmt: skip

    async def stream(
        self, deployment: Deployment, call: Call, headers: Any = None
    ) -> AsyncGenerator[dict[str, Any], None]:
        try:
            self._ask(deployment, call)
            if self.fails is not None and deployment.id != "late-1":
                raise self.fails
            for word in ("one ", "two "):
                yield {
                    "object": "chat.completion.chunk",
                    "choices": [{"index": 0, "delta": {"content": word}}],
                }
                await self.hold.wait()
            if self.fails is not None:
                raise self.fails
            if self.ends is not None:
                yield {"choices": [{"index": 0, "delta": {}, "finish_reason": self.ends}]}
            yield {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}
        finally:
            self.closed_streams += 1

    def _ask(self, deployment: Deployment, call: Call) -> None:
        self.calls.append(call)
        self.asked.append(deployment.id)
        if self.script.get(deployment.id):
            raise self.script[deployment.id].pop(0)

    async def close(self) -> None:
        return


@dataclass
class Running:
    """A gateway driven over ASGI."""

    gateway: Gateway
    upstream: MemoryUpstream
    client: httpx.AsyncClient
    data_dir: Path

    @property
    def auth(self) -> dict[str, str]:
        return {"authorization": f"Bearer {MASTER_KEY}"}

    async def generate_key(self, **body: Any) -> str:
        answer = await self.client.post("/key/generate", json=body, headers=self.auth)
        assert answer.status_code == 200, answer.text
        key: str = answer.json()["key"]
        return key

    def rows(self) -> list[dict[str, Any]]:
        """The ledger, once the writer has taken what was recorded."""
        import sqlalchemy as sa

        from routeiq_appliance.state.tables import calls

        engine = sa.create_engine(f"sqlite:///{self.data_dir / 'routeiq.sqlite3'}")
        with engine.connect() as connection:
            rows = [
                dict(row)
                for row in connection.execute(sa.select(calls).order_by(calls.c.started_at)).mappings()
            ]
        engine.dispose()
        return rows


CONFIG = """
model_list:
  - model_name: small
    litellm_params: {model: openai/tiny, api_base: http://127.0.0.1:9/v1, api_key: sk-upstream-secret, timeout: 5}
  - model_name: large
    litellm_params: {model: openai/big, api_base: http://127.0.0.1:9/v1, api_key: sk-upstream-secret, timeout: 5}
  - model_name: late
    litellm_params: {model: openai/late, api_base: http://127.0.0.1:9/v1, api_key: sk-upstream-secret, timeout: 5}
  - model_name: vectors
    litellm_params: {model: openai/vec, api_base: http://127.0.0.1:9/v1, api_key: sk-upstream-secret, timeout: 5}
    model_info: {mode: embedding}
routeiq: {egress: open, auto: {candidates: [small, large]}}
"""


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database at this release's schema: migrations take most of the time that a gateway starts in."""
    folder = tmp_path_factory.mktemp("migrated")
    engine = open_engine(database_url(None, folder))
    migrate(engine)
    engine.dispose()
    return folder


@pytest.fixture
async def running(tmp_path: Path, migrated: Path) -> AsyncGenerator[Running, None]:
    """A gateway with the upstream in memory, SQLite in a temporary folder, and no port."""
    async for item in _run(tmp_path, migrated, CONFIG):
        yield item


@pytest.fixture
def run_gateway(tmp_path: Path, migrated: Path) -> Callable[..., AsyncGenerator[Running, None]]:
    """Start a gateway with another configuration or other settings: `async for gateway in run_gateway(...)`."""
    return lambda config=CONFIG, **settings: _run(tmp_path, migrated, config, **settings)


async def _run(
    tmp_path: Path, migrated: Path, config_text: str, **settings: Any
) -> AsyncGenerator[Running, None]:
    data_dir = tmp_path / "data"
    if not data_dir.exists():
        shutil.copytree(migrated, data_dir)
    values = load_settings({
        "LITELLM_MASTER_KEY": MASTER_KEY, "ROUTEIQ_DATA_DIR": data_dir, "ROUTEIQ_METRICS_PORT": 0,
        "ROUTEIQ_CONSOLE_PATH": tmp_path / "static", **settings,
    })  # fmt: skip
    config = parse_config(config_text, {})
    upstream = MemoryUpstream()
    log = CallLog(LineWriter(2), service="routeiq-gateway")
    gateway = build_gateway(
        values, config, arm_guard(values, config), log, worker_id="test", make_upstream=lambda: upstream
    )
    lifespan = _Lifespan(gateway)
    await lifespan.start()
    transport = httpx.ASGITransport(app=gateway.app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield Running(gateway, upstream, client, data_dir)
    await lifespan.stop()


class _Lifespan:
    def __init__(self, gateway: Gateway) -> None:
        self._in: asyncio.Queue[Any] = asyncio.Queue()
        self._out: asyncio.Queue[Any] = asyncio.Queue()
        self._task = asyncio.create_task(gateway.app({"type": "lifespan"}, self._in.get, self._out.put))

    async def start(self) -> None:
        await self._in.put({"type": "lifespan.startup"})
        assert (await self._out.get())["type"] == "lifespan.startup.complete"

    async def stop(self) -> None:
        await self._in.put({"type": "lifespan.shutdown"})
        await self._task


class HttpUpstream:
    """See the module. `requests` holds (path, headers, body) of what arrived."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.left = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        raw = b""
        while True:
            message = await receive()
            raw += message.get("body", b"")
            if not message.get("more_body"):
                break
        body = json.loads(raw)
        headers = {key.decode(): value.decode() for key, value in scope["headers"]}
        self.requests.append((scope["path"], headers, body))
        await self._answer(scope["path"], body, receive, send)

    async def _answer(self, path: str, body: dict[str, Any], receive: Any, send: Any) -> None:
        async def reply(status: int, data: bytes, *headers: tuple[bytes, bytes]) -> None:
            kind = (b"content-type", b"application/json")
            await send({"type": "http.response.start", "status": status, "headers": [kind, *headers]})
            await send({"type": "http.response.body", "body": data})

        fault = body["model"]
        if fault.startswith("status-"):
            status = int(fault.removeprefix("status-"))
            message = {
                "error": {"message": f"refused with {status} sk-upstream-secret", "type": "x", "code": None}
            }
            await reply(status, json.dumps(message).encode(), (b"retry-after", b"7"))
        elif fault == "garbage":
            await reply(200, b"<html>not json</html>")
        elif fault == "redirect":
            await reply(307, b"", (b"location", b"http://127.0.0.2:9/v1/stolen"))
        elif fault == "hang":
            while (await receive())["type"] != "http.disconnect":
                pass
            self.left.set()
        elif body.get("stream"):
            await self._stream(path, body, receive, send)
        elif path.endswith("/embeddings"):
            vector = {"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}
            usage = {"prompt_tokens": 2, "total_tokens": 2}
            value: dict[str, Any] = {"object": "list", "model": "m", "data": [vector], "usage": usage}
            await reply(200, json.dumps(value).encode())
        else:
            chat = path.endswith("/chat/completions")
            said = (
                {"message": {"role": "assistant", "content": "hello there"}}
                if chat
                else {"text": "hello there"}
            )
            value = {"id": "u1", "object": "chat.completion" if chat else "text_completion", "created": 1, "model": "m",
                     "choices": [{"index": 0, "finish_reason": "stop", **said}],
                     "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}}  # fmt: skip
            await reply(200, json.dumps(value).encode())

    async def _stream(self, path: str, body: dict[str, Any], receive: Any, send: Any) -> None:
        chat = path.endswith("/chat/completions")
        name = "chat.completion.chunk" if chat else "text_completion"

        async def event(choices: list[dict[str, Any]], **more: Any) -> None:
            value = {"id": "u1", "object": name, "created": 1, "model": "m", "choices": choices, **more}
            await send(
                {
                    "type": "http.response.body",
                    "body": b"data: " + json.dumps(value).encode() + b"\n\n",
                    "more_body": True,
                }
            )

        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", b"text/event-stream")],
            }
        )
        if body["model"] == "silent":
            await send({"type": "http.response.body", "body": b""})
            return
        for word in ("hello ", "there"):
            said = {"delta": {"content": word}} if chat else {"text": word}
            await event([{"index": 0, "finish_reason": None, **said}])
        if body["model"] == "cut":
            raise ConnectionResetError("the test upstream breaks off")
        if body["model"] == "endless":
            while (await receive())["type"] != "http.disconnect":
                pass
            self.left.set()
            return
        end: dict[str, Any] = {"delta": {}} if chat else {"text": ""}
        await event([{"index": 0, "finish_reason": "stop", **end}])
        await event([], usage={"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


@dataclass
class Served:
    """An ASGI application on a port of this host, in a thread."""

    port: int
    app: Any
    stop: Callable[[], None] = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def _serve(app: Any) -> Served:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none",
                            timeout_graceful_shutdown=5)  # fmt: skip
    listener.listen()
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server._serve(sockets=[listener])), daemon=True)
    thread.start()

    def stop() -> None:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()

    return Served(listener.getsockname()[1], app, stop)


@pytest.fixture(scope="session")
def http_upstream() -> Iterator[Served]:
    """The upstream for tests, on a port."""
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    served = _serve(HttpUpstream())
    yield served
    served.stop()


@dataclass
class Process:
    """`routeiq serve` in a process of its own, sealed, with both upstreams; `lines` are its log so far."""

    port: int
    process: subprocess.Popen[str] = field(repr=False)
    lines: list[dict[str, Any]] = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture(scope="session")
def gateway_process(http_upstream: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A gateway as an operator starts it; each group's model picks a fault of `HttpUpstream`."""
    folder = tmp_path_factory.mktemp("gateway")
    names = ["plain", "hang", "endless", "cut", "silent", "garbage", "redirect"]
    names += [f"status-{code}" for code in (400, 401, 404, 422, 429, 500, 503)]
    entries = "\n".join(
        f"  - model_name: {prefix}{name}\n    litellm_params: {{model: openai/{name}, "
        f"api_base: {http_upstream.url}/v1, api_key: os.environ/SMALL_KEY, timeout: {1 if name == 'hang' else 20}}}\n"
        f"    model_info: {{upstream: {upstream}}}"
        for prefix, upstream in (("", "direct"), ("litellm-", "litellm"))
        for name in names
    )
    # No canaries: the test host may have a way out; every dial is guarded all the same.
    config = folder / "config.yaml"
    config.write_text(
        f"model_list:\n{entries}\nrouter_settings: {{num_retries: 0}}\n"
        "routeiq: {egress: sealed, canaries: [], auto: {candidates: [plain]}}\n"
    )
    environ = {
        "PATH": os.environ["PATH"], "LITELLM_MASTER_KEY": MASTER_KEY, "SMALL_KEY": "sk-upstream-secret",
        "ROUTEIQ_DATA_DIR": str(folder / "data"), "ROUTEIQ_METRICS_PORT": "0", "HOME": str(folder / "no-home"),
    }  # fmt: skip
    command = [sys.executable, "-m", "routeiq_appliance.cli", "serve", "--config", str(config), "--port", "0"]
    process = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    running = Process(0, process, [])
    for line in process.stderr:
        running.lines.append(json.loads(line))
        running.port = running.port or running.lines[-1].get("port", 0)
        if running.lines[-1]["message"] == "ready":
            break
    assert running.port, running.lines
    reader = threading.Thread(
        target=lambda: running.lines.extend(json.loads(line) for line in process.stderr or ())
    )
    reader.start()
    yield running
    process.terminate()
    assert process.wait(30) == 0
    reader.join()
    process.stderr.close()
    assert [line for line in running.lines if line["message"] == "egress outside the configuration"] == []
    assert "sk-upstream-secret" not in json.dumps(running.lines)
    assert not (folder / "no-home").exists()


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Wait until a condition that another thread brings about is true."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, "did not happen within 10 s"
            threading.Event().wait(0.01)

    return wait


@pytest.fixture(scope="session")
def master_key() -> str:
    return MASTER_KEY


def _conforms(upstream: MemoryUpstream) -> Upstream:
    return upstream  # checked by mypy: the fake implements the interface
