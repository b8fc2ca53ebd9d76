"""A model that is made on one worker answers on both at once, ends on both, and outlives restarts (C6, H11)."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from tests.appliance.postgresql import PostgreSQL, running_postgresql
from tests.e2e.fleet import (
    MASTER_KEY,
    Fleet,
    Line,
    Upstream,
    eventually,
    running_fleet,
    running_redis,
    running_upstream,
)

from routeiq_appliance.egress import switches

pytestmark = pytest.mark.e2e

KEY = "sk-credential-of-the-user"


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSQL]:
    with running_postgresql() as server:
        yield server


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_redis(tmp_path_factory.mktemp("redis") / "r") as url:
        yield url


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Upstream, str]]:
    with running_upstream() as served:
        yield served


@pytest.fixture
def environ(postgresql: PostgreSQL, redis_url: str) -> dict[str, str]:
    return {
        "DATABASE_URL": postgresql.new_database(), "REDIS_URL": redis_url, "STORE_MODEL_IN_DB": "true",
        "ROUTEIQ_STORE_KEY": "store-key-of-the-tests-32-characters", "ROUTEIQ_SSRF_CIDR_ALLOWLIST": "127.0.0.0/8",
    }  # fmt: skip


def config(api_base: str) -> dict[str, Any]:
    params = {"model": "openai/plain", "api_base": api_base, "api_key": "sk-up"}
    return {
        "model_list": [{"model_name": "plain", "litellm_params": params}],
        "routeiq": {"egress": "sealed", "canaries": []},
    }


def body(name: str, api_base: str, **info: Any) -> dict[str, Any]:
    params = {"model": f"openai/{name}", "api_base": api_base, "api_key": KEY}
    return {"model_name": name, "litellm_params": params, "model_info": info}


@contextlib.contextmanager
def lines(fleet: Fleet) -> Iterator[list[Line]]:
    """One connection to each worker."""
    found = fleet.spread(1)
    try:
        yield found
    finally:
        for line in found:
            line.close()


def statuses(found: list[Line], model: str) -> set[int]:
    return {line.ask(model).status for line in found}


def asked(upstream: Upstream, line: Line, model: str) -> str:
    """Call `model`; returns what the upstream was asked for."""
    assert line.ask(model).status == 200
    return str(upstream.requests[-1][2]["model"])


def test_a_model_is_on_every_worker_within_a_second_and_gone_as_soon(
    environ: dict[str, str], served: tuple[Upstream, str], tmp_path: Path
) -> None:
    upstream, api_base = served
    with (
        running_fleet(config(api_base), tmp_path, workers=2, environ=environ) as fleet,
        lines(fleet) as (one, two),
    ):
        for maker, other, name in ((one, two, "first"), (two, one, "second")):
            answer = maker.post("/model/new", body(name, api_base))
            assert answer.status == 200, answer.body
            assert maker.ask(name).status == 200, "who made it has it with the answer"
            eventually(
                lambda other=other, name=name: other.ask(name).status == 200, seconds=1.0, what="the other's"
            )
            changed = {
                "model_info": {"id": answer.json["model_id"]},
                "litellm_params": {"model": "openai/moved"},
            }
            assert other.post("/model/update", changed).status == 200
            eventually(
                lambda maker=maker, name=name: asked(upstream, maker, name) == "moved",
                seconds=1.0,
                what="the change",
            )
            assert upstream.requests[-1][1]["authorization"] == f"Bearer {KEY}"
            assert other.post("/model/delete", {"id": answer.json["model_id"]}).status == 200
            assert other.ask(name).status == 404
            eventually(
                lambda maker=maker, name=name: maker.ask(name).status == 404, seconds=1.0, what="the end"
            )
        assert statuses([one, two], "plain") == {200}
        assert fleet.look("/health/readiness")["egress"]["refused"] == 0


def test_a_restart_keeps_models_and_the_database_holds_no_credential(
    environ: dict[str, str], served: tuple[Upstream, str], tmp_path: Path
) -> None:
    _, api_base = served
    with running_fleet(config(api_base), tmp_path / "a", workers=2, environ=environ) as fleet:
        fleet.manage("/model/new", **body("kept", api_base, id="kept-1"))
        with lines(fleet) as both:
            eventually(lambda: statuses(both, "kept") == {200}, what="both workers")
        worker = fleet.workers[0]
        os.kill(worker, signal.SIGKILL)
        eventually(lambda: worker not in fleet.workers and len(fleet.workers) == 2, what="a new worker")
        with lines(fleet) as both:
            assert statuses(both, "kept") == {200}, "a worker that comes later has it from its start"
        assert KEY not in str(fleet.lines)
    with psycopg.connect(environ["DATABASE_URL"]) as connection:
        rows = str(connection.execute("SELECT * FROM models").fetchall())
    assert "kept-1" in rows
    assert KEY not in rows
    assert KEY.encode().hex() not in rows
    with (
        running_fleet(config(api_base), tmp_path / "b", workers=2, environ=environ) as fleet,
        lines(fleet) as both,
    ):
        assert statuses(both, "kept") == {200}


def test_what_redis_did_not_tell_is_seen_when_it_is_back(
    environ: dict[str, str], served: tuple[Upstream, str], tmp_path: Path
) -> None:
    _, api_base = served
    with running_redis(tmp_path / "own-redis") as url:
        environ = environ | {"REDIS_URL": url}
        with (
            running_fleet(config(api_base), tmp_path / "f", workers=2, environ=environ) as fleet,
            lines(fleet) as both,
        ):
            client = redis.Redis.from_url(url)
            # Its connections live, and nobody is told anything.
            client.execute_command("CLIENT", "PAUSE", 3000)
            answer = both[0].post("/model/new", body("late", api_base, id="late-1"))
            assert answer.status == 200
            assert both[0].ask("late").status == 200
            eventually(
                lambda: both[1].ask("late").status == 200, what="the other worker, after its reconnection"
            )
            client.close()


def test_litellms_own_client_manages_models(
    environ: dict[str, str], served: tuple[Upstream, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # C6
    for name, value in switches.SWITCHES.items():
        monkeypatch.setenv(name, value)
    from litellm.proxy.client import ModelsManagementClient
    from litellm.proxy.client.exceptions import NotFoundError

    _, api_base = served
    with running_fleet(config(api_base), tmp_path, workers=1, environ=environ) as fleet:
        # Of one worker: the client does not wait until the others have heard.
        client = ModelsManagementClient(fleet.url, MASTER_KEY)
        made: Any = client.new("new", body("new", api_base)["litellm_params"])
        assert "new" in [item["id"] for item in client.list()]  # type: ignore[index]
        shown: Any = client.get(model_id=made["model_id"])
        assert (shown["model_name"], shown["model_info"]["db_model"]) == ("new", True)
        client.update(made["model_id"], {"rpm": 1000})
        changed: Any = client.get(model_name="new")
        assert changed["litellm_params"]["rpm"] == 1000
        client.delete(made["model_id"])
        with pytest.raises(NotFoundError):
            client.delete(made["model_id"])


def test_an_address_that_is_not_listed_is_refused_and_nothing_dialled(
    environ: dict[str, str], served: tuple[Upstream, str], tmp_path: Path
) -> None:  # I4
    _, api_base = served
    with (
        running_fleet(config(api_base), tmp_path, workers=2, environ=environ) as fleet,
        lines(fleet) as (line, _),
    ):
        for address in ("http://169.254.169.254/", "http://10.1.2.3/v1", "http://2130706433/", "http://8.8.8.8/v1",
                        "http://[::ffff:169.254.169.254]/", "http://metadata.google.internal/"):  # fmt: skip
            answer = line.post("/model/new", body("bad", address))
            assert (answer.status, answer.json["error"]["code"]) == (400, "address_refused"), answer.body
        health = line.get("/health").json
        assert (health["healthy_count"], health["unhealthy_count"]) == (1, 0)
        for service in ("postgres", "redis"):
            assert line.get(f"/health/services?service={service}").json["status"] == "success"
        assert line.get("/health/config-sync").json["status"] == "synced"
