"""Small Debian packages, and a registry in this process for what a real one does not do on demand."""

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest


def _tar(members: list[tuple[tarfile.TarInfo, bytes]], mode: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:  # type: ignore[call-overload]
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


@pytest.fixture
def make_deb(tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of .deb files: name → content, or a ready TarInfo → content."""

    def make(name: str, files: dict[Any, bytes], version: str = "1.0-1") -> Path:
        control = f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nDescription: small\n".encode()
        data = []
        for path, content in files.items():
            member = path if isinstance(path, tarfile.TarInfo) else tarfile.TarInfo(f"./{path}")
            data.append((member, content))
        parts = {
            "debian-binary": b"2.0\n",
            "control.tar.gz": _tar([(tarfile.TarInfo("./control"), control)], "w:gz"),
            "data.tar.xz": _tar(data, "w:xz"),
        }
        raw = b"!<arch>\n"
        for part, content in parts.items():
            raw += f"{part:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content
            raw += b"\n" * (len(content) % 2)
        path = tmp_path / f"{name}.deb"
        path.write_bytes(raw)
        return path

    return make


class FakeRegistry(ThreadingHTTPServer):
    """The push half of distribution-spec 1.1 over dictionaries; `faults` maps a method and path prefix to a status."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: dict[tuple[str, str], bytes] = {}
        self.requests: list[tuple[str, str, str | None]] = []
        self.faults: list[tuple[str, str, int]] = []
        self.challenge: str | None = None
        self.accepted: str | None = None
        self.token = "T"
        self.location_host: str | None = None

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: FakeRegistry
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        """Stay quiet."""

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        server, url = self.server, urlsplit(self.path)
        authorization = self.headers.get("Authorization")
        server.requests.append((self.command, url.path, authorization))
        for fault in server.faults:
            if fault[0] == self.command and url.path.startswith(fault[1]):
                server.faults.remove(fault)
                self._answer(fault[2], b"fault")
                return
        if url.path == "/token":
            self._answer(200, json.dumps({"token": server.token}).encode())
            return
        if server.challenge and authorization != server.accepted:
            self._answer(401, WWW_Authenticate=server.challenge)
            return
        self._route(url.path, {name: values[0] for name, values in parse_qs(url.query).items()}, body)

    do_GET = do_HEAD = do_POST = do_PUT = _handle  # noqa: N815

    def _route(self, path: str, query: dict[str, str], body: bytes) -> None:
        server = self.server
        if path == "/v2/":
            self._answer(200)
            return
        repository, _, rest = path.removeprefix("/v2/").partition("/blobs/")
        if rest == "uploads/" and self.command == "POST":
            if "mount" in query and (query["from"], query["mount"]) in server.blobs:
                server.blobs[repository, query["mount"]] = server.blobs[query["from"], query["mount"]]
                self._answer(201)
            else:
                prefix = f"http://{server.location_host}" if server.location_host else ""
                self._answer(202, Location=f"{prefix}/v2/{repository}/blobs/uploads/1?state=x")
        elif rest.startswith("uploads/"):
            right = f"sha256:{hashlib.sha256(body).hexdigest()}" == query["digest"] and query["state"] == "x"
            if right:
                server.blobs[repository, query["digest"]] = body
            self._answer(201 if right else 400)
        elif rest:
            self._answer(200 if (repository, rest) in server.blobs else 404)
        else:
            self._manifest(*path.removeprefix("/v2/").split("/manifests/"), body)

    def _manifest(self, repository: str, reference: str, body: bytes) -> None:
        server = self.server
        if self.command == "PUT":
            server.manifests[repository, reference] = body
            self._answer(201)
            return
        raw = server.manifests.get((repository, reference))
        if raw is None:
            self._answer(404)
        else:
            self._answer(200, raw, Docker_Content_Digest=f"sha256:{hashlib.sha256(raw).hexdigest()}")


@pytest.fixture
def registry_server() -> Iterator[FakeRegistry]:
    """An in-process registry; the end-to-end tests use a real one."""
    with FakeRegistry() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()
