"""Four workers are one gateway: limits, keys, budgets, breakers, conversations and figures are the same in each."""

import contextlib
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from http.client import RemoteDisconnected

import pytest
import redis
from tests.appliance.postgresql import running_postgresql
from tests.e2e.fleet import (
    Answer,
    Fleet,
    Line,
    Upstream,
    eventually,
    run_all,
    running_fleet,
    running_redis,
    running_upstream,
)

pytestmark = pytest.mark.e2e

WORKERS = 4
COST = Decimal("0.011")
"""Dollars of one call: 7 tokens in at 0.001, 2 out at 0.002."""


def config(api_base: str) -> dict[str, object]:
    """Each group is one deployment of the model of its name, but for `pair`, which has two."""

    def deployment(group: str, model: str) -> dict[str, object]:
        params = {"model": f"openai/{model}", "api_base": api_base, "api_key": "sk-up",
                  "input_cost_per_token": 0.001, "output_cost_per_token": 0.002}  # fmt: skip
        return {"model_name": group, "litellm_params": params}

    names = ["plain", "held", "flaky", "first", "second"]
    entries = [deployment(name, name) for name in names]
    entries += [deployment("pair", "pair-a"), deployment("pair", "pair-b")]
    return {
        "model_list": entries,
        "router_settings": {"num_retries": 0, "allowed_fails": 1000},
        "routeiq": {
            "egress": "sealed", "canaries": [],
            "auto": {"candidates": ["first", "second"]},
        },
    }  # fmt: skip


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_redis(tmp_path_factory.mktemp("redis") / "r") as url:
        yield url


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Upstream, str]]:
    with running_upstream() as served:
        yield served


@pytest.fixture(scope="module")
def fleet(
    redis_url: str, served: tuple[Upstream, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    with running_postgresql() as postgresql:
        environ = {
            "DATABASE_URL": postgresql.new_database(), "REDIS_URL": redis_url, "ROUTEIQ_CB_TIMEOUT_SECONDS": "3",
        }  # fmt: skip
        folder = tmp_path_factory.mktemp("fleet")
        with running_fleet(config(served[1]), folder, workers=WORKERS, environ=environ) as fleet:
            yield fleet
            assert fleet.terminate() == 0


@pytest.fixture
def upstream(served: tuple[Upstream, str]) -> Iterator[Upstream]:
    served[0].release()
    yield served[0]
    served[0].release()
    served[0].failing.clear()


@pytest.fixture
def lines(fleet: Fleet) -> Iterator[list[Line]]:
    """Five connections to each of the workers."""
    found = fleet.spread(5)
    yield found
    for line in found:
        line.close()


def statuses(answers: list[Answer]) -> Counter[int]:
    return Counter(answer.status for answer in answers)


def rows(fleet: Fleet, key: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = fleet.look(f"/spend/logs?api_key={key}")
    return found


def test_a_rate_limit_is_exact_over_all_workers(fleet: Fleet, upstream: Upstream, lines: list[Line]) -> None:
    # C2, C7
    key = fleet.manage("/key/generate", rpm_limit=23)["key"]
    before = upstream.count("plain")
    answers = run_all([lambda line=line: [line.ask(key=key) for _ in range(3)] for line in lines])
    flat = [answer for each in answers for answer in each]
    assert statuses(flat) == {200: 23, 429: len(flat) - 23}
    assert upstream.count("plain") - before == 23
    assert all(1 <= int(answer.headers["retry-after"]) <= 60 for answer in flat if answer.status == 429)
    # Each answer said how many were left; no two said the same.
    left = [int(a.headers["x-ratelimit-remaining-requests"]) for a in flat if a.status == 200]
    assert sorted(left) == list(range(23))
    assert len({line["worker_id"] for line in fleet.said("call")}) == WORKERS


def test_calls_at_once_are_counted_over_all_workers(
    fleet: Fleet, upstream: Upstream, lines: list[Line]
) -> None:
    # C7
    key = fleet.manage("/key/generate", max_parallel_requests=3)["key"]
    upstream.hold()
    answers: list[Answer] = []
    threads = [
        threading.Thread(target=lambda line=line: answers.append(line.ask("held", key=key))) for line in lines
    ]
    for thread in threads:
        thread.start()
    eventually(lambda: len(answers) == len(lines) - 3 and upstream.running["held"] == 3)
    assert statuses(answers) == {429: len(lines) - 3}
    upstream.release()
    for thread in threads:
        thread.join()
    assert statuses(answers) == {429: len(lines) - 3, 200: 3}
    assert upstream.most["held"] == 3
    # The slots are given back.
    again = eventually(lambda: [a for a in [lines[-1].ask("held", key=key)] if a.status == 200])
    assert again[0].status == 200


@pytest.mark.parametrize(
    ("path", "change", "status"),
    [
        ("/key/block", {}, 401),
        ("/key/update", {"models": ["pair"]}, 403),
        ("/key/update", {"rpm_limit": 1}, 429),
        ("/key/delete", None, 401),
    ],
)
def test_a_change_made_through_one_worker_holds_in_all_within_a_second(
    fleet: Fleet, upstream: Upstream, path: str, change: dict[str, object] | None, status: int
) -> None:
    # C6
    key = fleet.manage("/key/generate")["key"]
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(contextlib.closing(fleet.line(worker))) for worker in fleet.workers]
        assert statuses([line.ask(key=key) for line in lines]) == {200: WORKERS}  # every worker knows the key
        body = {"keys": [key]} if change is None else {"key": key, **change}
        assert lines[0].post(path, body).status == 200
        if status == 429:
            eventually(lambda: lines[0].ask(key=key).status == 429, seconds=1)
        for line in lines:
            eventually(lambda line=line: line.ask(key=key).status == status, seconds=1)


def test_a_budget_is_not_overspent_and_every_call_has_its_row(
    fleet: Fleet, upstream: Upstream, lines: list[Line]
) -> None:
    # C6, C7
    budget = Decimal("0.5")
    team = fleet.manage("/team/new", max_budget=0.3)["team_id"]
    key = fleet.manage("/key/generate", max_budget=float(budget), team_id=team)["key"]
    answers = [
        answer
        for each in run_all([lambda line=line: [line.ask(key=key) for _ in range(5)] for line in lines])
        for answer in each
    ]
    # All at once they reserve more than they cost; one after the other they use the rest.
    answers += [lines[0].ask(key=key) for _ in range(40)]
    answered = statuses(answers)[200]
    refused = [answer for answer in answers if answer.status != 200]
    assert statuses(refused) == {429: len(refused)}
    assert {answer.json["error"]["code"] for answer in refused} == {"budget_exceeded"}
    spent = COST * answered
    estimate = Decimal("0.001") * 60 + Decimal("0.002") * 2  # the body has fewer than 180 bytes
    assert Decimal("0.3") <= spent < Decimal("0.3") + estimate
    # Other workers ship their rows within a moment.
    found = eventually(lambda: [found for found in [rows(fleet, key)] if len(found) >= answered])[0]
    assert [row["status"] for row in found] == ["success"] * answered
    assert sum(Decimal(str(row["spend"])) for row in found) == spent
    assert Decimal(str(fleet.look(f"/key/info?key={key}")["info"]["spend"])) == spent
    assert Decimal(str(fleet.look(f"/team/info?team_id={team}")["team_info"]["spend"])) == spent


def test_metrics_are_summed_over_workers_and_survive_a_killed_one(
    fleet: Fleet, upstream: Upstream, lines: list[Line]
) -> None:
    # K12
    def answered() -> float:
        return sum(
            value
            for name, value in fleet.metrics().items()
            if name.startswith("litellm_proxy_total_requests_metric_total{") and 'status_code="200"' in name
        )

    before = answered()
    assert statuses(run_all([line.ask for line in lines])) == {200: len(lines)}
    eventually(lambda: answered() == before + len(lines))

    victim = fleet.workers[0]
    upstream.hold()
    line = fleet.line(victim)
    lost = threading.Thread(target=_ask_in_vain, args=(line,))
    lost.start()
    eventually(lambda: fleet.metrics()["litellm_in_flight_requests"] == 1)
    os.kill(victim, signal.SIGKILL)
    lost.join()
    eventually(lambda: len(fleet.workers) == WORKERS and victim not in fleet.workers, seconds=60)
    # What the dead worker counted stays, what it had under way does not.
    assert answered() == before + len(lines)
    eventually(lambda: fleet.metrics()["litellm_in_flight_requests"] == 0)
    upstream.release()
    with contextlib.closing(fleet.line(fleet.workers[-1])) as other:
        assert other.ask().status == 200
    eventually(lambda: answered() == before + len(lines) + 1)


def _ask_in_vain(line: Line) -> None:
    with pytest.raises((ConnectionResetError, RemoteDisconnected)):
        line.ask("held")


def test_a_breaker_that_opens_in_one_worker_is_open_in_all(fleet: Fleet, upstream: Upstream) -> None:
    # G2, H4
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(contextlib.closing(fleet.line(worker))) for worker in fleet.workers]
        upstream.failing.add("flaky")
        assert [lines[0].ask("flaky").status for _ in range(5)] == [502] * 5
        # The others hear of it within a moment; from then on nobody asks.
        eventually(lambda: all(line.ask("flaky").status == 503 for line in lines), seconds=5)
        asked = upstream.count("flaky")
        assert asked < 5 + 5  # none of them needed five failures of its own
        refused = run_all([lambda line=line: line.ask("flaky") for line in lines])
        assert statuses(refused) == {503: WORKERS}
        assert upstream.count("flaky") == asked
        opened = [v for name, v in fleet.metrics().items() if "breaker" in name and "flaky" in name]
        assert opened
        # Repaired: it closes in all, after one call in one of them has tried.
        upstream.failing.clear()
        for line in lines:
            eventually(lambda line=line: line.ask("flaky").status == 200, seconds=10)


def test_a_conversation_stays_with_its_deployment_whichever_worker_answers(
    fleet: Fleet, upstream: Upstream
) -> None:
    # D8, C3
    key = fleet.manage("/key/generate")["key"]

    def models(count: int) -> list[str]:
        return [body["model"] for _, _, body in upstream.requests[-count:]]

    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(contextlib.closing(fleet.line(worker))) for worker in fleet.workers]
        for conversation in ("one", "two", "three"):
            headers = {"x-routeiq-conversation": conversation}
            turns = [line.ask("pair", key=key, headers=headers).status for line in lines * 2]
            assert turns == [200] * len(turns)
            assert len(set(models(len(turns)))) == 1
        # Without a conversation they take turns.
        assert [lines[0].ask("pair", key=key).status for _ in range(4)] == [200] * 4
        assert set(models(4)) == {"pair-a", "pair-b"}


def test_the_live_strategy_holds_in_all_workers_within_a_second(
    fleet: Fleet, upstream: Upstream, redis_url: str
) -> None:
    # H1
    client = redis.Redis.from_url(redis_url)
    with contextlib.ExitStack() as stack:
        stack.callback(client.close)
        lines = [stack.enter_context(contextlib.closing(fleet.line(worker))) for worker in fleet.workers]

        def strategies() -> set[str]:
            return {line.ask("auto").headers["x-routeiq-strategy"] for line in lines}

        assert strategies() == {"declared-order"}
        client.set("routeiq:strategy:active", "round-robin")
        client.publish("routeiq:notices", "strategy round-robin")
        eventually(lambda: strategies() == {"round-robin"}, seconds=1)
        client.delete("routeiq:strategy:active")
        client.publish("routeiq:notices", "strategy ")
        eventually(lambda: strategies() == {"declared-order"}, seconds=1)
