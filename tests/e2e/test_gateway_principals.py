"""Two workers over one PostgreSQL and Redis: what is said of organizations, budgets and keys holds in both at once."""

import contextlib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from tests.appliance.postgresql import running_postgresql
from tests.e2e.fleet import Fleet, Line, eventually, run_all, running_fleet, running_redis, running_upstream

pytestmark = pytest.mark.e2e

WORKERS = 2
COST = Decimal("0.011")
"""Dollars of one call: 7 tokens in at 0.001, 2 out at 0.002."""
ESTIMATE = Decimal("0.001") * 60 + Decimal("0.002") * 2
"""What a call reserves at most: its body has fewer than 180 bytes."""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder: Path = tmp_path_factory.mktemp("principals")
    with (
        running_redis(folder / "r") as redis_url,
        running_upstream() as (_, api_base),
        running_postgresql() as postgresql,
    ):
        params = {"model": "openai/plain", "api_base": api_base, "api_key": "sk-up",
                  "input_cost_per_token": 0.001, "output_cost_per_token": 0.002}  # fmt: skip
        config = {
            "model_list": [{"model_name": "plain", "litellm_params": params}],
            "router_settings": {"num_retries": 0},
            "routeiq": {"egress": "sealed", "canaries": []},
        }
        environ = {"DATABASE_URL": postgresql.new_database(), "REDIS_URL": redis_url}
        with running_fleet(config, folder / "f", workers=WORKERS, environ=environ) as fleet:
            yield fleet
            assert fleet.terminate() == 0


@pytest.fixture
def lines(fleet: Fleet) -> Iterator[list[Line]]:
    """Three connections to each worker."""
    found = fleet.spread(3)
    yield found
    for line in found:
        line.close()


def test_an_organizations_budget_holds_over_all_its_teams_and_workers(
    fleet: Fleet, lines: list[Line]
) -> None:
    # C6, C7, H11: no key and no team has a budget; together they do not spend more than the organization's.
    organization = fleet.manage("/organization/new", organization_alias="Org", max_budget=0.3)[
        "organization_id"
    ]
    teams = [fleet.manage("/team/new", organization_id=organization)["team_id"] for _ in range(2)]
    keys = [fleet.manage("/key/generate", team_id=team)["key"] for team in teams]
    keys.append(fleet.manage("/key/generate", organization_id=organization)["key"])
    pairs = list(zip(lines, keys * 2, strict=True))
    answers = [
        answer
        for each in run_all(
            [lambda line=line, key=key: [line.ask(key=key) for _ in range(5)] for line, key in pairs]
        )
        for answer in each
    ]
    # All at once they reserve more than they cost; one after the other they use the rest.
    answers += [lines[number % len(lines)].ask(key=keys[number % 3]) for number in range(40)]
    answered = sum(answer.status == 200 for answer in answers)
    refused = [answer.json["error"] for answer in answers if answer.status != 200]
    assert {(error["code"], error["message"]) for error in refused} == {
        ("budget_exceeded", "the budget of this organization is spent")
    }
    spent = COST * answered
    assert Decimal("0.3") <= spent < Decimal("0.3") + ESTIMATE

    def told() -> bool:
        return (
            Decimal(str(fleet.look(f"/organization/info?organization_id={organization}")["spend"])) == spent
        )

    # Other workers ship their rows within a moment.
    eventually(told)
    others = fleet.manage("/key/generate")["key"]
    assert lines[0].ask(key=others).status == 200


def test_a_regenerated_keys_old_secret_is_dead_in_every_worker(fleet: Fleet) -> None:  # C6, I1
    made = fleet.manage("/key/generate", rpm_limit=1000)
    old = made["key"]
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(contextlib.closing(fleet.line(worker))) for worker in fleet.workers]
        assert [line.ask(key=old).status for line in lines] == [200] * WORKERS  # every worker knows the key
        answer = lines[0].post("/key/regenerate", {"key": old})
        assert answer.status == 200
        new = answer.json["key"]
        assert (answer.json["token_id"], answer.json["rpm_limit"]) == (made["token_id"], 1000)
        for line in lines:
            eventually(lambda line=line: line.ask(key=old).status == 401, seconds=1)
            assert line.ask(key=new).status == 200

    def counted() -> bool:
        return Decimal(str(fleet.look(f"/key/info?key={new}")["info"]["spend"])) >= COST * 4

    eventually(counted)


def test_a_named_budget_is_changed_for_all_who_refer_to_it_in_every_worker(fleet: Fleet) -> None:  # C6, C7
    budget = fleet.manage("/budget/new", rpm_limit=1000)["budget_id"]
    user = fleet.manage("/user/new", budget_id=budget)["key"]
    key = fleet.manage("/key/generate", budget_id=budget)["key"]
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(contextlib.closing(fleet.line(worker))) for worker in fleet.workers]
        for each in (user, key):
            assert [line.ask(key=each).status for line in lines] == [200] * WORKERS
        assert lines[0].post("/budget/update", {"budget_id": budget, "rpm_limit": 1}).status == 200
        for line in lines:
            for each in (user, key):
                eventually(lambda line=line, each=each: line.ask(key=each).status == 429, seconds=1)


def test_an_organization_that_is_deleted_opens_nothing_in_any_worker(fleet: Fleet) -> None:  # C6, I1
    organization = fleet.manage("/organization/new", organization_alias="Gone")["organization_id"]
    team = fleet.manage("/team/new", organization_id=organization)["team_id"]
    key = fleet.manage("/key/generate", team_id=team)["key"]
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(contextlib.closing(fleet.line(worker))) for worker in fleet.workers]
        assert [line.ask(key=key).status for line in lines] == [200] * WORKERS
        body = {"organization_ids": [organization]}
        assert (
            lines[0].request("DELETE", "/organization/delete", body, key="sk-master-key-of-the-tests").status
            == 200
        )
        for line in lines:
            eventually(lambda line=line: line.ask(key=key).status == 401, seconds=1)
