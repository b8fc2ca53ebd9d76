"""Gateways as an operator runs them: real processes over a real PostgreSQL and Redis, before an upstream for tests.

`Line` is a connection of its own, kept open, so that a test decides which worker answers: the others are stopped while
it is made.
"""

import asyncio
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
import uvicorn
import yaml

from routeiq_appliance.cli.demo.stack import free_port
from routeiq_appliance.cli.sealed.debian import install_packages

__all__ = [
    "MASTER_KEY",
    "Answer",
    "Fleet",
    "Line",
    "Upstream",
    "eventually",
    "run_all",
    "running_fleet",
    "running_redis",
    "running_upstream",
    "serving",
]

MASTER_KEY = "sk-master-key-of-the-tests"
_PEPPER = "pepper-of-the-tests-32-characters-or-more"
_START_SECONDS = 60.0


def eventually(condition: Callable[[], Any], *, seconds: float = 20.0, what: str = "it") -> Any:
    """Return the first true value of `condition`; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s"
        threading.Event().wait(0.01)


def run_all(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Return what the calls return, all of them running at once."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [done.result() for done in [pool.submit(call) for call in calls]]


@contextmanager
def running_redis(folder: Path) -> Iterator[str]:
    """Run Debian's redis-server, installed when missing; yields its URL."""
    install_packages(("redis-server",), "Redis for the end-to-end tests", say=lambda line: None)
    port = free_port()
    folder.mkdir()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    program = shutil.which("redis-server")
    assert program is not None
    with subprocess.Popen([program, *options], stdout=subprocess.DEVNULL) as server:
        client = redis.Redis(port=port)

        def answers() -> bool:
            with contextlib.suppress(redis.ConnectionError):
                return bool(client.ping())
            return False

        try:
            eventually(answers, what="redis-server's start")
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            client.close()
            server.terminate()


class Upstream:
    """An OpenAI-compatible server. A model's name picks what it does; 7 tokens in, 2 out.

    `held` waits until `release`, `tools` calls two tools; `failing` holds names that are answered with a 500.
    `requests` is what arrived: path, headers by lower case name, body.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.failing: set[str] = set()
        self.running: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self._released = threading.Event()

    def hold(self) -> None:
        """Let calls to `held` wait."""
        self._released.clear()

    def release(self) -> None:
        """Answer what waits, and what comes."""
        self._released.set()

    def count(self, model: str) -> int:
        """Return how many requests for a model have arrived."""
        return sum(body["model"] == model for _, _, body in self.requests)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """See ASGI."""
        raw = b""
        while True:
            message = await receive()
            raw += message.get("body", b"")
            if not message.get("more_body"):
                break
        body = json.loads(raw)
        model = body["model"]
        headers = {key.decode(): value.decode() for key, value in scope["headers"]}
        self.requests.append((scope["path"], headers, body))
        self.running[model] += 1
        self.most[model] = max(self.most[model], self.running[model])
        try:
            if model.startswith("held"):
                # Told from other threads, and by more than one test.
                await asyncio.to_thread(self._released.wait, 60)
            await self._answer(body, send)
        finally:
            self.running[model] -= 1

    async def _answer(self, body: dict[str, Any], send: Any) -> None:
        usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
        common = {"id": "u1", "created": 1, "model": body["model"]}
        if body["model"] in self.failing:
            await _reply(send, 500, b'{"error": {"message": "out of order"}}')
        elif body.get("stream"):
            await _reply(send, 200, None, b"text/event-stream")
            for delta, reason in _TOOL_DELTAS if body["model"] == "tools" else _DELTAS:
                choice = {"index": 0, "delta": delta, "finish_reason": reason}
                await _event(send, {**common, "object": "chat.completion.chunk", "choices": [choice]})
            await _event(send, {**common, "object": "chat.completion.chunk", "choices": [], "usage": usage})
            await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})
        else:
            message: dict[str, Any] = {"role": "assistant", "content": "hello"}
            reason = "stop"
            if body["model"] == "tools":
                message |= {"content": None, "tool_calls": [_tool_call(*call) for call in _CALLS]}
                reason = "tool_calls"
            choice = {"index": 0, "message": message, "finish_reason": reason}
            answer = {**common, "object": "chat.completion", "choices": [choice], "usage": usage}
            await _reply(send, 200, json.dumps(answer).encode())


def _tool_call(number: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": number, "type": "function", "function": {"name": name, "arguments": arguments}}


_CALLS = (("call_1", "weather", '{"city": "Paris"}'), ("call_2", "weather", '{"city": "Z\u00fcrich"}'))
_DELTAS: tuple[tuple[dict[str, Any], str | None], ...] = (({"content": "hello"}, None), ({}, "stop"))
# As vLLM and OpenAI cut them: the name first, then the arguments in pieces that carry the index alone.
_TOOL_DELTAS: tuple[tuple[dict[str, Any], str | None], ...] = (
    ({"role": "assistant", "content": None}, None),
    *(
        ({"tool_calls": [{"index": index, **call}]}, None)
        for index, (number, name, arguments) in enumerate(_CALLS)
        for call in (
            _tool_call(number, name, ""),
            {"function": {"arguments": arguments[:6]}},
            {"function": {"arguments": arguments[6:]}},
        )
    ),
    ({}, "tool_calls"),
)


async def _reply(send: Any, status: int, body: bytes | None, kind: bytes = b"application/json") -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
    if body is not None:
        await send({"type": "http.response.body", "body": body})


async def _event(send: Any, value: Any) -> None:
    data = b"data: " + json.dumps(value).encode() + b"\n\n"
    await send({"type": "http.response.body", "body": data, "more_body": True})


@contextmanager
def serving(app: Any) -> Iterator[int]:
    """Run an ASGI application in a thread; yields its port on loopback."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none",
                            timeout_graceful_shutdown=1)  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server._serve(sockets=[listener])), daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)


@contextmanager
def running_upstream() -> Iterator[tuple[Upstream, str]]:
    """Run the upstream in a thread; yields it and its `api_base`."""
    upstream = Upstream()
    with serving(upstream) as port:
        try:
            yield upstream, f"http://127.0.0.1:{port}/v1"
        finally:
            upstream.release()


@dataclass(frozen=True)
class Answer:
    """What a gateway answered: `json` of its body, None for a stream."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


class Line:
    """A connection to one worker; it never connects anew, so another worker cannot answer."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._connection.connect()
        self._connection.auto_open = 0

    def get(self, path: str, *, key: str = MASTER_KEY) -> Answer:
        """Send a GET."""
        return self.request("GET", path, None, key=key)

    def post(self, path: str, body: Any, *, key: str = MASTER_KEY, headers: Any = None) -> Answer:
        """Send JSON."""
        return self.request("POST", path, body, key=key, headers=headers)

    def ask(self, model: str = "plain", *, key: str = MASTER_KEY, headers: Any = None, **more: Any) -> Answer:
        """Send a chat of few words."""
        message = {"role": "user", "content": "hello"}
        body = {"model": model, "messages": [message], "max_tokens": 2, **more}
        return self.post("/v1/chat/completions", body, key=key, headers=headers)

    def request(self, method: str, path: str, body: Any, *, key: str, headers: Any = None) -> Answer:
        """Send a request and read its answer whole."""
        sent = {"authorization": f"Bearer {key}", "content-type": "application/json", **(headers or {})}
        self._connection.request(method, path, None if body is None else json.dumps(body), sent)
        response = self._connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read())

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


@dataclass
class Fleet:
    """One `routeiq serve`, with a number of workers; `lines` are its log so far."""

    port: int
    metrics_port: int
    process: subprocess.Popen[str] = field(repr=False)
    data_dir: Path
    lines: list[dict[str, Any]] = field(default_factory=list, repr=False)
    unreadable: list[str] = field(default_factory=list, repr=False)

    @property
    def url(self) -> str:
        """Where it is called."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def workers(self) -> list[int]:
        """The processes that answer, in the order in which they became ready."""
        ready = [line["worker_id"] for line in list(self.lines) if line.get("message") == "ready"]
        return [pid for pid in ready if _runs(pid)]

    def line(self, worker: int | None = None) -> Line:
        """Connect to `worker`, or to any."""
        if worker is None:
            return Line(self.port)
        others = [pid for pid in self.workers if pid != worker]
        for pid in others:
            os.kill(pid, signal.SIGSTOP)
        try:
            line = Line(self.port)
            # Accepted once it has answered.
            assert line.get("/health/liveliness").status == 200
            return line
        finally:
            for pid in others:
                os.kill(pid, signal.SIGCONT)

    def spread(self, count: int) -> list[Line]:
        """Connect `count` times to each worker."""
        return [line for worker in self.workers for line in (self.line(worker) for _ in range(count))]

    def manage(self, path: str, **body: Any) -> Any:
        """Post to the management API; returns its answer."""
        with contextlib.closing(Line(self.port)) as line:
            answer = line.post(path, body)
        assert answer.status == 200, answer.body
        return answer.json

    def look(self, path: str, *, key: str = MASTER_KEY) -> Any:
        """Get JSON."""
        with contextlib.closing(Line(self.port)) as line:
            answer = line.get(path, key=key)
        assert answer.status == 200, answer.body
        return answer.json

    def metrics(self) -> dict[str, float]:
        """Return the samples of `/metrics`, by name with labels."""
        connection = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=10)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        samples = [line.rpartition(" ") for line in text.splitlines() if line and line[0] != "#"]
        assert len({name for name, _, _ in samples}) == len(samples), "a sample is there twice"
        return {name: float(value) for name, _, value in samples}

    def said(self, message: str) -> list[dict[str, Any]]:
        """Return the log lines with this message."""
        return [line for line in list(self.lines) if line.get("message") == message]

    def terminate(self) -> int:
        """Send SIGTERM; returns the exit code."""
        self.process.terminate()
        return self.process.wait(60)


@contextmanager
def running_fleet(
    config: Mapping[str, Any],
    folder: Path,
    *,
    workers: int,
    environ: Mapping[str, str],
    data_dir: Path | None = None,
) -> Iterator[Fleet]:
    """Run `routeiq serve`; every worker is ready when the block begins. Whatever is left of it is killed after."""
    folder.mkdir(exist_ok=True)
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(dict(config)), encoding="utf-8")
    data_dir = data_dir or folder / "data"
    metrics_port = free_port()
    variables = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "LITELLM_MASTER_KEY": MASTER_KEY, "ROUTEIQ_PEPPER": _PEPPER,
        "ROUTEIQ_DATA_DIR": str(data_dir), "ROUTEIQ_METRICS_HOST": "127.0.0.1",
        "ROUTEIQ_METRICS_PORT": str(metrics_port), **environ,
    }  # fmt: skip
    routeiq = [sys.executable, "-m", "routeiq_appliance.cli"]
    if "DATABASE_URL" in variables:
        subprocess.run([*routeiq, "admin", "migrate"], env=variables, check=True, capture_output=True)
    serve = ["serve", "--config", str(path), "--port", "0", "--workers", str(workers)]
    # In a session of its own, so that nothing of it is left when a test fails.
    process = subprocess.Popen([*routeiq, *serve], env=variables, stderr=subprocess.PIPE, text=True,
                               start_new_session=True)  # fmt: skip
    fleet = Fleet(0, metrics_port, process, data_dir)
    reader = threading.Thread(target=_read, args=(fleet,), daemon=True)
    reader.start()
    try:
        eventually(
            lambda: (fleet.said("listening") and len(fleet.workers) == workers) or process.poll() is not None,
            seconds=_START_SECONDS, what="the gateway's start",
        )  # fmt: skip
        assert process.poll() is None, fleet.lines
        fleet.port = fleet.said("listening")[0]["port"]
        # `ready` is said a moment before the socket listens.
        eventually(lambda: _answers(fleet.port), what="the gateway's first answer")
        yield fleet
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)
        reader.join(20)
        assert process.stderr is not None
        process.stderr.close()
    assert fleet.unreadable == [], "".join(fleet.unreadable)  # K16


def _read(fleet: Fleet) -> None:
    assert fleet.process.stderr is not None
    for text in fleet.process.stderr:
        try:
            fleet.lines.append(json.loads(text))
        except ValueError:
            fleet.unreadable.append(text)


def _answers(port: int) -> bool:
    try:
        with contextlib.closing(Line(port)) as line:
            return line.get("/health/readiness").status == 200
    except ConnectionRefusedError:
        return False


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False
