"""Attempts and breakers together: a call's end counts for the state that it began in, and one call probes (G2)."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.appliance.deployments import deployment

from routeiq_appliance.config.policy import CallPolicy
from routeiq_appliance.errors import UpstreamError
from routeiq_appliance.pipeline.attempt import OpenAttempt, Watchers
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

FAILURES = 2


class Upstream:
    """Answers when `hold` is set; fails while `down`."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.down = False

    async def complete(self, deployment: Deployment, call: Call, headers: Any = None) -> dict[str, Any]:
        del call, headers
        self.asked.append(deployment.id)
        await self.hold.wait()
        if self.down:
            raise UpstreamError("unavailable", 503, "the upstream is down")
        return {"usage": {"prompt_tokens": 1, "completion_tokens": 1}}


class Bench:
    """A caller over one group `g`."""

    def __init__(self, *members: Deployment, seconds: float = 0.0) -> None:
        async def no_spend(_: Any) -> dict[tuple[str, int], int]:
            return {}

        self.upstream = Upstream()
        self.board = Board()
        self.shared = MemoryState(no_spend)
        self.health = Health([m.id for m in members], failures=FAILURES, seconds=seconds)
        self.watchers = Watchers(self.health, self.board, self.shared)
        strategies = Strategies({"declared-order": DeclaredOrder()}, config=None, environment=None)
        route = Route({"g": members}, ["g"], strategies, make_balancer("order", board=self.board))
        self.caller = Caller(self.upstream, route, CallPolicy(), self.watchers, total_seconds=60.0)  # type: ignore[arg-type]
        self.members = members
        self._calls = 0

    async def ask(self) -> dict[str, Any]:
        self._calls += 1
        call = Call(
            f"call-{self._calls}",
            "chat",
            "g",
            {},
            {},
            False,
            False,
            "why?",
            10,
            datetime(2026, 1, 1, tzinfo=UTC),
        )
        decision = Decision("g", self.members, "explicit", None, (("g", None),), "", None, 0.0)
        span = NullTracer().request({}, call_id=call.id)
        return await self.caller.complete(Work(Principal("k"), call, decision, Tally(), span, tokens=10))

    def attempt(self, member: Deployment) -> OpenAttempt:
        span = NullTracer().request({}, call_id="x").attempt(member)
        return OpenAttempt(self.watchers, member, Tally(), span, None)

    def open(self, member: Deployment) -> None:
        for _ in range(FAILURES):
            self.attempt(member).failed(UpstreamError("broken", 502, "garbage"), may_rest=False)
        assert self.health.breakers[member.id].state is State.OPEN


def test_a_slow_call_from_before_neither_closes_the_breaker_nor_frees_the_probes_place() -> None:
    member = deployment("a")
    bench = Bench(member)
    slow, left = bench.attempt(member), bench.attempt(member)
    bench.open(member)
    probe = bench.attempt(member)
    slow.answered()
    left.abandoned()
    breaker = bench.health.breakers["a"]
    assert breaker.state is State.HALF_OPEN
    assert bench.health.available("a", 1e12) == "breaker open"
    probe.answered()
    assert breaker.state is State.CLOSED
    assert bench.board.running("a") == 0


@pytest.mark.parametrize("limits", [{}, {"parallel": 100}], ids=["unlimited", "asked for its limits first"])
async def test_of_many_calls_at_once_one_probes(limits: dict[str, int]) -> None:
    member = deployment("a", **limits)
    bench = Bench(member)
    bench.open(member)
    bench.upstream.hold.clear()
    calls = [asyncio.create_task(bench.ask()) for _ in range(20)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert bench.upstream.asked == ["a"]
    bench.upstream.hold.set()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(answer, dict) for answer in answers) == 1
    assert {str(e) for e in answers if not isinstance(e, dict)} == {
        "no deployment of the model can take a call at the moment"
    }
    # Nothing is held of its limits.
    await asyncio.gather(*(bench.ask() for _ in range(100)))


async def test_a_probe_whose_place_was_taken_while_its_limits_were_asked_goes_elsewhere() -> None:
    first = deployment("a", parallel=1, retries=1)
    bench = Bench(first, deployment("b", order=1))
    bench.open(first)
    asked = bench.shared.admit

    async def slow(admission: Any) -> Any:
        verdict = await asked(admission)
        bench.attempt(first)  # another call's probe began meanwhile
        return verdict

    bench.shared.admit = slow  # type: ignore[method-assign]
    await bench.ask()
    assert bench.upstream.asked == ["b"]
    bench.shared.admit = asked  # type: ignore[method-assign]
    scope = bench.caller._scopes["a"]
    state = bench.shared._limits._scopes[scope.name]
    assert not state.leases  # given back


async def test_a_caller_who_leaves_the_probe_lets_the_next_try() -> None:
    bench = Bench(deployment("a"))
    bench.open(bench.members[0])
    bench.upstream.hold.clear()
    leaving = asyncio.create_task(bench.ask())
    for _ in range(5):
        await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    bench.upstream.hold.set()
    await bench.ask()
    assert bench.health.breakers["a"].state is State.CLOSED
