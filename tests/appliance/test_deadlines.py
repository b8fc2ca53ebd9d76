"""Four deadlines: the connection, a stream's first event, the pause between two, the whole. Each says which it was.

A deadline is the upstream's: the time that a slow caller takes is not.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Coroutine, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.appliance.deployments import deployment
from tests.appliance.skipping_loop import run_skipping

from routeiq_appliance.config.policy import CallPolicy
from routeiq_appliance.errors import UpstreamError
from routeiq_appliance.limits import DEFAULT_LIMITS
from routeiq_appliance.pipeline.attempt import Watchers
from routeiq_appliance.pipeline.call import Caller, Work
from routeiq_appliance.pipeline.route import Route
from routeiq_appliance.pipeline.types import Call, Decision, Deployment, Principal, Tally
from routeiq_appliance.routing.balance import make_balancer
from routeiq_appliance.routing.board import Board
from routeiq_appliance.routing.breaker import Health, State
from routeiq_appliance.routing.precedence import Strategies
from routeiq_appliance.routing.simple import DeclaredOrder
from routeiq_appliance.state.shared.memory import MemoryState
from routeiq_appliance.telemetry.tracing import NullTracer
from routeiq_appliance.upstreams.direct import DirectUpstream

_TIMES: dict[str, float] = {"timeout": 100, "first_token_timeout": 20, "stream_timeout": 10}
_BIT = 1 / 1024  # so that nothing happens at the very moment of a deadline


class Upstream:
    """Sends an event after each pause of `pauses` (seconds); a body after the first."""

    def __init__(self, pauses: Sequence[float]) -> None:
        self.pauses = pauses
        self.asked: list[str] = []
        self.closed = 0

    async def complete(self, member: Deployment, call: Call, headers: Any) -> dict[str, Any]:
        self.asked.append(member.id)
        try:
            await asyncio.sleep(self.pauses[0])
        finally:
            self.closed += 1
        return {"usage": {"prompt_tokens": 1, "completion_tokens": 1}}

    async def stream(
        self, member: Deployment, call: Call, headers: Any
    ) -> AsyncGenerator[dict[str, Any], None]:
        self.asked.append(member.id)
        try:
            for number, pause in enumerate(self.pauses):
                await asyncio.sleep(pause)
                yield {"n": number}
        finally:
            self.closed += 1


class Bench:
    """A caller whose clock is the loop's."""

    def __init__(self, pauses: Sequence[float], *members: Deployment, total: float = 1000.0) -> None:
        async def no_spend(_: Any) -> dict[tuple[str, int], int]:
            return {}

        self.members = members or (deployment("a", **_TIMES),)
        self.upstream = Upstream(pauses)
        self.health = Health([m.id for m in self.members], failures=1, seconds=1e9)
        self.board = Board()
        self.tally = Tally()
        self.clock = asyncio.get_running_loop().time
        route = Route(
            {"g": self.members}, ["g"], Strategies({"declared-order": DeclaredOrder()}, config=None, environment=None),
            make_balancer("order", board=self.board),
        )  # fmt: skip
        self._caller = Caller(
            self.upstream, route, CallPolicy(), Watchers(self.health, self.board, MemoryState(no_spend)),  # type: ignore[arg-type]
            total_seconds=total, clock=self.clock,
        )  # fmt: skip
        call = Call("c", "chat", "g", {}, {}, True, False, "", 10, datetime(2026, 1, 1, tzinfo=UTC))
        decision = Decision("g", self.members, "explicit", None, (("g", None),), "", None, 0.0)
        span = NullTracer().request({}, call_id=call.id)
        self._work = Work(Principal("k"), call, decision, self.tally, span, tokens=10)

    @property
    def counted(self) -> bool:
        """Whether a failure was counted against the first deployment."""
        assert self.board.running(self.members[0].id) == 0
        return self.health.breakers[self.members[0].id].state is State.OPEN

    async def body(self) -> dict[str, Any]:
        return await self._caller.complete(self._work)

    async def read(self, *, slowness: float = 0.0) -> int:
        """Read the stream, each event for so many seconds; return how many there were."""
        seen = 0
        events = await self._caller.open_stream(self._work)
        async with contextlib.aclosing(events):
            async for _ in events:
                seen += 1
                await asyncio.sleep(slowness)
        return seen


async def _fails(work: Coroutine[Any, Any, Any]) -> str:
    with pytest.raises(UpstreamError) as caught:
        await work
    assert (caught.value.status, caught.value.code) == (504, "upstream_timeout")
    return str(caught.value)


def test_a_stream_that_does_not_begin() -> None:
    async def main() -> None:
        bench = Bench([21])
        assert await _fails(bench.read()) == "the upstream did not begin to answer within 20 s"
        assert (bench.clock(), bench.upstream.closed, bench.counted) == (20, 1, True)
        assert not bench.tally.worked

    run_skipping(main())


def test_a_stream_that_falls_silent() -> None:
    async def main() -> None:
        bench = Bench([19, 9, 11])
        assert await _fails(bench.read()) == "the upstream sent nothing for 10 s"
        assert (bench.clock(), bench.upstream.closed, bench.counted) == (38, 1, True)

    run_skipping(main())


def test_a_stream_that_does_not_end() -> None:
    async def main() -> None:
        bench = Bench([9] * 20)
        assert await _fails(bench.read()) == "the upstream did not answer within 100 s"
        assert (bench.clock(), bench.upstream.closed, bench.counted) == (100, 1, True)

    run_skipping(main())


def test_a_body_that_does_not_come() -> None:
    async def main() -> None:
        bench = Bench([101])
        assert await _fails(bench.body()) == "the upstream did not answer within 100 s"
        assert (bench.clock(), bench.upstream.closed, bench.counted) == (100, 1, True)

    run_skipping(main())


@pytest.mark.parametrize("stream", [False, True])
def test_the_whole_of_a_call_is_over_all_attempts(stream: bool) -> None:
    async def main() -> None:
        members = [
            deployment(name, **{**_TIMES, "first_token_timeout": 100}, retries=5) for name in ("a", "b", "c")
        ]
        bench = Bench([101], *members, total=150)
        said = await _fails(bench.read() if stream else bench.body())
        assert bench.upstream.asked == ["a", "b"]
        assert (bench.clock(), bench.upstream.closed) == (150, 2)
        assert said == "the upstream did not answer within 50 s"

    run_skipping(main())


def test_deadlines_just_met_are_met() -> None:
    async def main() -> None:
        bench = Bench([19.9, *[9.9] * 5])
        assert await bench.read() == 6
        assert not bench.counted
        assert await Bench([99.9]).body()

    run_skipping(main())


def test_a_slow_caller_is_no_silent_upstream() -> None:
    async def main() -> None:
        bench = Bench([1, 1, 1], deployment("a", **{**_TIMES, "timeout": 10_000}), total=10_000)
        assert await bench.read(slowness=1000) == 3
        assert bench.clock() == 3003
        assert not bench.counted

    run_skipping(main())


def test_a_caller_who_takes_the_whole_time_ends_the_call_and_says_nothing_about_the_upstream() -> None:
    async def main() -> None:
        bench = Bench([1, 1, 1])
        assert await _fails(bench.read(slowness=60)) == "the upstream did not answer within 100 s"
        assert (bench.upstream.closed, bench.counted) == (1, False)
        assert bench.tally.worked

    run_skipping(main())


@given(pauses=st.lists(st.integers(0, 15), min_size=1, max_size=8), slowness=st.integers(0, 30))
def test_the_deadline_that_is_told_is_the_one_that_passed(pauses: list[int], slowness: int) -> None:
    async def main() -> tuple[float, str | None]:
        bench = Bench(
            [pause + _BIT for pause in pauses], deployment("a", **{**_TIMES, "first_token_timeout": 12})
        )
        said = None
        try:
            await bench.read(slowness=slowness)
        except UpstreamError as error:
            said = str(error)
        assert bench.upstream.closed == 1
        return bench.clock(), said

    clock, expected, late = 0.0, None, False
    for number, pause in enumerate(pauses):
        allowed = 12 if number == 0 else 10
        ends = min(clock + allowed, 100)
        late = clock + pause + _BIT > ends
        if late:
            expected = "whole" if clock + allowed >= 100 else ("first", "idle")[number > 0]
            clock = max(clock, ends)
            break
        clock += pause + _BIT + slowness
    else:
        expected = None
    said = {
        None: None,
        "first": "the upstream did not begin to answer within 12 s",
        "idle": "the upstream sent nothing for 10 s",
        "whole": "the upstream did not answer within 100 s",
    }[expected]
    assert run_skipping(main()) == (clock, said)


async def test_a_connection_that_does_not_stand() -> None:
    # A listener that takes nobody, with its queue full, answers no further connection.
    with socket.socket() as listener, contextlib.ExitStack() as queued:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(3):
            peer = queued.enter_context(socket.socket())
            peer.setblocking(False)
            peer.connect_ex(address)
        upstream = DirectUpstream(DEFAULT_LIMITS)
        member = replace(
            deployment("a", connect_timeout=0.05, timeout=30, first_token_timeout=30),
            params={"api_base": f"http://127.0.0.1:{address[1]}/v1"},
        )
        call = Call("c", "chat", "g", {}, {}, False, False, "", 10, datetime(2026, 1, 1, tzinfo=UTC))
        with pytest.raises(UpstreamError) as caught:
            await upstream.complete(member, call, {})
        await upstream.close()
    assert (caught.value.fault, caught.value.status) == ("unavailable", 502)
    assert str(caught.value) == "the upstream took no connection within 0.05 s"
