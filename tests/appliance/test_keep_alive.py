"""Comments in a silent stream: between frames, never while one is written, never more than one behind a slow reader."""

import asyncio
import itertools
from collections.abc import MutableMapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.appliance.skipping_loop import run_skipping

from routeiq_appliance.api.http import Request
from routeiq_appliance.api.keep_alive import KeepAlive

_COMMENT = b": keep-alive\n\n"
_SECONDS = 10.0


class Wire:
    """Takes what is sent, one piece after the other, each `slow` seconds long; notes who writes when."""

    def __init__(self) -> None:
        self.slow = 0.0
        self.sent: list[tuple[float, bytes]] = []
        self.begun: list[bytes] = []
        self._turn = asyncio.Lock()

    @property
    def comments(self) -> int:
        return sum(data == _COMMENT for _, data in self.sent)

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.begun.append(message["body"])
        async with self._turn:
            if self.slow:
                await asyncio.sleep(self.slow)
            self.sent.append((asyncio.get_running_loop().time(), message["body"]))


def _request(wire: Wire) -> Request:
    return Request({"path": "/", "method": "POST", "headers": []}, None, wire.send, "id")  # type: ignore[arg-type]


async def _write(request: Request, alive: KeepAlive, frame: bytes) -> None:
    """As the data plane does."""
    alive.writing = True
    await request.write(frame)
    alive.writing, alive.written = False, True


def test_a_silent_stream_gets_a_comment_each_time_the_seconds_pass() -> None:
    async def main() -> None:
        wire = Wire()
        with KeepAlive(_request(wire), _SECONDS):
            await asyncio.sleep(35)
        assert [when for when, _ in wire.sent] == [10, 20, 30]
        assert {data for _, data in wire.sent} == {_COMMENT}

    run_skipping(main())


def test_a_stream_that_says_something_gets_none() -> None:
    async def main() -> None:
        wire = Wire()
        request = _request(wire)
        with KeepAlive(request, _SECONDS) as alive:
            for _ in range(20):
                await asyncio.sleep(9)
                await _write(request, alive, b"data: x\n\n")
        assert wire.comments == 0

    run_skipping(main())


def test_no_silence_is_longer_than_twice_the_seconds() -> None:
    async def main() -> None:
        wire = Wire()
        request = _request(wire)
        with KeepAlive(request, _SECONDS) as alive:
            for pause in (1, 25, 11, 19.5, 40, 3):
                await asyncio.sleep(pause)
                await _write(request, alive, b"data: x\n\n")
        times = [0.0, *(when for when, _ in wire.sent)]
        assert max(after - before for before, after in itertools.pairwise(times)) <= 2 * _SECONDS

    run_skipping(main())


def test_zero_seconds_switch_it_off() -> None:
    async def main() -> None:
        wire = Wire()
        with KeepAlive(_request(wire), 0):
            await asyncio.sleep(1000)
        assert wire.sent == []

    run_skipping(main())


def test_no_comment_begins_while_a_frame_is_written() -> None:
    async def main() -> None:
        wire = Wire()
        request = _request(wire)
        with KeepAlive(request, _SECONDS) as alive:
            wire.slow = 95
            await _write(request, alive, b"data: slow\n\n")
            assert wire.begun == [b"data: slow\n\n"]
            wire.slow = 0
            await asyncio.sleep(21)
        assert wire.comments == 1

    run_skipping(main())


def test_one_comment_at_most_waits_behind_a_slow_reader() -> None:
    async def main() -> None:
        wire = Wire()
        with KeepAlive(_request(wire), _SECONDS):
            wire.slow = 1000
            await asyncio.sleep(500)
            assert wire.begun == [_COMMENT]
            wire.slow = 0
            await asyncio.sleep(600)
            assert wire.comments > 2

    run_skipping(main())


def test_a_comment_that_waits_is_given_up_at_the_end() -> None:
    async def main() -> None:
        wire = Wire()
        request = _request(wire)
        with KeepAlive(request, _SECONDS):
            wire.slow = 1000
            await asyncio.sleep(15)
        wire.slow = 0
        await request.write(b"data: [DONE]\n\n", last=True)
        await asyncio.sleep(2000)
        assert [data for _, data in wire.sent] == [b"data: [DONE]\n\n"]

    run_skipping(main())


@pytest.mark.parametrize("error", [RuntimeError("the server is gone"), OSError("reset")])
def test_a_comment_that_cannot_be_written_disturbs_nobody(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        wire = Wire()
        request = _request(wire)

        async def fail(message: MutableMapping[str, Any]) -> None:
            wire.begun.append(message["body"])
            raise error

        request._send = fail
        with KeepAlive(request, _SECONDS):
            await asyncio.sleep(35)
        assert wire.begun == [_COMMENT] * 3

    run_skipping(main())
    assert caplog.records == []


@given(steps=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=12))
def test_whatever_the_pace_frames_keep_their_order_and_comments_stand_between_them(
    steps: list[tuple[int, int]],
) -> None:
    async def main() -> None:
        wire = Wire()
        request = _request(wire)
        frames = [b"data: %d\n\n" % number for number in range(len(steps))]
        with KeepAlive(request, _SECONDS) as alive:
            for frame, (pause, slow) in zip(frames, steps, strict=True):
                await asyncio.sleep(pause)
                wire.slow = slow
                await _write(request, alive, frame)
        await request.write(b"data: [DONE]\n\n", last=True)
        said = [data for _, data in wire.sent]
        assert [data for data in said if data != _COMMENT] == [*frames, b"data: [DONE]\n\n"]
        assert said[-1] == b"data: [DONE]\n\n"
        given_up = len(wire.begun) - len(said)  # the comment that still waited at the end
        assert given_up <= 1
        assert wire.begun[: len(said) - 1] == said[:-1]

    run_skipping(main())
