"""A composed gateway whose ledger, shared state, upstream and retries' sleep are the test's.

The upstream stops where a test wants it; ledger and shared state note what they are told, in one trail with what the
caller is sent.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.appliance.asgi_caller import AsgiCaller

from routeiq_appliance.config.policy import CallPolicy
from routeiq_appliance.pipeline.call import Caller
from routeiq_appliance.pipeline.types import Call, Deployment
from routeiq_appliance.state.shared.interface import Admission, Grant, Settlement, Verdict

__all__ = ["CHAT", "CONFIG", "EVENTS", "Bench", "Gateways", "Pause", "until"]

Gateways = Callable[..., AsyncGenerator[Any, None]]
CHAT = "/v1/chat/completions"
CONFIG = """
model_list:
  - model_name: small
    litellm_params: {model: openai/tiny, api_base: http://127.0.0.1:9/v1, rpm: 1000, max_retries: 1,
                     input_cost_per_token: 1e-6, output_cost_per_token: 2e-6}
    model_info: {id: small-1}
  - model_name: large
    litellm_params: {model: openai/big, api_base: http://127.0.0.1:9/v1, rpm: 1000, max_retries: 0,
                     input_cost_per_token: 1e-6, output_cost_per_token: 2e-6}
    model_info: {id: large-1}
routeiq: {egress: open, auto: {candidates: [small, large]}}
"""
_USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
_BODY = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}}], "usage": _USAGE}
EVENTS = (
    {"choices": [{"index": 0, "delta": {"content": "one "}}]},
    {"choices": [{"index": 0, "delta": {"content": "two"}, "finish_reason": "stop"}]},
    {"choices": [], "usage": _USAGE},
)


class Pause:
    """A place where something waits until the test lets it go on."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self, *_: Any) -> None:
        self.reached.set()
        await self.go_on.wait()


class Upstream:
    """Implements `Upstream`: answers, or what `script` says: errors, pauses, events."""

    def __init__(self) -> None:
        self.script: list[Any] = []
        """Of the next calls: errors and pauses in place of, or before, what it would answer."""
        self.asked: list[str] = []
        self.opened = self.closed = 0

    async def complete(self, deployment: Deployment, call: Call, headers: Any) -> dict[str, Any]:
        del call, headers
        self.asked.append(deployment.id)
        self.opened += 1
        try:
            while self.script:
                await _play(self.script.pop(0))
            return json.loads(json.dumps(_BODY))  # type: ignore[no-any-return]
        finally:
            self.closed += 1

    async def stream(
        self, deployment: Deployment, call: Call, headers: Any
    ) -> AsyncGenerator[dict[str, Any], None]:
        del call, headers
        self.asked.append(deployment.id)
        self.opened += 1
        try:
            for event in self.script or EVENTS:
                if isinstance(event, dict):
                    yield json.loads(json.dumps(event))
                else:
                    await _play(event)
        finally:
            self.closed += 1

    async def close(self) -> None:
        return


async def _play(step: Any) -> None:
    if isinstance(step, Exception):
        raise step
    await step()


class Ledger:
    """Keeps rows in memory, beside the real one."""

    def __init__(self, trail: list[str]) -> None:
        self.has_room = True
        self.rows: list[dict[str, Any]] = []
        self._trail = trail

    def record(self, row: bytes) -> None:
        self.rows.append(json.loads(row))
        self._trail.append("row")


class Shared:
    """The real shared state; notes what is granted and what is given back."""

    def __init__(self, real: Any, trail: list[str]) -> None:
        self.granted: list[Grant] = []
        self.settled: list[Settlement] = []
        self._real = real
        self._trail = trail

    async def admit(self, admission: Admission) -> Verdict:
        verdict: Verdict = await self._real.admit(admission)
        if verdict.grant is not None:
            self.granted.append(verdict.grant)
        return verdict

    def settle(self, settlement: Settlement) -> None:
        self.settled.append(settlement)
        self._trail.append("settled" if settlement.cost else "given back")
        self._real.settle(settlement)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@dataclass
class Bench:
    """A gateway whose ledger, shared state, upstream and retries' sleep are the test's."""

    running: Any
    upstream: Any = field(default_factory=Upstream)
    trail: list[str] = field(default_factory=list)
    slept: Pause = field(default_factory=Pause)

    def __post_init__(self) -> None:
        pipeline = self.running.gateway.pipeline
        watchers = pipeline.caller._watchers
        self.ledger = pipeline.ledger = Ledger(self.trail)
        self.shared = pipeline.shared = watchers.shared = Shared(pipeline.shared, self.trail)
        self.use(CallPolicy())

    def use(self, policy: CallPolicy, *, total_seconds: float = 60.0) -> None:
        """Call by `policy` from now."""
        pipeline = self.running.gateway.pipeline
        caller = Caller(
            self.upstream, pipeline.route, policy, pipeline.caller._watchers, total_seconds=total_seconds,
            draw=lambda low, high: high, sleep=self.slept,
        )  # fmt: skip
        pipeline.replace(pipeline.route, caller, pipeline.estimator)

    def call(self, *, key: str | None = None, **body: Any) -> AsgiCaller:
        """Return a call that is under way."""
        full = {"model": "small", "messages": [{"role": "user", "content": "hello"}], **body}
        headers = self.running.auth if key is None else {"authorization": f"Bearer {key}"}
        return AsgiCaller(self.running.gateway.app, CHAT, full, headers, trail=self.trail)

    def row(self) -> dict[str, Any]:
        """Return the one row there is, after checking that nothing of the call is held any more."""
        pipeline = self.running.gateway.pipeline
        assert len(self.ledger.rows) == 1
        assert pipeline.room.running == 0
        assert pipeline.metrics._running == [0, 0]
        board = pipeline.caller._watchers.board
        assert [board.running(name) for name in ("small-1", "large-1")] == [0, 0]
        given_back = sorted(id(settlement.grant) for settlement in self.shared.settled)
        assert given_back == sorted(id(grant) for grant in self.shared.granted)
        if isinstance(self.upstream, Upstream):
            assert self.upstream.opened == self.upstream.closed
        return self.ledger.rows[0]


async def until(condition: Callable[[], bool]) -> None:
    """Let the others run until `condition` holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0)
