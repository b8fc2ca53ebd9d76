"""Calls through a composed gateway that caches: what is answered without a call, what a hit costs, what it tells."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Any

import pytest

from routeiq_appliance.errors import UpstreamError
from routeiq_appliance.pipeline.types import Principal

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


async def _twice(running: Any, **body: Any) -> list[str | None]:
    return [_told(await _ask(running, **body)) for _ in range(2)]


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
            await _ask(running, cache={"ttl": 5}, headers={"cache-control": "only-if-cached"})
            for _ in range(2)
        ]
        assert [a.status_code for a in answers] == [200, 200]
        assert len(running.upstream.calls) == 2
        assert all(_told(a) is None for a in answers)
        assert all(
            "cache" not in call.params and "cache" not in call.extra for call in running.upstream.calls
        )
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


async def test_no_key_reads_what_another_asked(run_gateway: Gateways) -> None:
    async for running in run_gateway(_config(), **_ON):
        keys = [await running.generate_key(team_id="blue") for _ in range(2)]
        assert [_told(await _ask(running, key)) for key in [*keys, *keys]] == ["miss", "miss", "hit", "hit"]


@pytest.mark.parametrize(
    ("scope", "told"),
    [
        ("team", ["miss", "hit", "miss", "miss", "miss"]),
        ("global", ["miss", "hit", "hit", "hit", "hit"]),
    ],
)
async def test_a_team_shares_and_no_other_reads_it(
    run_gateway: Gateways, scope: str, told: list[str]
) -> None:
    async for running in run_gateway(_config(f"scope: {scope}"), **_ON):
        teams: list[dict[str, str]] = [{"team_id": "blue"}, {"team_id": "blue"}, {"team_id": "red"}, {}, {}]
        keys = [await running.generate_key(**team) for team in teams]
        assert [_told(await _ask(running, key)) for key in keys] == told


async def test_a_wider_scope_opens_no_model_that_a_key_may_not_use(run_gateway: Gateways) -> None:
    async for running in run_gateway(_config("scope: global"), **_ON):
        assert _told(await _ask(running)) == "miss"
        narrow = await running.generate_key(models=["large"])
        assert (await _ask(running, narrow)).status_code == 403


async def test_by_default_only_the_likeliest_answer_is_kept(run_gateway: Gateways) -> None:
    async for running in run_gateway(_config(), **_ON):
        assert await _twice(running, temperature=None) == ["bypass", "bypass"]
        assert await _twice(running, temperature=0.2) == ["bypass", "bypass"]
        # The deployment's own temperature is the call's where it names none.
        assert await _twice(running, temperature=None, model="cold") == ["miss", "hit"]
        assert await _twice(running, temperature=1, model="cold") == ["bypass", "bypass"]
        # A caller may say that any answer will do.
        assert await _twice(running, temperature=1, cache={"use-cache": True}) == ["miss", "hit"]
        assert await _twice(running, n=2) == ["miss", "hit"]


async def test_all_answers_are_kept_where_that_is_configured(run_gateway: Gateways) -> None:
    async for running in run_gateway(_config("when: all"), **_ON):
        assert [_told(await _ask(running, temperature=1)) for _ in range(2)] == ["miss", "hit"]


async def _vector(upstream: Any, deployment: Any, call: Any, headers: Any = None) -> dict[str, Any]:
    upstream._ask(deployment, call)
    return {"object": "list", "data": [{"index": 0, "embedding": [0.5]}], "usage": {"prompt_tokens": 3}}


async def test_vectors_are_kept_too(run_gateway: Gateways) -> None:
    async for running in run_gateway(_config(), **_ON):
        running.upstream.complete = partial(_vector, running.upstream)
        body = {"model": "vectors", "input": ["x", "y"]}
        answers = [
            await running.client.post("/v1/embeddings", json=body, headers=running.auth) for _ in range(2)
        ]
        assert [_told(a) for a in answers] == ["miss", "hit"]
        assert answers[0].json() == answers[1].json()


@pytest.mark.parametrize(
    ("headers", "cache", "told"),
    [
        ({"cache-control": "no-cache"}, None, "bypass"),
        ({}, {"no-cache": True}, "bypass"),
        ({"cache-control": "max-age=0"}, None, "miss"),
        ({}, {"s-maxage": 0}, "miss"),
        ({"cache-control": "max-age=60"}, {"s-maxage": 60}, "hit"),
        ({}, {"namespace": "other"}, "miss"),
        ({}, {"namespace": ""}, "hit"),
        ({"cache-control": "only-if-cached"}, None, "hit"),
        ({"cache-control": "no-store"}, None, "hit"),
    ],
)
async def test_callers_say_whether_an_answer_may_be_old(
    run_gateway: Gateways, headers: dict[str, str], cache: Any, told: str
) -> None:
    async for running in run_gateway(_config(), **_ON):
        assert _told(await _ask(running)) == "miss"
        assert _told(await _ask(running, headers=headers, cache=cache)) == told
        assert all(
            "cache" not in call.params and "cache" not in call.extra for call in running.upstream.calls
        )


@pytest.mark.parametrize(
    ("headers", "cache"), [({"cache-control": "no-store"}, None), ({}, {"no-store": True})]
)
async def test_what_shall_not_be_stored_is_not(
    run_gateway: Gateways, headers: dict[str, str], cache: Any
) -> None:
    async for running in run_gateway(_config(), **_ON):
        told = [_told(await _ask(running, headers=headers, cache=cache)) for _ in range(2)]
        assert told == ["miss", "miss"]
        assert len(running.gateway.pipeline.cache.memory) == 0


async def test_no_cache_asks_again_and_keeps_the_new_answer(run_gateway: Gateways) -> None:
    async for running in run_gateway(_config(), **_ON):
        clock = _Clock(running)
        await _ask(running)
        clock.now += 30
        assert _told(await _ask(running, headers={"cache-control": "no-cache"})) == "bypass"
        clock.now += 7
        assert (await _ask(running)).headers["age"] == "7"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_caller_who_wants_only_a_cached_answer_gets_a_504(
    run_gateway: Gateways, stream: bool
) -> None:
    async for running in run_gateway(_config(), **_ON):
        only = {"cache-control": "only-if-cached"}
        refused = await _ask(running, headers=only, stream=stream)
        assert (refused.status_code, refused.json()["error"]["code"]) == (504, "not_cached")
        drawn = await _ask(running, headers=only, temperature=1)
        assert drawn.status_code == 504
        assert running.upstream.calls == []
        rows = await _rows(running)
        assert [(row["status"], row["outcome"], row["cost"]) for row in rows] == [(504, "not_cached", 0)] * 2


async def test_an_unknown_wish_is_a_mistake_of_the_caller(run_gateway: Gateways) -> None:
    async for running in run_gateway(_config(), **_ON):
        answer = await _ask(running, cache={"supported_call_types": ["acompletion"]})
        error = answer.json()["error"]
        assert (answer.status_code, error["param"]) == (400, "cache.supported_call_types")


class _Clock:
    """Takes the place of the cache's."""

    def __init__(self, running: Any) -> None:
        self.now = 1_790_000_000.0
        running.gateway.pipeline.cache.clock = lambda: self.now


@pytest.mark.parametrize(
    ("configured", "asked", "holds"), [(60, None, 60), (60, 20, 20), (60, 900, 60), (60, 0.5, 0.5)]
)
async def test_an_answer_is_kept_for_its_time(
    run_gateway: Gateways, configured: int, asked: Any, holds: float
) -> None:
    async for running in run_gateway(_config(f"ttl: {configured}"), **_ON):
        clock = _Clock(running)
        wish = None if asked is None else {"ttl": asked}
        assert _told(await _ask(running, cache=wish)) == "miss"
        clock.now += holds - 0.25
        assert _told(await _ask(running, headers={"cache-control": "no-store"})) == "hit"
        clock.now += 0.25
        assert _told(await _ask(running)) == "miss"


async def test_errors_are_not_kept(run_gateway: Gateways) -> None:
    async for running in run_gateway(_config(), **_ON):
        fault = UpstreamError("caller", 400, "the upstream says no")
        running.upstream.script = {"small-1": [fault]}
        assert [(await _ask(running)).status_code for _ in range(3)] == [400, 200, 200]
        assert len(running.upstream.calls) == 2


async def test_a_fallbacks_answer_does_not_outlive_the_fault(run_gateway: Gateways) -> None:
    async for running in run_gateway(_config(), **_ON):
        running.upstream.script = {"small-1": [UpstreamError("timeout", 504, "too late")]}
        models = [(await _ask(running)).json()["model"] for _ in range(3)]
        assert models == ["large", "small", "small"]
        assert running.upstream.asked == ["small-1", "large-1", "small-1"]


@pytest.mark.parametrize("reason", [None, "content_filter", "abort"])
async def test_a_stream_without_a_proper_end_is_not_kept(run_gateway: Gateways, reason: str | None) -> None:
    async for running in run_gateway(_config(), **_ON):
        running.upstream.ends = reason
        assert [_told(await _ask(running, stream=True)) for _ in range(2)] == ["miss", "miss"]


async def test_a_stream_that_breaks_is_not_kept(run_gateway: Gateways) -> None:
    config = _config().replace("model_name: large", "model_name: late").replace("id: large-1", "id: late-1")
    config = config.replace("[large]", "[late]").replace("[small, large]", "[small]")
    async for running in run_gateway(config, **_ON):
        running.upstream.fails = UpstreamError("broken", 502, "broke off")
        assert "[DONE]" not in (await _ask(running, model="late", stream=True)).text
        assert len(running.gateway.pipeline.cache.memory) == 0


async def test_a_caller_who_leaves_leaves_nothing_behind(run_gateway: Gateways) -> None:
    async for running in run_gateway(_config(), **_ON):
        running.upstream.ends = "stop"
        pipeline, cache = running.gateway.pipeline, running.gateway.pipeline.cache
        await _ask(running, stream=True, headers={"cache-control": "no-store"})
        exchange = await pipeline.begin(Principal("master"), running.upstream.calls[0])
        exchange.call.cache = None
        events = await exchange.open_stream()
        assert (await anext(events))["choices"]
        await events.aclose()
        exchange.broken("caller_left", 499)
        await exchange.close()
        assert len(cache.memory) == 0
        assert running.upstream.closed_streams == 2


async def test_auto_is_decided_first_and_finds_the_groups_answer(run_gateway: Gateways) -> None:
    async for running in run_gateway(_config(), **_ON):
        first = await _ask(running, model="auto")
        again = await _ask(running, model="auto")
        assert [_told(first), _told(again)] == ["miss", "hit"]
        assert again.json()["model"] == again.headers["x-routeiq-model"] == "small"
        assert again.headers["x-routeiq-strategy"] == first.headers["x-routeiq-strategy"]
        # Another decision is another answer; the group asked for by its name is the same.
        assert _told(await _ask(running, model="auto", headers={"x-routeiq-hint": "large"})) == "miss"
        assert _told(await _ask(running)) == "hit"


async def test_hits_count_as_requests_and_not_as_tokens(run_gateway: Gateways) -> None:  # C7
    async for running in run_gateway(_config(), **_ON):
        key = await running.generate_key(rpm_limit=3)
        assert [(await _ask(running, key)).status_code for _ in range(4)] == [200, 200, 200, 429]
        thrifty = await running.generate_key(tpm_limit=60)
        left = [
            int((await _ask(running, thrifty, max_tokens=1)).headers["x-ratelimit-remaining-tokens"])
            for _ in range(4)
        ]
        # The first one used 5 tokens, the others none; each reserves its estimate while it runs.
        assert left[1:] == [left[0] - 5] * 3


async def test_hits_charge_no_budget(run_gateway: Gateways) -> None:  # C6
    async for running in run_gateway(_config(), **_ON):
        key = await running.generate_key(max_budget=0.000014)
        assert [(await _ask(running, key, max_tokens=1)).status_code for _ in range(5)] == [200] * 5
        assert [row["cost"] for row in await _rows(running)] == [7_000_000, 0, 0, 0, 0]


async def test_a_hit_needs_no_upstream(run_gateway: Gateways) -> None:
    async for running in run_gateway(_config(), **_ON):
        assert _told(await _ask(running)) == "miss"
        running.upstream.fails = UpstreamError("unavailable", 502, "away")
        assert (await _ask(running)).status_code == 200
        assert (await _ask(running, seed=1)).status_code == 502


async def test_what_is_larger_than_the_bound_is_not_kept(run_gateway: Gateways) -> None:
    async for running in run_gateway(_config("max_entry_bytes: 1024"), **_ON):
        message = {"role": "user", "content": "x" * 1024}
        # The upstream answers `auto` with what it was asked.
        assert [_told(await _ask(running, model="auto", messages=[message])) for _ in range(2)] == [
            "miss",
            "miss",
        ]
        assert [_told(await _ask(running, model="auto")) for _ in range(2)] == ["miss", "hit"]


async def test_many_at_once_are_all_answered_and_leave_one_entry(run_gateway: Gateways) -> None:
    async for running in run_gateway(_config(), **_ON):
        answers = await asyncio.gather(*[_ask(running) for _ in range(20)])
        assert {a.status_code for a in answers} == {200}
        assert len({a.text for a in answers}) == 1
        assert len(running.gateway.pipeline.cache.memory) == 1
        assert _told(await _ask(running)) == "hit"


async def test_hits_and_misses_are_counted_by_model_and_team(run_gateway: Gateways) -> None:  # K1
    async for running in run_gateway(_config(), **_ON):
        key = await running.generate_key(team_id="blue")
        for _ in range(3):
            await _ask(running, key)
        await _ask(running, key, headers={"cache-control": "no-cache"})
        found = _samples(running)
        assert found["litellm_cache_misses_metric_total[('model', 'small'), ('team', 'blue')]"] == 1
        hits = "litellm_cache_hits_metric_total[('level', 'memory'), ('model', 'small'), ('team', 'blue')]"
        assert found[hits] == 2
        assert found["gateway_cache_entries[]"] == 1
        assert found["gateway_cache_bytes[]"] == running.gateway.pipeline.cache.memory.bytes > 0


async def test_a_request_that_is_too_large_to_be_hashed_is_not_looked_for(run_gateway: Gateways) -> None:
    async for running in run_gateway(_config(), **_ON):
        message = {"role": "user", "content": "x" * (4 << 20)}
        assert await _twice(running, messages=[message]) == ["bypass", "bypass"]


async def _message_events(upstream: Any, deployment: Any, call: Any, headers: Any = None) -> Any:
    upstream._ask(deployment, call)
    message = {"type": "message", "content": [], "stop_reason": None, "usage": {"input_tokens": 3}}
    yield {"type": "message_start", "message": message}
    yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "one"}}
    yield {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}
    yield {"type": "message_stop"}


async def test_a_messages_stream_is_replayed_in_its_dialect(run_gateway: Gateways) -> None:  # C1
    async for running in run_gateway(_config(), **_ON):
        running.upstream.stream = partial(_message_events, running.upstream)
        body = {
            "model": "small", "messages": [{"role": "user", "content": "x"}], "max_tokens": 5, "temperature": 0,
            "stream": True, "cache": {"ttl": 60},
        }  # fmt: skip
        answers = [
            await running.client.post("/v1/messages", json=body, headers=running.auth) for _ in range(2)
        ]
        assert [_told(a) for a in answers] == ["miss", "hit"], answers[0].text
        assert answers[0].text == answers[1].text
        assert answers[1].text.count("event: message_stop") == 1
        cached = (await _rows(running))[1]["decision"]["cached"]
        assert (cached["prompt_tokens"], cached["completion_tokens"]) == (3, 2)
        assert "cache" not in running.upstream.calls[0].params
