"""What comes in before anybody knows who it is: bytes at a real port, under the options that production uses."""

import asyncio
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routeiq_appliance.api.http import Request
from routeiq_appliance.api.protocol import BoundedProtocol
from routeiq_appliance.errors import CallError
from routeiq_appliance.limits import DEFAULT_LIMITS

_LIMITS = replace(
    DEFAULT_LIMITS,
    request_head_bytes=8192,
    request_headers=20,
    request_head_seconds=0.2,
    request_idle_seconds=0.2,
    request_body_seconds=2.0,
    request_clock_seconds=0.05,
)


class _Quick(BoundedProtocol):
    limits = _LIMITS


async def _echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the size of the body; large answers on `/large`."""
    request = Request(scope, receive, send, "id")
    try:
        body = await request.body(1 << 20)
    except CallError as error:
        await request.reply(error.status, {"error": {"message": str(error)}})
        return
    await request.reply(
        200, {"size": len(body), "fill": "x" * 3_000_000 if scope["path"] == "/large" else ""}
    )


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        _echo, http=_Quick, ws="none", lifespan="off", log_config=None, access_log=False, interface="asgi3",
        timeout_graceful_shutdown=2,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server._serve(sockets=[listener])), daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


def _exchange(port: int, *pieces: bytes, half_close: bool = False, seconds: float = 10.0) -> bytes:
    """Send the pieces, then read until the peer closes."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as peer:
        try:
            for piece in pieces:
                peer.sendall(piece)
            if half_close:
                peer.shutdown(socket.SHUT_WR)
            while chunk := peer.recv(65536):
                answer += chunk
        except (ConnectionResetError, BrokenPipeError):
            pass  # it had enough
    return answer


def _head(*lines: str) -> bytes:
    return "\r\n".join(["POST / HTTP/1.1", "host: x", "connection: close", *lines, "", ""]).encode()


def _error(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return int(head.split(b" ")[1]), error["message"]


def test_an_ordinary_request_in_pieces_is_answered(port: int) -> None:
    request = _head("content-length: 5") + b"hello"
    assert b'{"size":5' in _exchange(port, *[request[i : i + 1] for i in range(len(request))])


def test_pipelined_requests_are_answered_in_order(port: int) -> None:
    first = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\na"
    answer = _exchange(port, first + _head("content-length: 2") + b"bb")
    assert answer.index(b'"size":1') < answer.index(b'"size":2')


def test_http_1_0_is_answered(port: int) -> None:
    assert _exchange(port, b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_a_head_that_never_ends_is_431(port: int) -> None:
    answer = _exchange(
        port, b"POST / HTTP/1.1\r\nx: ", b"y" * 8200
    )  # and no more: what comes after the end would reset it
    assert _error(answer) == (431, "the request's headers are too large")


def test_too_many_headers_are_400(port: int) -> None:
    assert _error(_exchange(port, _head(*[f"x-{n}: y" for n in range(30)])))[0] == 400


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS on a plain port
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nnot a size\r\n",
        b"\0" * 64,
    ],
)
def test_what_is_not_http_is_400_in_json(port: int, raw: bytes) -> None:
    status, message = _error(_exchange(port, raw))
    assert (status, message) == (400, "invalid HTTP request received")


def test_slow_loris_in_the_head_is_408(port: int) -> None:
    assert _error(_exchange(port, b"POST / HTTP/1.1\r\nhost: ")) == (
        408,
        "the request did not arrive in time",
    )


def test_a_connection_that_says_nothing_is_ended(port: int) -> None:
    assert _error(_exchange(port))[0] == 408


def test_slow_loris_in_the_body_is_408(port: int) -> None:
    assert _error(_exchange(port, _head("content-length: 100"), b"half"))[0] == 408


def test_a_half_closed_socket_is_let_go(port: int) -> None:
    # uvicorn takes the caller's FIN for a caller who left; what matters is that nothing hangs.
    answer = _exchange(port, _head("content-length: 100") + b"half", half_close=True)
    assert not answer or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 200"))


def test_a_slow_reader_gets_the_whole_answer(port: int) -> None:
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect(("127.0.0.1", port))
        peer.settimeout(10)
        peer.sendall(b"GET /large HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        size = 0
        while chunk := peer.recv(8192):
            size += len(chunk)
    assert size > 3_000_000


def test_a_keep_alive_connection_is_not_taken_for_a_slow_one(port: int) -> None:
    request = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\na"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
        for _ in range(3):
            peer.sendall(request)
            assert b'"size":1' in peer.recv(65536)
            waited = threading.Event()
            waited.wait(0.3)  # longer than a head may take: between requests there is none


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_any_bytes_get_an_answer_or_an_end(port: int, raw: bytes) -> None:
    began = time.monotonic()
    answer = _exchange(port, raw, half_close=True)
    assert not answer or answer.startswith(b"HTTP/1.1 ")
    assert b"HTTP/1.1 5" not in answer
    assert time.monotonic() - began < 30  # it ended: the socket's own timeout would have raised


def test_a_tls_client_on_the_plain_port_is_refused(port: int) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=10) as peer, pytest.raises(ssl.SSLError):
        context.wrap_socket(peer, server_hostname="x")
