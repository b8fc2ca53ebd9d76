"""A caller who closes the connection, or half of it, ends the upstream's work, wherever the call is (C1, D9)."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
from tests.appliance.call_bench import Gateways, until
from tests.appliance.socket_bench import SSE_HEAD, RawUpstream, SocketBench, serve_bench, small_socket, sse

from routeiq_appliance.config.policy import CallPolicy

_FAILED = (
    b"HTTP/1.1 500 No\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"
)


def _close(peer: socket.socket) -> None:
    peer.close()


def _reset(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()


def _half_close(peer: socket.socket) -> None:
    peer.shutdown(socket.SHUT_WR)


Leaving = Callable[[socket.socket], None]
_LEAVING = pytest.mark.parametrize(
    "leave", [_close, _reset, _half_close], ids=["closes", "resets", "half-closes"]
)


async def _silent(upstream: RawUpstream, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def _one_event(upstream: RawUpstream, writer: asyncio.StreamWriter) -> None:
    writer.write(SSE_HEAD + sse("hello"))
    await asyncio.Event().wait()


async def _fails(upstream: RawUpstream, writer: asyncio.StreamWriter) -> None:
    writer.write(_FAILED)


async def _over(served: SocketBench) -> dict[str, Any]:
    """Return the call's row once everything of it is freed."""
    await until(lambda: bool(served.bench.ledger.rows))
    await until(lambda: served.bench.running.gateway.pipeline.room.running == 0)
    return served.bench.row()


@_LEAVING
@pytest.mark.parametrize("stream", [False, True], ids=["body", "stream"])
async def test_before_the_first_byte(run_gateway: Gateways, leave: Leaving, stream: bool) -> None:
    async with serve_bench(run_gateway, _silent) as served:
        with small_socket() as peer:
            await served.ask(peer, stream=stream)
            await until(lambda: bool(served.upstream.requests))
            leave(peer)
            await asyncio.wait_for(served.upstream.left.wait(), 10)
            row = await _over(served)
    assert (row["status"], row["outcome"], row["estimated"]) == (499, "caller_left", True)


@_LEAVING
async def test_in_mid_stream(run_gateway: Gateways, leave: Leaving) -> None:
    async with serve_bench(run_gateway, _one_event) as served:
        loop = asyncio.get_running_loop()
        with small_socket() as peer:
            await served.ask(peer)
            said = b""
            while b"hello" not in said:
                said += await loop.sock_recv(peer, 4096)
            leave(peer)
            await asyncio.wait_for(served.upstream.left.wait(), 10)
            row = await _over(served)
    assert (row["status"], row["outcome"]) == (499, "caller_left")
    assert (row["completion_tokens"], row["estimated"]) == (1, True)


@_LEAVING
@pytest.mark.parametrize("stream", [False, True], ids=["body", "stream"])
async def test_in_the_pause_before_a_retry(run_gateway: Gateways, leave: Leaving, stream: bool) -> None:
    async with serve_bench(run_gateway, _fails) as served:
        with small_socket() as peer:
            await served.ask(peer, stream=stream)
            await served.bench.slept.reached.wait()
            leave(peer)
            row = await _over(served)
        assert len(served.upstream.requests) == 1
    assert (row["status"], row["outcome"], row["attempts"], row["cost"]) == (499, "caller_left", 1, 0)


@_LEAVING
async def test_on_the_way_to_a_fallback(run_gateway: Gateways, leave: Leaving) -> None:
    async def fails_then_is_silent(upstream: RawUpstream, writer: asyncio.StreamWriter) -> None:
        await (_fails if len(upstream.requests) < 3 else _silent)(upstream, writer)

    policy = CallPolicy(fallbacks={"small": ("large",)})
    async with serve_bench(run_gateway, fails_then_is_silent, policy=policy) as served:
        served.bench.slept.go_on.set()
        with small_socket() as peer:
            await served.ask(peer)
            await until(lambda: len(served.upstream.requests) == 3)
            leave(peer)
            await asyncio.wait_for(served.upstream.left.wait(), 10)
            row = await _over(served)
    assert (row["group"], row["outcome"], row["attempts"]) == ("large", "caller_left", 3)


@_LEAVING
async def test_while_it_still_sends_its_request(run_gateway: Gateways, leave: Leaving) -> None:
    async with serve_bench(run_gateway, _silent) as served:
        loop = asyncio.get_running_loop()
        with small_socket() as peer:
            await loop.sock_connect(peer, ("127.0.0.1", served.port))
            head = f"POST /v1/chat/completions HTTP/1.1\r\nauthorization: {served.bench.running.auth['authorization']}"
            await loop.sock_sendall(peer, f"{head}\r\ncontent-length: 100\r\n\r\nhalf".encode())
            await until(lambda: bool(served.protocols) and served.protocols[0].cycle is not None)
            leave(peer)
            await until(served.protocols[0].transport.is_closing)
        pipeline = served.bench.running.gateway.pipeline
        assert (pipeline.room.running, served.bench.ledger.rows, served.upstream.requests) == (0, [], [])


async def test_a_caller_who_stays_is_answered_by_the_retry(run_gateway: Gateways) -> None:
    async def fails_once(upstream: RawUpstream, writer: asyncio.StreamWriter) -> None:
        if len(upstream.requests) == 1:
            return await _fails(upstream, writer)
        writer.write(SSE_HEAD + sse("hello", finish_reason="stop") + b"data: [DONE]\n\n")
        writer.write_eof()
        return None

    async with serve_bench(run_gateway, fails_once) as served:
        loop = asyncio.get_running_loop()
        served.bench.slept.go_on.set()
        with small_socket() as peer:
            await served.ask(peer)
            said = b""
            while b"[DONE]" not in said:
                said += await loop.sock_recv(peer, 4096)
            row = await _over(served)
    assert (row["status"], row["attempts"]) == (200, 2)
    assert said.startswith(b"HTTP/1.1 200")
