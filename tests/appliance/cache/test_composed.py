"""Calls through a composed gateway that caches: what is answered without a call, what a hit costs, what it tells."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from routeiq_appliance.errors import UpstreamError

Gateways = Callable[..., AsyncGenerator[Any, None]]

_PRICES = "input_cost_per_token: 1e-6, output_cost_per_token: 2e-6"


def _entry(group: str, more: str = "", info: str = "") -> str:
    return (
        f"  - model_name: {group}\n    litellm_params: {{model: openai/{group}, "
        f"api_base: http://127.0.0.1:9/v1, {_PRICES}{more}}}\n    model_info: {{id: {group}-1{info}}}\n"
    )


def _config(cache: str = "", more: str = "") -> str:
    return (
        "model_list:\n"
        + _entry("small")
        + _entry("large")
        + _entry("cold", ", temperature: 0")
        + _entry("vectors", info=", mode: embedding")
        + "router_settings:\n  num_retries: 0\n  fallbacks: [{small: [large]}]\n"
        + f"routeiq: {{egress: open, auto: {{candidates: [small, large]}}, cache: {{{cache}}}{more}}}\n"
    )


_ON = {"ROUTEIQ_CACHE_ENABLED": True}


async def _ask(running: Any, key: str | None = None, *, headers: Any = None, **body: Any) -> Any:
    full = {"model": "small", "messages": [{"role": "user", "content": "hello"}], "temperature": 0, **body}
    auth = running.auth if key is None else {"authorization": f"Bearer {key}"}
    sent = {name: value for name, value in full.items() if value is not None}
    return await running.client.post("/v1/chat/completions", json=sent, headers={**auth, **(headers or {})})


def _told(answer: Any) -> str | None:
    found: str | None = answer.headers.get("x-routeiq-cache")
    return found


async def _rows(running: Any) -> list[dict[str, Any]]:
    """Return the ledger's rows, after checking that nothing is held any more."""
    pipeline = running.gateway.pipeline
    assert pipeline.room.running == 0
    loop = asyncio.get_running_loop()
    assert await loop.run_in_executor(None, lambda: pipeline.ledger.flush(seconds=10))
    rows: list[dict[str, Any]] = running.rows()
    return rows


def _samples(running: Any) -> dict[str, float]:
    registry = running.gateway.metrics.registry
    return {
        f"{s.name}{sorted(s.labels.items())}": s.value
        for family in registry.collect()
        for s in family.samples
        if "cache" in s.name and not s.name.endswith("_created")
    }


async def test_the_same_request_is_answered_without_a_call(run_gateway: Gateways) -> None:  # H10
    async for running in run_gateway(_config(), **_ON):
        first, second = [await _ask(running) for _ in range(2)]
        assert (first.status_code, second.status_code) == (200, 200)
        assert (_told(first), _told(second)) == ("miss", "hit")
        assert second.json() == first.json()
        assert len(running.upstream.calls) == 1
        assert ("age" in first.headers, second.headers["age"]) == (False, "0")
        assert second.headers["x-routeiq-model"] == "small"
        assert "x-routeiq-deployment" not in second.headers


async def test_a_hit_costs_nothing_and_its_row_says_why(run_gateway: Gateways) -> None:
    async for running in run_gateway(_config(), **_ON):
        key = await running.generate_key()
        for _ in range(2):
            assert (await _ask(running, key)).status_code == 200
        paid, hit = await _rows(running)
        assert (paid["cost"], "cached" in paid["decision"]) == (7_000_000, False)
        assert (hit["outcome"], hit["status"], hit["cost"], hit["estimated"]) == ("answered", 200, 0, False)
        assert (hit["group"], hit["deployment"], hit["attempts"]) == ("small", None, 0)
        assert (hit["prompt_tokens"], hit["completion_tokens"]) == (0, 0)
        cached = hit["decision"]["cached"]
        assert (cached["level"], cached["prompt_tokens"], cached["completion_tokens"]) == ("memory", 3, 2)
        assert cached["age"] >= 0
        info = await running.client.get("/key/info", params={"key": key}, headers=running.auth)
        assert info.json()["spend"] == 0.000007


async def test_off_nothing_is_kept_and_nothing_told(run_gateway: Gateways) -> None:  # L5
    async for running in run_gateway(_config()):
        answers = [
            await _ask(running, cache={"ttl": 5}, headers={"cache-control": "only-if-cached"}) for _ in range(2)
        ]
        assert [a.status_code for a in answers] == [200, 200]
        assert len(running.upstream.calls) == 2
        assert all(_told(a) is None for a in answers)
        assert all("cache" not in call.params and "cache" not in call.extra for call in running.upstream.calls)
        assert running.gateway.pipeline.cache is None


@pytest.mark.parametrize("include_usage", [False, True])
async def test_a_stream_is_replayed_event_by_event(run_gateway: Gateways, include_usage: bool) -> None:
    async for running in run_gateway(_config(), **_ON):
        running.upstream.ends = "stop"
        options = {"include_usage": True} if include_usage else None
        answers = [await _ask(running, stream=True, stream_options=options) for _ in range(2)]
        assert [_told(a) for a in answers] == ["miss", "hit"]
        assert answers[0].text == answers[1].text
        assert answers[1].text.endswith("data: [DONE]\n\n")
        assert answers[1].headers["content-type"].startswith("text/event-stream")
        assert len(running.upstream.calls) == 1
        # A stream is no answer to who wants a body, nor the other way round.
        assert _told(await _ask(running)) == "miss"
        other = {"include_usage": True} if not include_usage else None
        assert _told(await _ask(running, stream=True, stream_options=other)) == "miss"
