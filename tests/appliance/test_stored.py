"""What a stored model may be, and how a worker's table follows the store (C6, H11, I4)."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from routeiq_appliance.config.load import parse_config
from routeiq_appliance.config.models import GatewayConfig
from routeiq_appliance.egress.ssrf import parse_rules
from routeiq_appliance.errors import CallError, StateError
from routeiq_appliance.routing.breaker import Health, State
from routeiq_appliance.state.shared.interface import Notice
from routeiq_appliance.state.shared.memory import MemoryState
from routeiq_appliance.stored.entries import Judge, tidy
from routeiq_appliance.stored.live import LiveModels
from routeiq_appliance.stored.load import Models, configured_models
from routeiq_appliance.stored.table import groups_of
from routeiq_appliance.telemetry.logs import JsonFormatter

NOW = datetime(2026, 11, 21, tzinfo=UTC)

TEXT = """
model_list:
  - model_name: small
    litellm_params: {model: openai/tiny, api_base: os.environ/BASE, api_key: os.environ/SMALL_KEY}
routeiq: {egress: %s}
"""
ENVIRON = {"BASE": "http://10.0.0.7:8000/v1", "SMALL_KEY": "sk-small-value", "OTHER": "sk-other-value"}
GIVEN = {"model": "openai/m", "api_base": "http://8.8.8.8/v1"}


def make_config(egress: str = "open") -> GatewayConfig:
    return parse_config(TEXT % egress, ENVIRON)


def make_judge(egress: str = "open", **lists: Any) -> Judge:
    rules = parse_rules(
        sealed=egress == "sealed", **{"allow_private": False, "hosts": "", "networks": "", **lists}
    )
    return Judge(make_config(egress), rules)


def test_a_variable_that_the_configuration_uses_may_be_named() -> None:
    entry = make_judge().entry("g", {**GIVEN, "api_key": "os.environ/SMALL_KEY"}, {}, "m1")
    assert entry.litellm_params.api_key == "sk-small-value"


def test_the_address_that_a_variable_holds_is_judged_too() -> None:
    with pytest.raises(CallError, match="loopback or private") as caught:
        make_judge().entry("g", {**GIVEN, "api_base": "os.environ/BASE"}, {}, "m1")
    assert "10.0.0.7" not in str(caught.value)


@pytest.mark.parametrize(
    "value", ["os.environ/OTHER", "os.environ/", "os.environ/SMALL_KEY ", "xos.environ/SMALL_KEY"]
)
def test_any_other_variable_is_refused(value: str) -> None:
    for params in (
        {"api_key": value},
        {"extra_headers": {"x": value}},
        {"extra_body": {"x": {"y": [value]}}},
    ):
        with pytest.raises(CallError, match="config.yaml does not use"):
            make_judge().entry("g", {**GIVEN, **params}, {}, "m1")


def test_while_sealed_a_model_names_its_address_and_the_address_is_listed() -> None:
    judge = make_judge("sealed", networks="10.0.0.0/8")
    with pytest.raises(CallError, match="api_base` is missing|api_base`: is missing"):
        judge.entry("g", {"model": "anthropic/claude"}, {}, "m1")
    with pytest.raises(CallError, match="is in no listed network"):
        judge.entry("g", GIVEN, {}, "m1")
    assert judge.entry("g", {**GIVEN, "api_base": "http://10.0.0.9/v1"}, {}, "m1").model_info.id == "m1"


def test_while_open_a_provider_with_one_address_needs_none() -> None:
    judge = make_judge()
    assert judge.entry("g", {"model": "anthropic/claude"}, {}, "m1").litellm_params.api_base is None
    for model in ("bedrock/x", "vertex_ai/x", "ollama/x", "gpt-4o", "azure/x", "hosted_vllm/x"):
        with pytest.raises(CallError, match="no fixed address"):
            judge.entry("g", {"model": model}, {}, "m1")


def test_what_a_form_leaves_empty_is_not_asked_for() -> None:
    params, info = tidy(
        {"model": "openai/m", "rpm": None, "use_in_pass_through": False, "litellm_credential_name": None, "weight": 0},
        {"id": "x", "db_model": True, "team_id": None, "access_groups": [], "mode": "chat"},
    )  # fmt: skip
    assert params == {"model": "openai/m", "weight": 0}
    assert info == {"mode": "chat"}


def test_deployments_that_did_not_change_stay_the_same_objects() -> None:
    config = make_config()
    entry = make_judge().entry("small", GIVEN, {}, "m1")
    first = groups_of(config, frozenset(), {})
    both = config.model_copy(update={"model_list": [*config.model_list, entry]})
    second = groups_of(both, frozenset({"m1"}), {item.id: item for item in first["small"]})
    assert second["small"][0] is first["small"][0]
    assert second["small"][0].given is None, "the operator's own address is not judged"
    assert second["small"][1].given == second["small"][1].destination


def test_health_forgets_who_is_gone_and_what_was_known_of_who_changed() -> None:
    told: list[str] = []
    health = Health(["a", "b", "c"], failures=1, seconds=30, on_change=lambda name, _state: told.append(name))
    for name in "abc":
        health.failed(name, 1.0, may_rest=False)
        health.rest(name, 100, 1.0)
    told.clear()
    health.keep(["a", "b", "d"], changed=["b"])
    assert sorted(told) == ["b", "c"], (
        "the others, and the metrics, are told that these are not open any more"
    )
    assert set(health.breakers) == {"a", "b", "d"}
    assert health.available("a", 2.0) == "resting"
    assert health.available("b", 2.0) is None
    assert health.breakers["a"].state is State.OPEN
    # A call of a deployment that is gone ends without a trace.
    told.clear()
    ticket = health.begin("c", 3.0)
    health.failed("c", 3.0, may_rest=False, ticket=ticket)
    assert told == []
    assert "c" not in health.breakers


class Store:
    """What `LiveModels` reads; `generation` fails while it is None."""

    def __init__(self, models: Models) -> None:
        self.models = models
        self.generation: str | None = ""
        self.reads = 0

    def tell(self) -> str:
        if self.generation is None:
            raise StateError("the key store does not answer")
        return self.generation

    def read(self, before: Models) -> Models:
        del before
        self.reads += 1
        return replace(self.models, generation=self.tell())


class Worker:
    """One `LiveModels`, and what it put in use."""

    def __init__(self, shared: MemoryState, executor: ThreadPoolExecutor, *, seconds: float = 3600) -> None:
        models = configured_models(make_config())
        self.store = Store(models)
        self.installed: list[str] = []
        self.news = asyncio.Event()
        self.live = LiveModels(
            models, self.store.read, self.store.tell, executor, shared, install=self._install, seconds=seconds
        )

    def _install(self, models: Models) -> None:
        self.installed.append(models.generation)
        self.news.set()


async def _spent(_pairs: Any) -> dict[Any, int]:
    return {}


@pytest.fixture
def executor() -> Any:
    with ThreadPoolExecutor(max_workers=2) as made:
        yield made


async def test_a_notice_makes_a_worker_look_and_the_same_generation_changes_nothing(
    executor: ThreadPoolExecutor,
) -> None:
    shared = MemoryState(_spent)
    worker = Worker(shared, executor)
    await worker.live.start()
    worker.store.generation = "g1"
    shared.publish(Notice("models", "g1"))
    await asyncio.wait_for(worker.news.wait(), 10)
    assert worker.live.models.generation == "g1"
    worker.live.announce()
    shared.publish(Notice("models", "*"))
    shared.publish(Notice("key", "k"))
    await worker.live.refresh()
    assert (worker.installed, worker.store.reads) == (["g1"], 1)
    await worker.live.close()


async def test_without_notices_the_generation_is_compared_now_and_then(executor: ThreadPoolExecutor) -> None:
    worker = Worker(MemoryState(_spent), executor, seconds=0.01)
    await worker.live.start()
    worker.store.generation = "g1"
    await asyncio.wait_for(worker.news.wait(), 10)
    await worker.live.close()
    assert worker.installed == ["g1"]


async def test_a_store_that_is_away_leaves_all_as_it_was_and_is_told(executor: ThreadPoolExecutor) -> None:
    worker = Worker(MemoryState(_spent), executor)
    worker.store.generation = None
    before = worker.live.models
    with pytest.raises(StateError):
        await worker.live.refresh()
    assert worker.live.models is before
    assert worker.live.status.error == "the key store does not answer"
    worker.store.generation = "g1"
    await worker.live.refresh()
    assert worker.live.status.error is None
    assert worker.installed == ["g1"]


async def test_where_nothing_is_stored_nobody_looks(executor: ThreadPoolExecutor) -> None:
    shared = MemoryState(_spent)
    heard: list[Callable[[Notice], None]] = []
    shared.subscribe = heard.append  # type: ignore[method-assign]
    store = Store(configured_models(make_config()))
    live = LiveModels(store.models, None, store.tell, executor, shared, install=lambda _models: None)
    await live.start()
    await live.refresh()
    await live.close()
    assert heard == []
    assert not live.enabled


async def test_the_log_shows_no_credential_that_came_while_it_was_written(
    executor: ThreadPoolExecutor,
) -> None:
    formatter = JsonFormatter("s", ["sk-of-the-start"])
    handler = logging.NullHandler()
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        worker = Worker(MemoryState(_spent), executor)
        entry = make_judge().entry("g", {**GIVEN, "api_key": "sk-of-the-user"}, {}, "m1")
        short = make_judge().entry("g", {**GIVEN, "api_key": "timestamp"}, {}, "m2")
        entries = {"m1": (NOW, entry), "m2": (NOW, short)}
        worker.store.models, worker.store.generation = replace(worker.store.models, entries=entries), "g1"
        await worker.live.refresh()
        line = formatter.format(logging.makeLogRecord({"msg": "sk-of-the-user sk-of-the-start"}))
    finally:
        root.removeHandler(handler)
    assert "sk-of-the" not in line
    assert '"timestamp"' in line
