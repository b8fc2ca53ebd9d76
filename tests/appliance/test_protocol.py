"""A peer against the clock and the buffers of its connection; no socket, and the clock is the test's.

What real sockets do at the door is `test_door`'s.
"""

import asyncio
from typing import Any

import pytest
import uvicorn
from tests.appliance.skipping_loop import run_skipping
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.server import ServerState

from routeiq_appliance.api.protocol import BoundedProtocol
from routeiq_appliance.limits import DEFAULT_LIMITS

_CLOCK = DEFAULT_LIMITS.request_clock_seconds
_HEAD = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n"


class Transport:
    """A connection; `waiting` is what its peer has not taken, `closed_at` when we had enough of it."""

    def __init__(self, *, takes: bool = True) -> None:
        self.takes = takes
        self.waiting = 0
        self.writes: list[bytes] = []
        self.reading = True
        self.closed_at: float | None = None
        self.aborted_at: float | None = None

    @property
    def written(self) -> bytes:
        return b"".join(self.writes)

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        self.waiting += 0 if self.takes else len(data)

    def close(self) -> None:
        if self.closed_at is None:
            self.closed_at = asyncio.get_running_loop().time()

    def abort(self) -> None:
        self.aborted_at = asyncio.get_running_loop().time()

    def is_closing(self) -> bool:
        return self.closed_at is not None or self.aborted_at is not None

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_extra_info(self, name: str) -> Any:
        return None


async def _hold(scope: Any, receive: Any, send: Any) -> None:
    """Read nothing, answer nothing."""
    await asyncio.Event().wait()


def _connect(transport: Transport, app: Any = _hold) -> BoundedProtocol:
    config = uvicorn.Config(app, loop="none", lifespan="off", ws="none", log_config=None, interface="asgi3")
    config.load()
    protocol = BoundedProtocol(config, ServerState(), {}, asyncio.get_running_loop())
    protocol.connection_made(transport)  # type: ignore[arg-type]
    return protocol


async def _ended(protocol: BoundedProtocol, transport: Transport, status: bytes, *, after: float) -> None:
    """Assert that the peer was refused within one look after `after` seconds."""
    await asyncio.sleep(2 * _CLOCK)
    protocol.connection_lost(None)
    assert transport.closed_at is not None
    assert after < transport.closed_at <= after + _CLOCK
    assert transport.written.startswith(b"HTTP/1.1 " + status)
    await asyncio.sleep(0)


@pytest.mark.parametrize("every", [1.0, 29.0])
def test_a_head_that_trickles_in_has_its_time_and_no_more(every: float) -> None:
    async def main() -> None:
        transport = Transport()
        protocol = _connect(transport)
        loop = asyncio.get_running_loop()
        head = iter(_HEAD)
        while loop.time() <= DEFAULT_LIMITS.request_head_seconds:
            protocol.data_received(bytes([next(head)]))
            await asyncio.sleep(every)
        await _ended(protocol, transport, b"408", after=DEFAULT_LIMITS.request_head_seconds)

    run_skipping(main())


def test_a_body_that_trickles_in_has_its_time_and_no_more() -> None:
    async def main() -> None:
        transport = Transport()
        protocol = _connect(transport)
        protocol.data_received(_HEAD + b"\r\n")
        loop = asyncio.get_running_loop()
        while loop.time() <= DEFAULT_LIMITS.request_body_seconds:
            assert not transport.is_closing()
            protocol.data_received(b"x")
            await asyncio.sleep(20)
        await _ended(protocol, transport, b"408", after=DEFAULT_LIMITS.request_body_seconds)

    run_skipping(main())


def test_a_body_that_stops_is_refused_sooner() -> None:
    async def main() -> None:
        transport = Transport()
        protocol = _connect(transport)
        protocol.data_received(_HEAD + b"\r\n")
        await asyncio.sleep(20)
        protocol.data_received(b"x")
        await asyncio.sleep(DEFAULT_LIMITS.request_idle_seconds)
        assert not transport.is_closing()
        await _ended(protocol, transport, b"408", after=20 + DEFAULT_LIMITS.request_idle_seconds)

    run_skipping(main())


def test_the_wait_is_ours_while_reading_is_paused() -> None:
    async def main() -> None:
        transport = Transport()
        protocol = _connect(transport)
        protocol.data_received(_HEAD.replace(b"1000", b"1000000") + b"\r\n" + b"x" * (HIGH_WATER_LIMIT + 1))
        assert not transport.reading
        await asyncio.sleep(10_000)
        assert not transport.is_closing()
        protocol.connection_lost(None)

    run_skipping(main())


def test_a_call_under_way_and_a_connection_between_two_are_not_slow() -> None:
    async def main() -> None:
        transport = Transport()
        protocol = _connect(transport)
        protocol.data_received(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await asyncio.sleep(10_000)
        assert not transport.is_closing()
        protocol.connection_lost(None)

    run_skipping(main())


def test_nothing_is_put_into_an_answer_that_has_begun() -> None:
    async def main() -> None:
        async def begin(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"part", "more_body": True})
            await asyncio.Event().wait()

        transport = Transport()
        protocol = _connect(transport, begin)
        protocol.data_received(_HEAD + b"\r\n")
        await asyncio.sleep(2 * DEFAULT_LIMITS.request_idle_seconds)
        assert transport.closed_at is not None
        assert transport.written.count(b"HTTP/1.1") == 1
        assert b"408" not in transport.written
        protocol.connection_lost(None)
        await asyncio.sleep(0)

    run_skipping(main())


@pytest.mark.parametrize("closing", [False, True], ids=["open", "closing"])
def test_who_takes_a_little_is_waited_for_and_who_takes_nothing_is_not(closing: bool) -> None:
    async def main() -> None:
        transport = Transport()
        protocol = _connect(transport)
        protocol.data_received(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        transport.waiting = 1_000_000
        if closing:
            transport.close()
        for _ in range(20):
            await asyncio.sleep(DEFAULT_LIMITS.response_idle_seconds)
            transport.waiting -= 1
        assert not transport.aborted_at
        since = asyncio.get_running_loop().time()
        await asyncio.sleep(1000)
        assert transport.aborted_at is not None
        assert 0 < transport.aborted_at - since <= DEFAULT_LIMITS.response_idle_seconds + 2 * _CLOCK
        protocol.connection_lost(None)

    run_skipping(main())


# What is gathered


def test_pieces_of_one_turn_are_written_together_and_in_order() -> None:
    async def main() -> None:
        transport = Transport()
        protocol = _connect(transport)
        for piece in (b"a", b"b", b"c"):
            protocol.transport.write(piece)
        assert transport.writes == []
        await asyncio.sleep(0)
        assert transport.writes == [b"abc"]
        protocol.transport.write(b"d")
        protocol.transport.close()
        assert transport.writes == [b"abc", b"d"]
        assert transport.closed_at is not None
        protocol.connection_lost(None)

    run_skipping(main())


def test_what_would_be_much_is_written_at_once() -> None:
    async def main() -> None:
        transport = Transport()
        protocol = _connect(transport)
        piece = b"x" * 1000
        for _ in range(1000):
            protocol.transport.write(piece)
            assert len(transport.written) <= 1000 * 1000
        assert len(transport.written) > 1000 * 1000 - HIGH_WATER_LIMIT
        assert max(map(len, transport.writes)) <= HIGH_WATER_LIMIT + len(piece)
        protocol.transport.write(b"end")
        await asyncio.sleep(0)
        assert transport.written == piece * 1000 + b"end"
        protocol.connection_lost(None)

    run_skipping(main())
