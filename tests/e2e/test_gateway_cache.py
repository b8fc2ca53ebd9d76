"""Two workers and a real Redis: what one has answered the other answers too, and never to another team."""

import contextlib
from collections.abc import Iterator
from decimal import Decimal

import pytest
import redis
from tests.appliance.postgresql import running_postgresql
from tests.e2e.fleet import (
    Answer,
    Fleet,
    Line,
    Upstream,
    eventually,
    running_fleet,
    running_redis,
    running_upstream,
)

pytestmark = pytest.mark.e2e

COST = Decimal("0.011")
"""Dollars of one call: 7 tokens in at 0.001, 2 out at 0.002."""


def config(api_base: str, scope: str) -> dict[str, object]:
    params = {
        "api_base": api_base,
        "api_key": "sk-up",
        "input_cost_per_token": 0.001,
        "output_cost_per_token": 0.002,
    }
    return {
        "model_list": [
            {"model_name": name, "litellm_params": {"model": f"openai/{name}", **params}} for name in ("plain", "tools")
        ],
        "routeiq": {"egress": "sealed", "canaries": [], "cache": {"scope": scope}},
    }  # fmt: skip


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Upstream, str]]:
    with running_upstream() as served:
        yield served


@pytest.fixture(scope="module")
def cache_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_redis(tmp_path_factory.mktemp("redis") / "cache") as url:
        yield url


@pytest.fixture(scope="module")
def fleet(
    served: tuple[Upstream, str], cache_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    with running_postgresql() as postgresql, running_redis(folder / "state") as state_url:
        environ = {
            "DATABASE_URL": postgresql.new_database(), "REDIS_URL": state_url, "ROUTEIQ_CACHE_ENABLED": "true",
            "ROUTEIQ_CACHE_REDIS_URL": cache_url,
        }  # fmt: skip
        with running_fleet(config(served[1], "team"), folder / "f", workers=2, environ=environ) as fleet:
            yield fleet
            assert fleet.terminate() == 0


@pytest.fixture
def lines(fleet: Fleet) -> Iterator[tuple[Line, Line]]:
    """A connection to each of the workers."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(contextlib.closing(fleet.line(worker))) for worker in fleet.workers]
        yield found[0], found[1]


def told(answer: Answer) -> str:
    assert answer.status == 200, answer.body
    return answer.headers["x-routeiq-cache"]


def stored(url: str, count: int) -> None:
    """Wait until so many answers are in Redis: nobody waits for a write."""
    with contextlib.closing(redis.Redis.from_url(url)) as client:
        eventually(lambda: client.dbsize() == count, what="the write")


@pytest.mark.parametrize("stream", [False, True])
def test_one_worker_answers_with_what_the_other_has_stored(
    fleet: Fleet, served: tuple[Upstream, str], lines: tuple[Line, Line], cache_url: str, stream: bool
) -> None:  # H10
    with contextlib.closing(redis.Redis.from_url(cache_url)) as client:
        client.flushall()
    key = fleet.manage("/key/generate")["key"]
    before = served[0].count("tools")

    def ask(line: Line) -> Answer:
        return line.ask("tools", key=key, temperature=0, stream=stream)

    first = ask(lines[0])
    assert told(first) == "miss"
    stored(cache_url, 1)
    second, third = ask(lines[1]), ask(lines[1])
    assert (told(second), told(third)) == ("hit", "hit")
    assert first.body == second.body == third.body
    assert served[0].count("tools") == before + 1
    found = eventually(lambda: [f for f in [fleet.look(f"/spend/logs?api_key={key}")] if len(f) == 3])[0]
    assert sorted(Decimal(str(row["spend"])) for row in found) == [0, 0, COST]
    assert Decimal(str(fleet.look(f"/key/info?key={key}")["info"]["spend"])) == COST
    level = 'litellm_cache_hits_metric_total{level="%s",model="tools",team="none"}'
    eventually(lambda: all(fleet.metrics().get(level % name, 0) >= 1 for name in ("redis", "memory")))


def test_no_team_gets_what_another_was_answered(
    fleet: Fleet, served: tuple[Upstream, str], lines: tuple[Line, Line], cache_url: str
) -> None:
    with contextlib.closing(redis.Redis.from_url(cache_url)) as client:
        client.flushall()
    teams = [fleet.manage("/team/new")["team_id"] for _ in range(2)]
    blue, red = [[fleet.manage("/key/generate", team_id=team)["key"] for _ in range(2)] for team in teams]
    assert told(lines[0].ask(key=blue[0], temperature=0)) == "miss"
    stored(cache_url, 1)
    assert told(lines[1].ask(key=blue[1], temperature=0)) == "hit"
    assert [told(line.ask(key=red[0], temperature=0)) for line in (lines[1], lines[0])] == ["miss", "hit"]
    assert told(lines[0].ask(temperature=0)) == "miss"  # the master key has no team
