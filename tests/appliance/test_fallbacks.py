"""Calls through a composed gateway whose upstreams fail on demand: what is tried, told, kept and freed.

The upstream is in memory (`conftest.MemoryUpstream`), everything else is real.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from routeiq_appliance.errors import Fault, UpstreamError

Gateways = Callable[..., AsyncGenerator[Any, None]]

_PRICES = "input_cost_per_token: 1e-6, output_cost_per_token: 2e-6"


def _entry(group: str, number: int = 1, more: str = "", info: str = "") -> str:
    return (
        f"  - model_name: {group}\n    litellm_params: {{model: openai/{group}{number}, "
        f"api_base: http://127.0.0.1:9/v1{more}}}\n    model_info: {{id: {group}-{number}{info}}}\n"
    )


_CONFIG = (
    "model_list:\n"
    + _entry("small", 1, f", {_PRICES}")
    + _entry("small", 2, f", {_PRICES}")
    + _entry("large", 1, f", {_PRICES}")
    + _entry("spare")
    + "router_settings:\n  num_retries: 2\n  fallbacks: [{small: [large]}]\n"
    + "  context_window_fallbacks: [{small: [spare]}]\n  default_fallbacks: [spare]\n"
    + "routeiq: {egress: open, auto: {candidates: [small, large]}}\n"
)


def _fault(fault: Fault, *, retry_after: int | None = None) -> UpstreamError:
    status = {"caller": 400, "context": 400, "rate_limited": 429, "timeout": 504}.get(fault, 502)
    return UpstreamError(fault, status, f"the upstream says {fault}", retry_after=retry_after)


async def _ask(running: Any, key: str | None = None, **body: Any) -> Any:
    full = {"model": "small", "messages": [{"role": "user", "content": "hello"}], **body}
    headers = running.auth if key is None else {"authorization": f"Bearer {key}"}
    return await running.client.post("/v1/chat/completions", json=full, headers=headers)


async def _arrived(running: Any, count: int) -> None:
    while len(running.upstream.calls) < count:  # noqa: ASYNC110 - the upstream has no event for a count
        await asyncio.sleep(0)


async def _settled(running: Any) -> list[dict[str, Any]]:
    """Return the ledger's rows, after checking that nothing is held any more."""
    pipeline = running.gateway.pipeline
    assert pipeline.room.running == 0
    assert pipeline.metrics._running == [0, 0]
    board = pipeline.caller._watchers.board
    assert all(board.numbers(name).running == 0 for name in ("small-1", "small-2", "large-1", "spare-1"))
    loop = asyncio.get_running_loop()
    assert await loop.run_in_executor(None, lambda: pipeline.ledger.flush(seconds=10))
    rows: list[dict[str, Any]] = running.rows()
    return rows


async def test_another_deployment_answers_at_once(run_gateway: Gateways) -> None:  # D9
    async for running in run_gateway(_CONFIG):
        running.upstream.script = {"small-1": [_fault("timeout")]}
        answer = await _ask(running)
        assert answer.status_code == 200
        assert running.upstream.asked == ["small-1", "small-2"]
        assert answer.headers["x-routeiq-deployment"] == "small-2"
        row = (await _settled(running))[0]
        assert (row["deployment"], row["attempts"], row["outcome"]) == ("small-2", 2, "answered")
        tried = [(a["deployment"], a["outcome"]) for a in row["decision"]["attempts"]]
        assert tried == [("small-1", "upstream_timeout"), ("small-2", "answered")]


async def test_fallback_groups_follow_and_the_answer_names_them(run_gateway: Gateways) -> None:  # D9
    async for running in run_gateway(_CONFIG):
        running.upstream.script = {name: [_fault("timeout")] for name in ("small-1", "small-2")}
        answer = await _ask(running)
        assert (answer.status_code, answer.json()["model"]) == (200, "large")
        assert answer.headers["x-routeiq-model"] == "large"
        row = (await _settled(running))[0]
        assert (row["asked"], row["group"], row["attempts"]) == ("small", "large", 3)


async def test_a_group_that_the_key_may_not_use_is_no_fallback(run_gateway: Gateways) -> None:
    async for running in run_gateway(_CONFIG):
        key = await running.generate_key(models=["small"])
        running.upstream.script = {name: [_fault("timeout")] for name in ("small-1", "small-2")}
        answer = await _ask(running, key)
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "upstream_timeout")
        assert running.upstream.asked == ["small-1", "small-2"]


async def test_too_long_a_call_goes_to_its_own_fallback_without_a_second_try(run_gateway: Gateways) -> None:
    async for running in run_gateway(_CONFIG):
        running.upstream.script = {"small-1": [_fault("context")]}
        assert (await _ask(running)).json()["model"] == "spare"
        assert running.upstream.asked == ["small-1", "spare-1"]


async def test_a_request_at_fault_is_tried_once(run_gateway: Gateways) -> None:
    async for running in run_gateway(_CONFIG):
        running.upstream.script = {"small-1": [_fault("caller")]}
        answer = await _ask(running)
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
        assert running.upstream.asked == ["small-1"]
        row = (await _settled(running))[0]
        assert (row["cost"], row["prompt_tokens"], row["estimated"]) == (0, 0, False)


async def test_auto_goes_on_with_the_next_candidate(run_gateway: Gateways) -> None:  # D9
    async for running in run_gateway(_CONFIG):
        running.upstream.script = {name: [_fault("timeout")] for name in ("small-1", "small-2")}
        assert (await _ask(running, model="auto")).json()["model"] == "large"


async def test_five_failures_in_a_row_open_the_breaker(run_gateway: Gateways) -> None:  # G2
    config = (
        "model_list:\n" + _entry("small") + "router_settings: {num_retries: 0}\nrouteiq: {egress: open}\n"
    )
    async for running in run_gateway(config):
        running.upstream.script = {"small-1": [_fault("broken")] * 9}
        statuses = [(await _ask(running)).status_code for _ in range(5)]
        assert statuses == [502] * 5
        refused = await _ask(running)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "upstream_unavailable")
        assert 0 < int(refused.headers["retry-after"]) <= 30
        assert len(running.upstream.asked) == 5


async def test_a_429_rests_a_deployment_that_another_can_stand_in_for(run_gateway: Gateways) -> None:
    async for running in run_gateway(_CONFIG):
        running.upstream.script = {"small-1": [_fault("rate_limited", retry_after=30)]}
        for _ in range(4):
            assert (await _ask(running)).status_code == 200
        assert running.upstream.asked == ["small-1", *["small-2"] * 4]


async def test_nothing_is_tried_again_after_the_first_event(run_gateway: Gateways) -> None:
    config = _CONFIG.replace("model_name: spare", "model_name: late").replace("id: spare-1", "id: late-1")
    config = config.replace("[spare]", "[late]")
    async for running in run_gateway(config):
        running.upstream.fails = _fault("broken")
        answer = await _ask(running, model="late", stream=True)
        assert answer.status_code == 200
        events = [line[6:] for line in answer.text.split("\n") if line.startswith("data: ")]
        assert json.loads(events[-1])["error"]["code"] == "bad_upstream"
        assert "[DONE]" not in answer.text
        assert running.upstream.asked == ["late-1"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_spent_budget_refuses_and_says_so(run_gateway: Gateways, stream: bool) -> None:  # C6
    async for running in run_gateway(_CONFIG):
        # Three tokens in and two out cost 7e-6; the third call finds 14e-6 spent.
        key = await running.generate_key(max_budget=0.000014)
        statuses = [(await _ask(running, key, stream=stream, max_tokens=1)).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        refused = (await _ask(running, key)).json()["error"]
        assert (refused["type"], refused["code"]) == ("insufficient_quota", "budget_exceeded")
        rows = await _settled(running)
        assert [row["cost"] for row in rows] == [7_000_000, 7_000_000]
        info = await running.client.get("/key/info", params={"key": key}, headers=running.auth)
        assert info.json()["spend"] == 0.000014


async def test_requests_per_minute_are_exact_and_told(run_gateway: Gateways) -> None:  # C7
    async for running in run_gateway(_CONFIG):
        key = await running.generate_key(rpm_limit=3)
        answers = await asyncio.gather(*[_ask(running, key) for _ in range(8)])
        assert sorted(a.status_code for a in answers) == [200] * 3 + [429] * 5
        refused = next(a for a in answers if a.status_code == 429)
        assert 0 < int(refused.headers["retry-after"]) <= 60
        told = next(a for a in answers if a.status_code == 200).headers
        assert told["x-ratelimit-limit-requests"] == "3"
        assert len(await _settled(running)) == 3


async def test_parallel_calls_of_a_team_are_bounded_and_others_are_not(run_gateway: Gateways) -> None:  # G8
    async for running in run_gateway(_CONFIG):
        made = await running.client.post(
            "/team/new", json={"team_id": "noisy", "max_parallel_requests": 2}, headers=running.auth
        )
        assert made.status_code == 200, made.text
        noisy, quiet = await running.generate_key(team_id="noisy"), await running.generate_key()
        running.upstream.hold.clear()
        calls = [asyncio.create_task(_ask(running, noisy)) for _ in range(2)]
        await _arrived(running, 2)
        refused = await _ask(running, noisy)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        other = asyncio.create_task(_ask(running, quiet))
        await _arrived(running, 3)
        running.upstream.hold.set()
        assert [a.status_code for a in await asyncio.gather(*calls, other)] == [200] * 3
        assert (await _ask(running, noisy)).status_code == 200
        await _settled(running)


async def test_a_keys_limit_on_a_model_sends_auto_to_the_next(run_gateway: Gateways) -> None:
    async for running in run_gateway(_CONFIG):
        key = await running.generate_key(model_rpm_limit={"small": 1})
        models = [(await _ask(running, key, model="auto")).json()["model"] for _ in range(2)]
        assert models == ["small", "large"]
        assert (await _ask(running, key)).status_code == 429


async def test_an_unpriced_call_costs_nothing_known(run_gateway: Gateways) -> None:
    async for running in run_gateway(_CONFIG):
        key = await running.generate_key()
        assert (await _ask(running, key, model="spare")).status_code == 200
        assert (await _settled(running))[0]["cost"] is None
        logs = await running.client.get("/spend/logs", params={"api_key": key}, headers=running.auth)
        assert logs.json()[0]["spend"] is None


async def test_a_hint_is_followed_unless_the_key_may_not(run_gateway: Gateways) -> None:  # C9
    async for running in run_gateway(_CONFIG):
        key = await running.generate_key(models=["small", "auto"])
        body = {"model": "auto", "messages": [{"role": "user", "content": "x"}]}
        headers = {**running.auth, "x-routeiq-hint": "large"}
        followed = await running.client.post("/v1/chat/completions", json=body, headers=headers)
        assert (followed.json()["model"], followed.headers["x-routeiq-strategy"]) == ("large", "hint")
        narrow = await running.generate_key(models=["small"])
        headers["authorization"] = f"Bearer {narrow}"
        ignored = await running.client.post("/v1/chat/completions", json=body, headers=headers)
        assert ignored.json()["model"] == "small"
        rows = {row["key_id"]: row for row in await _settled(running)}
        reasons = [row["decision"]["reason"] for row in rows.values()]
        assert any("the hint `large` is no candidate" in reason for reason in reasons)
        del key


async def test_a_conversation_stays_with_its_deployment(run_gateway: Gateways) -> None:  # D8
    async for running in run_gateway(_CONFIG):
        headers = {**running.auth, "x-routeiq-conversation": "c-1"}
        body = {"model": "small", "messages": [{"role": "user", "content": "x"}]}
        for _ in range(4):
            await running.client.post("/v1/chat/completions", json=body, headers=headers)
        assert set(running.upstream.asked) == {"small-1"}


async def test_a_full_worker_sheds(run_gateway: Gateways) -> None:  # G7
    async for running in run_gateway(_CONFIG, ROUTEIQ_MAX_CONCURRENT_REQUESTS=1):
        running.upstream.hold.clear()
        first = asyncio.create_task(_ask(running))
        await _arrived(running, 1)
        shed = await _ask(running)
        assert (shed.status_code, shed.json()["error"]["code"]) == (503, "overloaded")
        running.upstream.hold.set()
        assert (await first).status_code == 200
        assert len(await _settled(running)) == 1
