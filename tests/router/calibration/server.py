"""An OpenAI-compatible server in a thread, for faults alone: the model's name says what it does."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["FaultyServer", "serving"]

KEY = "sk-of-the-tests"


class FaultyServer(ThreadingHTTPServer):
    """`asked` is how often each model was; `right` maps a prompt to what the model `good` says."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.right: dict[str, str] = {}
        self.lock = threading.Lock()
        self.release = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: FaultyServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        model = body["model"]
        with self.server.lock:
            self.server.asked[model] += 1
            self.server.bodies.append(body)
            turn = self.server.asked[model]
        if self.headers.get("authorization") != f"Bearer {KEY}":
            self._reply(401, b'{"error": {"message": "no such key"}}')
        elif model == "busy" and turn == 1:
            self._reply(429, b'{"error": {"message": "slow down"}}', ("retry-after", "7"))
        elif model in {"broken", "dying"} and (model == "broken" or turn > 5):
            self._reply(500, b'{"error": {"message": "out of\\u001b[2Jorder"}}')
        elif model == "unknown":
            self._reply(404, b'{"error": {"message": "no such model"}}')
        elif model == "hanging":
            self.server.release.wait(30)
        elif model == "nonsense":
            self._reply(200, b"<html>" + b"[" * 100_000)
        elif model == "endless":
            self._reply(200, b'{"choices": [' + b" " * (3 << 20))
        elif model == "moved":
            self._reply(302, b"", ("location", "http://127.0.0.1:1/"))
        elif model == "empty":
            self._say(None)
        elif model == "fallen-back":
            self._say("4", ("x-routeiq-model", "another"))
        else:
            text = body["messages"][-1]["content"]
            self._say(self.server.right.get(text, "?") if model != "bad" else "no idea")

    def _say(self, text: str | None, *headers: tuple[str, str]) -> None:
        message = {"choices": [{"message": {"role": "assistant", "content": text}}]}
        self._reply(200, json.dumps(message).encode(), *headers)

    def _reply(self, status: int, data: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("content-length", str(len(data))), *headers):
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(data)
        except OSError:
            self.close_connection = True


@contextmanager
def serving() -> Iterator[FaultyServer]:
    server = FaultyServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.release.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
