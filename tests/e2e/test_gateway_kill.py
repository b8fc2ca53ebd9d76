"""A worker's death, an outage of the database, the end of the gateway: no answer is left without its row."""

import contextlib
import http.client
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from tests.appliance.postgresql import PostgreSQL, running_postgresql
from tests.appliance.routed import signed_models
from tests.e2e.fleet import (
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

COST = 11_000_000_000
"""Pico-dollars of one call: 7 tokens in at 0.001, 2 out at 0.002."""


def config(api_base: str) -> dict[str, Any]:
    def group(name: str) -> dict[str, object]:
        params = {"model": f"openai/{name}", "api_base": api_base, "api_key": "sk-up",
                  "input_cost_per_token": 0.001, "output_cost_per_token": 0.002}  # fmt: skip
        return {"model_name": name, "litellm_params": params}

    return {"model_list": [group("plain"), group("held")], "routeiq": {"egress": "sealed", "canaries": []}}


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_redis(tmp_path_factory.mktemp("redis") / "r") as url:
        yield url


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSQL]:
    with running_postgresql() as server:
        yield server


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Upstream, str]]:
    with running_upstream() as served:
        yield served


@pytest.fixture
def environ(postgresql: PostgreSQL, redis_url: str) -> dict[str, str]:
    return {"DATABASE_URL": postgresql.new_database(), "REDIS_URL": redis_url}


class Database:
    """What the ledger holds."""

    def __init__(self, url: str) -> None:
        self._url = url

    def calls(self) -> dict[str, str]:
        """The outcome of each call."""
        with psycopg.connect(self._url) as connection:
            return dict(connection.execute("SELECT id, outcome FROM calls").fetchall())

    def spent(self, scope: str) -> int:
        """Pico-dollars."""
        with psycopg.connect(self._url) as connection:
            row = connection.execute("SELECT sum(amount) FROM spend WHERE scope = %s", (scope,)).fetchone()
        return int(row[0] or 0) if row else 0

    def cost(self) -> int:
        """Pico-dollars of all rows."""
        with psycopg.connect(self._url) as connection:
            row = connection.execute("SELECT sum(cost) FROM calls").fetchone()
        return int(row[0] or 0) if row else 0


class Load:
    """Clients that ask one call after the other, each on its own connection, until `stop` or their worker's end."""

    def __init__(self, lines: list[Line], key: str) -> None:
        self.answered: list[str] = []
        self.failed: Counter[int] = Counter()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(line, key)) for line in lines]
        for thread in self._threads:
            thread.start()

    def _run(self, line: Line, key: str) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(line):
            while not self._stop.is_set():
                answer = line.ask(key=key)
                if answer.status == 200:
                    self.answered.append(answer.headers["x-request-id"])
                else:
                    self.failed[answer.status] += 1
                    return

    def reach(self, count: int) -> None:
        """Wait for that many answers more."""
        wanted = len(self.answered) + count
        eventually(lambda: len(self.answered) >= wanted or self.failed, what=f"{wanted} answers")

    def stop(self) -> None:
        """Let each client end its call."""
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()


def journal_ids(data_dir: Path, worker: int | None = None) -> set[str]:
    """Return the calls whose rows are on disk, of one worker or of all."""
    found = set()
    for file in (data_dir / "journal").glob("*.jsonl"):
        if worker is None or f"-{worker}." in file.name:
            found |= {json.loads(line)["id"] for line in file.read_text().splitlines() if line.strip()}
    return found


def shipped(database: Database, answered: list[str]) -> dict[str, str]:
    """Wait until the rows of the answered calls are there; returns all rows."""
    eventually(
        lambda: set(answered) <= set(database.calls()), seconds=60, what="the rows' way to the database"
    )
    return database.calls()


def test_rows_of_a_killed_worker_are_shipped_once_by_another(
    served: tuple[Upstream, str], postgresql: PostgreSQL, environ: dict[str, str], tmp_path: Path
) -> None:
    with running_fleet(config(served[1]), tmp_path, workers=3, environ=environ) as fleet:
        database = Database(environ["DATABASE_URL"])
        key = fleet.manage("/key/generate")
        load = Load(fleet.spread(3), key["key"])
        load.reach(100)
        postgresql.stop()
        try:
            load.reach(200)  # keys seen before keep working
            victim = fleet.workers[0]
            eventually(lambda: len(journal_ids(fleet.data_dir, victim)) > 20)
            os.kill(victim, signal.SIGKILL)
            held = journal_ids(fleet.data_dir, victim)
            load.reach(100)  # the others serve on
            load.stop()
            # Its successors cannot begin without the database; nobody else ends because of that.
            eventually(
                lambda: fleet.said("worker cannot serve: it ends, and another tries again"), seconds=60
            )
            assert fleet.process.poll() is None
            assert len(fleet.workers) == 2
        finally:
            postgresql.start()
        rows = shipped(database, load.answered)
        eventually(lambda: held <= set(database.calls()))
        assert load.failed == {}
        # The supervisor has a third worker again, and nothing is left of the dead one's journal.
        eventually(lambda: len(fleet.workers) == 3, seconds=60)
        eventually(lambda: not journal_ids(fleet.data_dir, victim), seconds=60)
        eventually(lambda: len(fleet.said("ledger journal of a dead worker shipped")) == 1)
        rows = database.calls()
        assert set(load.answered) <= set(rows)
        # Beyond what clients got there may be a row of a call whose client the dead worker left.
        assert 0 <= len(rows) - len(load.answered) <= 3
        assert database.spent(f"key:{_id(fleet, key)}") == database.cost()
        assert database.cost() == COST * sum(outcome == "answered" for outcome in rows.values())
        with contextlib.closing(fleet.line(fleet.workers[-1])) as line:
            assert line.ask(key=key["key"]).status == 200
        assert fleet.terminate() == 0
    assert not journal_ids(fleet.data_dir)


def test_a_worker_killed_under_load_leaves_a_row_for_each_answer(
    served: tuple[Upstream, str], environ: dict[str, str], tmp_path: Path
) -> None:
    with running_fleet(config(served[1]), tmp_path, workers=2, environ=environ) as fleet:
        database = Database(environ["DATABASE_URL"])
        key = fleet.manage("/key/generate", max_parallel_requests=50)
        answered: list[str] = []
        for _ in range(3):
            load = Load(fleet.spread(4), key["key"])
            load.reach(150)
            victim = fleet.workers[0]
            os.kill(victim, signal.SIGKILL)
            load.reach(50)
            load.stop()
            assert load.failed == {}
            answered += load.answered
            eventually(lambda: len(fleet.workers) == 2, seconds=60)
        assert len(set(answered)) == len(answered)
        rows = shipped(database, answered)
        assert database.spent(f"key:{_id(fleet, key)}") == database.cost()
        assert database.cost() == COST * sum(outcome == "answered" for outcome in rows.values())
        assert fleet.terminate() == 0


def test_gateways_that_share_a_data_directory_ship_each_others_rows(
    served: tuple[Upstream, str], postgresql: PostgreSQL, environ: dict[str, str], tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    with contextlib.ExitStack() as stack:
        one, two = (
            stack.enter_context(
                running_fleet(config(served[1]), tmp_path / name, workers=1, environ=environ, data_dir=data_dir)
            )
            for name in ("one", "two")
        )  # fmt: skip
        database = Database(environ["DATABASE_URL"])
        key = one.manage("/key/generate")
        loads = [Load(gateway.spread(3), key["key"]) for gateway in (one, two)]
        for load in loads:
            load.reach(50)
        postgresql.stop()
        try:
            for load in loads:
                load.reach(50)
            os.kill(one.process.pid, signal.SIGKILL)
            loads[1].reach(50)
            for load in loads:
                load.stop()
        finally:
            postgresql.start()
        answered = loads[0].answered + loads[1].answered
        rows = shipped(database, answered)
        assert [load.failed for load in loads] == [Counter(), Counter()]
        eventually(lambda: len(two.said("ledger journal of a dead worker shipped")) == 1)
        rows = database.calls()
        assert database.spent(f"key:{_id(two, key)}") == database.cost()
        assert database.cost() == COST * sum(outcome == "answered" for outcome in rows.values())
        assert two.terminate() == 0
    assert not journal_ids(data_dir)


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_lets_earlier_calls_end_and_leaves_no_row_behind(
    served: tuple[Upstream, str], environ: dict[str, str], tmp_path: Path, workers: int
) -> None:
    # G1
    upstream, api_base = served
    with running_fleet(config(api_base), tmp_path, workers=workers, environ=environ) as fleet:
        database = Database(environ["DATABASE_URL"])
        key = fleet.manage("/key/generate")["key"]
        load = Load(fleet.spread(2), key)
        load.reach(50)
        load.stop()
        upstream.hold()
        before = upstream.count("held")
        held = [(line, stream) for stream in (False, True) for line in fleet.spread(2)]
        answers: list[Any] = []
        waiting = threading.Thread(
            target=lambda: answers.extend(
                run_all([lambda line=line, stream=stream: line.ask("held", key=key, stream=stream)
                         for line, stream in held])
            )
        )  # fmt: skip
        waiting.start()
        eventually(lambda: upstream.count("held") - before == len(held))
        fleet.process.terminate()
        eventually(lambda: _refuses(fleet))
        upstream.release()
        waiting.join(60)
        assert fleet.process.wait(60) == 0
        assert [answer.status for answer in answers] == [200] * len(held)
        for (_, stream), answer in zip(held, answers, strict=True):
            assert answer.body.rstrip().endswith(b"data: [DONE]") if stream else answer.json["choices"]
        rows = database.calls()
        answered = {*load.answered, *(answer.headers["x-request-id"] for answer in answers)}
        assert set(rows) == answered
        assert set(rows.values()) == {"answered"}
    assert not journal_ids(fleet.data_dir)


def test_sighup_puts_a_new_configuration_in_place_and_fails_no_call(
    served: tuple[Upstream, str], environ: dict[str, str], tmp_path: Path
) -> None:
    first = config(served[1])
    first["routeiq"]["auto"] = {"artifact": "routers/tiny", "embedder": "embedders/tiny"}
    trust = signed_models(tmp_path, models=("plain", "held", "new"))
    environ |= {"ROUTEIQ_TRUST_KEY": str(trust), "ROUTEIQ_MODELS_PATH": str(tmp_path / "models")}
    with running_fleet(first, tmp_path, workers=2, environ=environ) as fleet:
        before = fleet.workers
        stop = threading.Event()
        statuses: Counter[int] = Counter()

        def client() -> None:
            while not stop.is_set():
                # A worker that ends hangs up on connections that have asked nothing yet; clients ask again.
                hung_up = contextlib.suppress(ConnectionResetError, http.client.RemoteDisconnected)
                with contextlib.closing(fleet.line()) as line, hung_up:
                    statuses[line.ask().status] += 1

        threads = [threading.Thread(target=client) for _ in range(4)]
        for thread in threads:
            thread.start()
        eventually(lambda: statuses[200] > 50)
        more = {
            **first,
            "model_list": [*first["model_list"], {**first["model_list"][0], "model_name": "new"}],
        }
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(more))
        fleet.process.send_signal(signal.SIGHUP)
        eventually(lambda: len(fleet.workers) == 2 and not set(before) & set(fleet.workers), seconds=60)
        stop.set()
        for thread in threads:
            thread.join(60)
        assert set(statuses) == {200}
        with contextlib.closing(fleet.line()) as line:
            assert line.ask("new").status == 200
        # Gauges of the replaced are gone, what they counted is not.
        eventually(lambda: fleet.metrics()["litellm_in_flight_requests"] == 0)
        counted = 'litellm_proxy_total_requests_metric_total{api_provider="openai",model="plain"'
        eventually(
            lambda: sum(v for name, v in fleet.metrics().items() if name.startswith(counted)) == statuses[200]
        )

        # A configuration that cannot serve changes nothing.
        (tmp_path / "config.yaml").write_text("model_list: 5\n")
        serving = fleet.workers
        fleet.process.send_signal(signal.SIGHUP)
        eventually(lambda: fleet.said("worker cannot serve: it ends, and another tries again"), seconds=60)
        with contextlib.closing(fleet.line()) as line:
            assert line.ask("new").status == 200
        assert fleet.workers == serving
        eventually(
            lambda: any("aborting the restart" in line.get("message", "") for line in list(fleet.lines))
        )

        # Nor does an artifact that is not the signed one: the one before stays in service.
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(more))
        weights = tmp_path / "models" / "routers" / "tiny" / "weights.safetensors"
        weights.write_bytes(weights.read_bytes() + b"\0")
        fleet.process.send_signal(signal.SIGHUP)
        refused = "weights.safetensors: its digest is "
        eventually(lambda: any(refused in str(line.get("error")) for line in list(fleet.lines)), seconds=60)
        with contextlib.closing(fleet.line()) as line:
            answer = line.ask("auto")
            assert (answer.status, answer.headers["x-routeiq-strategy"]) == (200, "ml-ridge")
        assert fleet.workers == serving
        assert fleet.terminate() == 0


def test_workers_end_with_a_killed_supervisor_and_leave_no_row_behind(
    served: tuple[Upstream, str], environ: dict[str, str], tmp_path: Path
) -> None:
    with running_fleet(config(served[1]), tmp_path, workers=2, environ=environ) as fleet:
        key = fleet.manage("/key/generate")["key"]
        load = Load(fleet.spread(2), key)
        load.reach(50)
        fleet.process.kill()
        eventually(lambda: fleet.workers == [], seconds=30)
        load.stop()
        assert load.failed == {}
        assert set(load.answered) <= set(Database(environ["DATABASE_URL"]).calls())
    assert not journal_ids(fleet.data_dir)


def _refuses(fleet: Fleet) -> bool:
    """Whether no new connection is answered."""
    try:
        with contextlib.closing(Line(fleet.port)) as line:
            return line.get("/health/readiness").status == 503
    except (OSError, http.client.HTTPException):
        return True


def _id(fleet: Fleet, key: dict[str, Any]) -> str:
    """Return what the ledger calls a key."""
    return str(key.get("token_id") or fleet.look(f"/key/info?key={key['key']}")["info"]["token_id"])
