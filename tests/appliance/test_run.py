"""One call through the whole pipeline: what happens in which order, and that whatever happens is settled once."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any

import pytest
from tests.appliance.asgi_caller import AsgiCaller
from tests.appliance.call_bench import CHAT, CONFIG, EVENTS, Bench, Gateways, Pause, until

from routeiq_appliance.config.policy import CallPolicy
from routeiq_appliance.errors import UpstreamError
from routeiq_appliance.routing.interface import Choice, Terms


@pytest.fixture
async def bench(run_gateway: Gateways) -> AsyncGenerator[Bench, None]:
    async for running in run_gateway(CONFIG, ROUTEIQ_BREAKER_FAILURES=1000):
        yield Bench(running)


# The order


async def test_a_body_is_accounted_for_before_any_of_it_is_sent(bench: Bench) -> None:
    call = bench.call()
    await call.task
    assert bench.trail == ["given back", "row", "head", "last", "settled"]
    assert bench.row()["status"] == 200


async def test_a_stream_is_accounted_for_before_its_last_byte(bench: Bench) -> None:
    call = bench.call(stream=True)
    await call.task
    assert bench.trail == ["head", "part", "part", "given back", "row", "last", "settled"]
    assert call.parts[-1] == b"data: [DONE]\n\n"


async def test_a_stream_without_an_end_mark_is_accounted_for_before_its_last_event(bench: Bench) -> None:
    end = {"type": "response.completed", "response": {"usage": {"input_tokens": 3, "output_tokens": 2}}}
    bench.upstream.script = [{"type": "response.output_text.delta", "delta": "hi"}, end]
    call = AsgiCaller(
        bench.running.gateway.app, "/v1/responses", {"model": "small", "input": "x", "stream": True},
        bench.running.auth, trail=bench.trail,
    )  # fmt: skip
    await call.task
    assert bench.trail == ["head", "part", "given back", "row", "last", "settled"]
    assert b"response.completed" in call.parts[-1]
    assert (bench.row()["prompt_tokens"], bench.row()["completion_tokens"]) == (3, 2)


async def test_events_after_what_looked_like_the_end_keep_their_order(bench: Bench) -> None:
    kinds = ["response.created", "response.completed", "response.output_text.delta", "response.completed"]
    bench.upstream.script = [{"type": kind, "n": number} for number, kind in enumerate(kinds)]
    call = AsgiCaller(
        bench.running.gateway.app, "/v1/responses", {"model": "small", "input": "x", "stream": True},
        bench.running.auth, trail=bench.trail,
    )  # fmt: skip
    await call.task
    lines = [line for line in call.body.decode().split("\n") if line.startswith("data: ")]
    assert [json.loads(line[6:])["n"] for line in lines] == [0, 1, 2, 3]
    assert bench.trail[-3:] == ["row", "last", "settled"]


async def test_a_stream_that_breaks_off_is_accounted_for_before_its_error(bench: Bench) -> None:
    bench.upstream.script = [*EVENTS[:1], UpstreamError("broken", 502, "it broke off")]
    call = bench.call(stream=True)
    await call.task
    assert bench.trail == ["head", "part", "given back", "row", "last", "settled"]
    assert b'"code":"bad_upstream"' in call.parts[-1]
    row = bench.row()
    assert (row["status"], row["outcome"], row["estimated"]) == (502, "bad_upstream", True)


async def test_an_error_is_accounted_for_before_it_is_told(bench: Bench) -> None:
    bench.upstream.script = [UpstreamError("caller", 400, "no such thing")]
    call = bench.call()
    await call.task
    assert bench.trail == ["given back", "row", "given back", "head", "last"]
    assert (bench.row()["status"], bench.row()["cost"]) == (400, 0)


async def test_the_slot_is_held_until_the_caller_has_read_the_last_byte(bench: Bench) -> None:
    room = bench.running.gateway.pipeline.room
    call = await _up_to_the_last_byte(bench)
    assert bench.trail[-1] == "row"
    assert room.running == 1
    call.reading.set()
    await call.task
    assert room.running == 0
    assert bench.row()["outcome"] == "answered"


async def _up_to_the_last_byte(bench: Bench) -> AsgiCaller:
    pause = Pause()
    bench.upstream.script = [*EVENTS[:2], pause, EVENTS[2]]
    call = bench.call(stream=True)
    await call.sent(2)
    call.reading.clear()
    pause.go_on.set()
    await until(lambda: call.waiting == 1)
    return call


# Whatever happens


async def _left_before_the_first_byte(bench: Bench, stream: bool) -> None:
    pause = Pause()
    bench.upstream.script = [pause]
    call = bench.call(stream=stream)
    await pause.reached.wait()
    call.leave()
    await call.task
    assert call.trail[0] == "given back"
    assert not call.status


async def _left_between_two_events(bench: Bench, stream: bool) -> None:
    bench.upstream.script = [EVENTS[0], Pause()]
    call = bench.call(stream=True)
    await call.sent(1)
    call.leave()
    await call.task
    assert "last" not in call.trail


async def _left_with_events_that_it_did_not_read(bench: Bench, stream: bool) -> None:
    call = bench.call(stream=True)
    call.reading.clear()
    await until(lambda: call.waiting == 1)
    call.leave()
    await call.task


async def _left_in_the_pause_before_a_retry(bench: Bench, stream: bool) -> None:
    bench.upstream.script = [UpstreamError("broken", 502, "it broke off")]
    call = bench.call(stream=stream)
    await bench.slept.reached.wait()
    call.leave()
    await call.task
    assert bench.upstream.asked == ["small-1"]


async def _left_while_the_strategy_decides(bench: Bench, stream: bool) -> None:
    pause = Pause()

    class Slow:
        name = "slow"

        async def choose(self, prompt: str, candidates: tuple[str, ...], terms: Terms) -> Choice:
            await pause()
            raise AssertionError("nobody waits for the choice")

    strategies = bench.running.gateway.pipeline.route.strategies
    strategies._available = {"slow": Slow()}
    body = {"model": "auto", "messages": [{"role": "user", "content": "hello"}], "stream": stream}
    headers = {**bench.running.auth, "x-routeiq-strategy": "slow"}
    call = AsgiCaller(bench.running.gateway.app, CHAT, body, headers, trail=bench.trail)
    await pause.reached.wait()
    call.leave()
    await call.task
    assert bench.upstream.asked == []


Scene = Callable[[Bench, bool], Awaitable[None]]
_LEAVING: tuple[Scene, ...] = (
    _left_before_the_first_byte,
    _left_between_two_events,
    _left_with_events_that_it_did_not_read,
    _left_in_the_pause_before_a_retry,
    _left_while_the_strategy_decides,
)


@pytest.mark.parametrize("stream", [False, True], ids=["body", "stream"])
@pytest.mark.parametrize("scene", _LEAVING, ids=lambda scene: scene.__name__.strip("_"))
async def test_a_caller_who_leaves_is_settled_once(bench: Bench, scene: Scene, stream: bool) -> None:  # D9
    await scene(bench, stream)
    row = bench.row()
    assert (row["status"], row["outcome"]) == (499, "caller_left")
    worked = bench.upstream.asked and scene is not _left_in_the_pause_before_a_retry
    assert row["estimated"] == bool(worked)
    assert bool(row["cost"]) == bool(worked)


async def test_who_leaves_after_the_end_was_accounted_for_has_had_an_answer(bench: Bench) -> None:
    call = await _up_to_the_last_byte(bench)
    call.leave()
    await call.task
    assert "last" not in call.trail
    assert bench.row()["outcome"] == "answered"


@pytest.mark.parametrize("stream", [False, True], ids=["body", "stream"])
async def test_a_worker_that_stops_in_a_call_settles_it(bench: Bench, stream: bool) -> None:
    pause = Pause()
    bench.upstream.script = [pause]
    call = bench.call(stream=stream)
    await pause.reached.wait()
    call.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call.task
    row = bench.row()
    assert (row["status"], row["estimated"]) == (500, True)


@pytest.mark.parametrize("events", [0, 1], ids=["before the first byte", "in mid-stream"])
async def test_an_error_that_nobody_foresaw_is_settled_once(bench: Bench, events: int) -> None:
    bench.upstream.script = [*EVENTS[:events], ZeroDivisionError("secret detail")]
    call = bench.call(stream=True)
    await call.task
    row = bench.row()
    assert (row["status"], row["outcome"]) == (500, "failed")
    assert b"secret" not in call.body


@pytest.mark.parametrize("script", [(), (UpstreamError("caller", 400, "no"),)], ids=["answered", "refused"])
async def test_a_row_that_cannot_be_kept_does_not_keep_the_slot(bench: Bench, script: Sequence[Any]) -> None:
    def full(row: bytes) -> None:
        raise OSError("no space left on device")

    bench.ledger.record = full  # type: ignore[method-assign]
    bench.upstream.script = [*script]
    call = bench.call()
    await call.task
    assert call.status == 500
    assert bench.running.gateway.pipeline.room.running == 0
    assert bench.running.gateway.pipeline.metrics._running == [0, 0]
    assert len(bench.shared.settled) == len(bench.shared.granted) == 2


@pytest.mark.parametrize("stream", [False, True], ids=["body", "stream"])
async def test_every_attempt_gives_its_own_grant_back(bench: Bench, stream: bool) -> None:
    bench.slept.go_on.set()
    bench.upstream.script = [UpstreamError("broken", 502, "it broke off")]
    call = bench.call(stream=stream)
    await call.task
    expected = 502 if stream else 200  # the script of streams is theirs alone
    assert (call.status, bench.row()["attempts"]) == (expected, 2)
    assert len(bench.shared.granted) == 3


async def test_a_fallback_group_without_a_deployment_for_the_tags_is_passed_over(
    run_gateway: Gateways,
) -> None:
    tagged = CONFIG.replace("api_base: http://127.0.0.1:9/v1, rpm: 1000, max_retries: 0",
                             "api_base: http://127.0.0.1:9/v1, rpm: 1000, max_retries: 0, tags: [eu]")  # fmt: skip
    more = "  - model_name: spare\n    litellm_params: {model: openai/x, api_base: http://127.0.0.1:9/v1}\n"
    tagged = tagged.replace("routeiq:", more + "router_settings: {enable_tag_filtering: true}\nrouteiq:")
    async for running in run_gateway(tagged):
        bench = Bench(running)
        bench.use(CallPolicy(fallbacks={"small": ("large", "spare")}))
        bench.upstream.script = [UpstreamError("timeout", 504, "too late")]
        call = bench.call(metadata={"tags": ["us"]})
        await call.task
        assert call.status == 200
        assert bench.upstream.asked == ["small-1", "spare-1"]
        bench.use(CallPolicy(fallbacks={"small": ("large",)}))
        bench.upstream.script = [UpstreamError("timeout", 504, "too late")]
        call = bench.call(metadata={"tags": ["us"]})
        await call.task
        assert json.loads(call.body)["error"]["code"] == "upstream_timeout"  # what the first group said


async def test_a_refused_call_leaves_no_row_and_holds_nothing(bench: Bench) -> None:
    bench.ledger.has_room = False
    call = bench.call()
    await call.task
    assert (call.status, bench.ledger.rows) == (503, [])
    assert bench.running.gateway.pipeline.room.running == 0
    assert bench.shared.granted == []
