"""A key's own limits on a model: asked for whatever group is to answer, charged to the one that did (C7, D9)."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence

import pytest
from tests.appliance.call_bench import CONFIG, Bench, Gateways

from routeiq_appliance.config.policy import CallPolicy
from routeiq_appliance.errors import UpstreamError
from routeiq_appliance.state.shared.interface import Settlement


@pytest.fixture
async def bench(run_gateway: Gateways) -> AsyncGenerator[Bench, None]:
    async for running in run_gateway(CONFIG, ROUTEIQ_BREAKER_FAILURES=1000):
        yield Bench(running)


async def test_auto_takes_the_next_group_where_the_key_has_no_room_for_the_first(bench: Bench) -> None:
    key = await bench.running.generate_key(model_rpm_limit={"small": 1})
    for _ in range(2):
        await bench.call(key=key, model="auto").task
    first, second = bench.ledger.rows
    assert (first["group"], second["group"]) == ("small", "large")
    assert "the key's limit on the first choice is reached" in second["decision"]["reason"]
    assert [entry["group"] for entry in second["decision"]["ranking"]] == ["small", "large"]


async def test_no_group_with_room_is_429_and_names_the_first(bench: Bench) -> None:
    key = await bench.running.generate_key(model_rpm_limit={"small": 1, "large": 1})
    for _ in range(2):
        await bench.call(key=key, model="auto").task
    call = bench.call(key=key, model="auto")
    await call.task
    assert call.status == 429
    assert "key on model `small`" in json.loads(call.body)["error"]["message"]
    assert int(call.headers["retry-after"]) > 0
    assert bench.ledger.rows[-1]["status"] == 429
    assert len(bench.shared.settled) == len(bench.shared.granted)
    assert len(bench.upstream.asked) == 2


async def test_a_group_asked_for_by_name_is_never_changed_for_a_limit(bench: Bench) -> None:
    key = await bench.running.generate_key(model_rpm_limit={"small": 1})
    calls = [bench.call(key=key) for _ in range(2)]
    await asyncio.gather(*(call.task for call in calls))
    assert sorted(call.status for call in calls) == [200, 429]
    assert bench.upstream.asked == ["small-1"]


@pytest.mark.parametrize("asked", ["auto", "small"])
async def test_no_fallback_leads_past_the_keys_limit_on_a_model(bench: Bench, asked: str) -> None:
    bench.use(CallPolicy(fallbacks={"small": ("large",)}))
    key = await bench.running.generate_key(model_rpm_limit={"large": 1})
    statuses = []
    for _ in range(2):
        bench.upstream.script = [UpstreamError("timeout", 504, "too late")]
        call = bench.call(key=key, model=asked)
        await call.task
        statuses.append(call.status)
    assert statuses == [200, 504]
    assert bench.upstream.asked == ["small-1", "large-1", "small-1"]
    assert len(bench.shared.settled) == len(bench.shared.granted)


async def test_a_fallback_is_charged_to_its_own_limit_alone(bench: Bench) -> None:
    bench.use(CallPolicy(fallbacks={"small": ("large",)}))
    key = await bench.running.generate_key(model_max_budget={"small": 1.0, "large": 1.0})
    bench.upstream.script = [UpstreamError("timeout", 504, "too late")]
    await bench.call(key=key).task
    row = bench.row()
    model = f"key:{row['key_id']}/model:"
    told = {s.grant.admission.scopes[0].name: (s.tokens, s.cost) for s in bench.shared.settled}
    assert (told[f"{model}small"], told[f"{model}large"]) == ((0, 0), (5, 7_000_000))
    assert [name for name, _ in row["charges"] if name.startswith(model)] == [f"{model}large"]


async def test_what_a_call_costs_is_added_to_the_limit_on_the_model_that_answered(bench: Bench) -> None:
    key = await bench.running.generate_key(model_max_budget={"small": 1.0})
    await bench.call(key=key).task
    row = bench.row()
    names = [name for name, _ in row["charges"]]
    assert f"key:{row['key_id']}/model:small" in names
    settled: Sequence[Settlement] = [s for s in bench.shared.settled if s.cost]
    assert {(s.tokens, s.cost) for s in settled} == {(5, 7_000_000)}
