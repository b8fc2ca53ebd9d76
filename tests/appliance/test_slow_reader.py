"""A caller who does not read a long stream: the gateway keeps little, and the upstream waits (C1).

What is measured are buffers, at the moment when nothing moves any more.
"""

import asyncio
import json
import re
import socket
from dataclasses import replace

import pytest
from tests.appliance.call_bench import Gateways, until
from tests.appliance.socket_bench import (
    SSE_HEAD,
    RawUpstream,
    Script,
    SocketBench,
    serve_bench,
    small_socket,
    sse,
)

from routeiq_appliance.limits import DEFAULT_LIMITS

_HIGH_WATER = 65536  # uvicorn's and asyncio's


async def _standstill(served: SocketBench) -> None:
    """Return when both ends wait, and have for many turns of the loop."""
    still = 0
    before = -1
    async with asyncio.timeout(20):
        while still < 200:
            await asyncio.sleep(0)
            waits = served.upstream.stuck and bool(served.protocols) and served.protocols[0].flow.write_paused
            still = still + 1 if waits and served.upstream.written == before else 0
            before = served.upstream.written


def _endless(event: bytes, at_once: int) -> Script:
    async def play(upstream: RawUpstream, writer: asyncio.StreamWriter) -> None:
        writer.write(SSE_HEAD)
        while True:
            await upstream.write(writer, event * at_once)

    return play


@pytest.mark.parametrize(
    ("event", "at_once"),
    [
        (sse("x" * 1000), 10),
        (b'data: {"choices":[]}\n\n', 1000),
        (b"data: {}\n\n", 20_000),
        (sse("x" * 300_000), 1),
    ],
    ids=["ordinary events", "small events", "tiny events in large chunks", "large events"],
)
async def test_memory_behind_a_caller_who_does_not_read_is_bounded(
    run_gateway: Gateways, event: bytes, at_once: int
) -> None:
    async with serve_bench(run_gateway, _endless(event, at_once)) as served:
        with small_socket() as peer:
            await served.ask(peer)
            await _standstill(served)
            # To the caller: what is above the high water mark, by one event at most, and what a turn gathers.
            # From the upstream: twice what aiohttp reads ahead, and a read.
            event_bytes = len(event) + 100
            bound = 2 * (_HIGH_WATER + event_bytes) + 2 * DEFAULT_LIMITS.upstream_buffer_bytes + 2 * 65536
            assert 0 < served.kept() <= bound
        await _given_up(served)


async def _given_up(served: SocketBench) -> None:
    await asyncio.wait_for(served.upstream.left.wait(), 10)
    await until(lambda: bool(served.bench.ledger.rows))
    await until(lambda: served.bench.running.gateway.pipeline.room.running == 0)
    row = served.bench.row()
    assert (row["status"], row["outcome"], row["estimated"]) == (499, "caller_left", True)


async def test_a_caller_who_never_reads_does_not_hold_its_slot_for_ever(run_gateway: Gateways) -> None:
    quick = replace(DEFAULT_LIMITS, response_idle_seconds=0.1, request_clock_seconds=0.02)
    script = _endless(sse("x" * 1000), 10)
    async with serve_bench(run_gateway, script, limits=quick) as served:
        with small_socket() as peer:
            await served.ask(peer)
            await _given_up(served)
            assert served.protocols[0].transport.is_closing()


async def test_a_slow_reader_gets_every_event_in_order(run_gateway: Gateways) -> None:
    texts = [f"{number:04d}" + "x" * 2000 for number in range(1000)]

    async def play(upstream: RawUpstream, writer: asyncio.StreamWriter) -> None:
        writer.write(SSE_HEAD)
        for text in texts:
            await upstream.write(writer, sse(text))
        await upstream.write(writer, sse("", finish_reason="stop") + b"data: [DONE]\n\n")
        writer.write_eof()

    async with serve_bench(run_gateway, play) as served:
        loop = asyncio.get_running_loop()
        said = b""
        with small_socket() as peer:
            await served.ask(peer, stream_options={"include_usage": True})
            await _standstill(served)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            async with asyncio.timeout(10):
                while not said.endswith(b"\r\n0\r\n\r\n"):
                    said += await loop.sock_recv(peer, 65536)
        told = [json.loads(frame) for frame in re.findall(rb"data: (\{.*\})\n\n", said)]
        assert [event["choices"][0]["delta"]["content"] for event in told] == [*texts, ""]
        await until(lambda: served.bench.running.gateway.pipeline.room.running == 0)
        assert served.bench.row()["outcome"] == "answered"
