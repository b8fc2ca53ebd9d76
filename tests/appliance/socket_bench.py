"""A composed gateway on a port, its upstream on another, its callers raw sockets: all in one event loop.

So a test sees both ends of every connection, and what the gateway keeps between them.
"""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from tests.appliance.call_bench import CHAT, CONFIG, Bench, Gateways

from routeiq_appliance.api.protocol import BoundedProtocol
from routeiq_appliance.config.policy import CallPolicy
from routeiq_appliance.limits import DEFAULT_LIMITS, Limits
from routeiq_appliance.upstreams.direct import DirectUpstream

__all__ = ["SSE_HEAD", "RawUpstream", "Script", "SocketBench", "serve_bench", "small_socket", "sse"]

Script = Callable[["RawUpstream", asyncio.StreamWriter], Awaitable[None]]
SSE_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


def sse(text: str, **more: Any) -> bytes:
    """Return an event of a chat's stream."""
    choice = {"index": 0, "delta": {"content": text}, **more}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


class RawUpstream:
    """Plays `script` for each request; `left` is set when the gateway closes the connection."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[bytes] = []
        self.left = asyncio.Event()
        self.written = 0
        self.stuck = False
        """Whether it waits for the gateway to read."""

    async def write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        """Write, and wait while the gateway does not read."""
        writer.write(data)
        self.written += len(data)
        self.stuck = True
        await writer.drain()
        self.stuck = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            self.requests.append(head + await reader.readexactly(size))
            playing = asyncio.ensure_future(self.script(self, writer))
            try:
                while await reader.read(65536):
                    pass
            finally:
                playing.cancel()
        except OSError:
            pass
        finally:
            self.left.set()
            writer.close()


class SocketBench:
    """What runs; `bench` is the gateway's, `protocols` are the connections of callers."""

    def __init__(self, bench: Bench, upstream: RawUpstream, port: int) -> None:
        self.bench = bench
        self.upstream = upstream
        self.port = port
        self.protocols: list[BoundedProtocol] = []
        self.direct: DirectUpstream | None = None

    async def ask(self, peer: socket.socket, **body: Any) -> None:
        """Connect `peer` and send a request for a stream."""
        loop = asyncio.get_running_loop()
        await loop.sock_connect(peer, ("127.0.0.1", self.port))
        full = {"model": "small", "messages": [{"role": "user", "content": "hello"}], "stream": True, **body}
        raw = json.dumps(full).encode()
        head = (
            f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: {self.bench.running.auth['authorization']}\r\n"
            f"content-length: {len(raw)}\r\n\r\n"
        )
        await loop.sock_sendall(peer, head.encode() + raw)

    def kept(self) -> int:
        """Bytes that the gateway keeps between the first caller and the upstream."""
        assert self.direct is not None
        assert self.direct._session is not None
        transport: Any = self.protocols[0].transport
        kept = transport.get_write_buffer_size() + sum(map(len, transport._pieces))
        connector: Any = self.direct._session.connector
        for connection in connector._acquired:
            kept += getattr(connection._payload, "_size", 0) if connection._payload is not None else 0
        return int(kept)


def small_socket() -> socket.socket:
    """Return a caller's socket that takes little before it is read."""
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.setblocking(False)
    return peer


def _listener() -> socket.socket:
    """Return a listener whose connections' own buffers are small, so that they are soon full."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
    return listener


def _noted(protocols: list[BoundedProtocol], bounds: Limits) -> type[BoundedProtocol]:
    class Noted(BoundedProtocol):
        limits = bounds

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            protocols.append(self)

    return Noted


@asynccontextmanager
async def serve_bench(
    run_gateway: Gateways,
    script: Script,
    *,
    limits: Limits = DEFAULT_LIMITS,
    policy: CallPolicy | None = None,
) -> AsyncIterator[SocketBench]:
    """Run all three; `script` is the upstream's."""
    upstream = RawUpstream(script)
    server = await asyncio.start_server(upstream.serve, sock=_listener())
    config = CONFIG.replace("127.0.0.1:9/", f"127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    gateways: AsyncGenerator[Any, None] = run_gateway(config, ROUTEIQ_BREAKER_FAILURES=1000)
    async for running in gateways:
        bench = Bench(running)
        listener = _listener()
        served = SocketBench(bench, upstream, listener.getsockname()[1])
        served.direct = bench.upstream = DirectUpstream(limits)
        bench.use(policy or CallPolicy())
        options = uvicorn.Config(
            running.gateway.app, http=_noted(served.protocols, limits), ws="none", lifespan="off", log_config=None,
            access_log=False, timeout_graceful_shutdown=2, interface="asgi3",
        )  # fmt: skip
        front = uvicorn.Server(options)
        task = asyncio.create_task(front._serve(sockets=[listener]))
        try:
            yield served
        finally:
            front.should_exit = True
            await task
            await served.direct.close()
            server.close()
