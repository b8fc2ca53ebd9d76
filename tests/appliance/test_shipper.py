import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.appliance.ledger_rows import charged, ids_of, make_row, spend_of
from tests.appliance.postgresql import PostgreSQL, running_postgresql

from routeiq_appliance.state.database import database_url, open_engine
from routeiq_appliance.state.journal import Journal, JournalLimits
from routeiq_appliance.state.ledger import Ledger
from routeiq_appliance.state.migrate import migrate
from routeiq_appliance.state.posting import Poster, RefusedRowsError, open_poster
from routeiq_appliance.state.segments import journal_names, segments
from routeiq_appliance.state.shipper import Pace, Shipper
from routeiq_appliance.state.spend import spend_logs

Eventually = Callable[[Callable[[], bool]], None]

QUICK = Pace(gather=0.001, idle=0.01, adopt=0.01, backoff=0.001, longest_backoff=0.01)


class FailingPoster(Poster):
    """Fails as often as `failures` says, then posts."""

    def __init__(self, poster: Poster) -> None:
        self._poster = poster
        self.failures = 0
        self.attempts = 0

    def post(self, rows: Sequence[bytes]) -> int:
        self.attempts += 1
        if self.failures:
            self.failures -= 1
            raise sa.exc.OperationalError("INSERT", None, Exception("the server is away"))
        return self._poster.post(rows)


def kill(journal: Journal) -> None:
    """What the kernel does with a journal whose process is killed."""
    os.close(journal._descriptor)
    os.close(journal._claim._descriptor)


def test_a_row_is_kept_as_it_was_written(engine: sa.Engine) -> None:
    assert open_poster(engine).post([make_row(7)]) == 1
    (row,) = spend_logs(engine)
    assert row["started_at"].isoformat(timespec="microseconds") == "2026-11-21T08:00:00.123456+00:00"
    wanted = json.loads(make_row(7))
    del wanted["charges"], wanted["started_at"]
    assert {name: value for name, value in row.items() if name != "started_at"} == wanted
    assert spend_of(engine) == {("team:t1", 1_700_000_000): 7, ("key:k1", 0): 7}


def test_names_that_a_row_lacks_are_defaults(engine: sa.Engine) -> None:
    row = {"id": "a", "started_at": "2026-11-21T10:00:00+02:00", "key_id": "k", "kind": "chat", "asked": "x",
           "status": 503, "outcome": "no_candidate", "unknown": 1}  # fmt: skip
    assert open_poster(engine).post([json.dumps(row).encode()]) == 1
    (kept,) = spend_logs(engine)
    assert kept["started_at"].isoformat() == "2026-11-21T08:00:00+00:00"
    assert (kept["attempts"], kept["prompt_tokens"], kept["stream"], kept["estimated"]) == (
        1,
        0,
        False,
        False,
    )
    assert (kept["cost"], kept["decision"], kept["team_id"]) == (None, None, None)
    assert spend_of(engine) == {}


def test_rows_that_the_ledger_has_add_nothing(engine: sa.Engine) -> None:
    poster = open_poster(engine)
    rows = [make_row(number) for number in range(1, 6)]
    assert poster.post(rows) == 5
    assert poster.post(rows) == 0
    assert poster.post([*rows, make_row(6), make_row(6), make_row(3)]) == 1
    assert ids_of(engine) == [1, 2, 3, 4, 5, 6]
    assert spend_of(engine) == charged([*rows, make_row(6)])


def test_a_call_without_a_price_or_a_cost_charges_nothing(engine: sa.Engine) -> None:
    assert open_poster(engine).post([make_row(1, cost=None), make_row(2, cost=0)]) == 2
    assert spend_of(engine) == {}
    assert [row["cost"] for row in spend_logs(engine)] == [0, None]


def test_a_transaction_that_fails_half_way_takes_nothing(engine: sa.Engine) -> None:
    def fail(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "INSERT INTO spend" in statement:
            raise sa.exc.OperationalError(statement, None, Exception("the server went away"))

    event = "before_cursor_execute" if engine.dialect.name == "sqlite" else "after_cursor_execute"
    sa.event.listen(engine, event, fail)
    with pytest.raises(sa.exc.OperationalError):
        open_poster(engine).post([make_row(1)])
    sa.event.remove(engine, event, fail)
    assert (ids_of(engine), spend_of(engine)) == ([], {})


BAD = {
    "not json": b'{"id": ',
    "not utf-8": b'{"id": "\xff"}',
    "zeroes of a power cut": b"\0\0\0",
    "not an object": b"[1]",
    "no id": b'{"started_at": "2026-11-21T08:00:00+00:00"}',
    "null for a needed name": make_row(9, status=None),
    "text for a number": make_row(9, prompt_tokens="many"),
    "a number beyond all": make_row(9, cost=10**40),
    "no instant": make_row(9, started_at="yesterday or so"),
    "charges that are none": make_row(9, charges=[["team:t", "x"]]),
    "deep nesting": b'{"id": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_a_row_that_no_database_takes_is_parked_and_the_others_are_shipped(
    engine: sa.Engine, tmp_path: Path, bad: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(tmp_path / "journal", "w")
    shipper = Shipper(open_poster(engine), journal)
    good = [make_row(number) for number in range(1, 8)]
    for row in [*good[:3], bad, *good[3:]]:
        journal.append(row)
    with caplog.at_level(logging.ERROR):
        while shipper.step():
            pass
    assert ids_of(engine) == [1, 2, 3, 4, 5, 6, 7]
    assert spend_of(engine) == charged(good)
    assert (tmp_path / "journal" / "refused.jsonl").read_bytes() == bad + b"\n"
    assert (shipper.refused, shipper.shipped) == (1, 8)
    assert [record.message for record in caplog.records] == ["ledger row refused by the database: parked"]
    assert "many" not in str(caplog.records[0].__dict__)


def test_a_nul_in_a_text_does_not_stop_the_others(engine: sa.Engine, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", "w")
    shipper = Shipper(open_poster(engine), journal)
    for row in (make_row(1), make_row(2, asked="a\0b"), make_row(3)):
        journal.append(row)
    while shipper.step():
        pass
    assert {1, 3} <= set(ids_of(engine))
    assert len(ids_of(engine)) + shipper.refused == 3


def test_a_parked_row_is_shipped_once_it_is_repaired(engine: sa.Engine, tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "repaired.00000001.jsonl").write_bytes(make_row(4) + b"\n")
    shipper = Shipper(open_poster(engine), Journal(tmp_path / "journal", "w"))
    while shipper.adopt():
        pass
    assert ids_of(engine) == [4]
    assert journal_names(tmp_path / "journal") == ["w"]


def test_a_schema_that_is_missing_is_waited_for(tmp_path: Path) -> None:
    engine = open_engine(database_url(None, tmp_path))
    with pytest.raises(sa.exc.OperationalError, match="no such table"):
        open_poster(engine).post([make_row(1)])
    engine.dispose()


@pytest.mark.e2e
def test_a_schema_that_is_missing_is_waited_for_in_postgresql(postgresql: PostgreSQL, tmp_path: Path) -> None:
    engine = open_engine(database_url(postgresql.new_database(), tmp_path))
    with pytest.raises(sa.exc.ProgrammingError, match="UndefinedTable"):
        open_poster(engine).post([make_row(1)])
    engine.dispose()


def test_sums_that_sqlite_cannot_hold_are_refused(tmp_path: Path) -> None:
    engine = open_engine(database_url(None, tmp_path))
    migrate(engine)
    with pytest.raises(RefusedRowsError, match="a sum of costs is out of range"):
        open_poster(engine).post([make_row(1, cost=2**62), make_row(2, cost=2**62)])
    with pytest.raises(RefusedRowsError, match="status: missing"):
        open_poster(engine).post(
            [b'{"id":"1","started_at":"","key_id":"","kind":"","asked":"","outcome":""}']
        )
    engine.dispose()


def test_a_dead_workers_journal_is_adopted_once_and_a_live_ones_is_not(
    engine: sa.Engine, tmp_path: Path
) -> None:
    dead, live = Journal(tmp_path / "j", "dead"), Journal(tmp_path / "j", "live")
    first = Shipper(open_poster(engine), Journal(tmp_path / "j", "first"), pace=Pace(batch_bytes=1000))
    second = Shipper(open_poster(engine), Journal(tmp_path / "j", "second"))
    for number in range(1, 11):
        dead.append(make_row(number))
    os.write(dead._descriptor, make_row(99)[:-5])
    live.append(make_row(100))
    kill(dead)
    assert first.adopt()
    assert not second.adopt()  # the first holds the lock
    while first.adopt():
        pass
    assert ids_of(engine) == list(range(1, 11))
    assert journal_names(tmp_path / "j") == ["first", "live", "second"]


def test_a_journal_that_cannot_be_claimed_does_not_hide_the_others(
    engine: sa.Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "j" / "a.lock").mkdir(parents=True)
    (tmp_path / "j" / "b.00000001.jsonl").write_bytes(make_row(1) + b"\n")
    shipper = Shipper(open_poster(engine), Journal(tmp_path / "j", "w"))
    with caplog.at_level(logging.ERROR):
        while shipper.adopt():
            pass
    assert ids_of(engine) == [1]
    assert [record.message for record in caplog.records] == ["ledger journal cannot be adopted"]


def test_an_adoption_that_its_worker_did_not_end_is_taken_over(engine: sa.Engine, tmp_path: Path) -> None:
    dead = Journal(tmp_path / "j", "dead")
    for number in range(1, 11):
        dead.append(make_row(number))
    kill(dead)
    first = Shipper(open_poster(engine), Journal(tmp_path / "j", "first"), pace=Pace(batch_bytes=1000))
    assert first.adopt()
    assert first.stop(seconds=1)
    second = Shipper(open_poster(engine), Journal(tmp_path / "j", "second"))
    while second.adopt():
        pass
    assert spend_of(engine) == charged([make_row(number) for number in range(1, 11)])


def test_rows_that_the_disk_does_not_take_are_shipped_from_memory(engine: sa.Engine, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", "w")
    real = journal._descriptor
    journal._descriptor = os.open("/dev/full", os.O_WRONLY)
    (tmp_path / "j" / "w.00000002.jsonl").mkdir()  # no new segment either
    shipper = Shipper(open_poster(engine), journal)
    for number in (1, 2):
        journal.append(make_row(number))
    assert shipper.step()
    assert not journal.has_room
    assert (ids_of(engine), shipper.shipped) == ([1, 2], 2)
    assert not shipper.step()
    os.close(journal._descriptor)
    journal._descriptor = real
    assert not shipper.step()
    assert journal.has_room
    journal.append(make_row(3))
    assert shipper.step()
    assert ids_of(engine) == [1, 2, 3]


def test_a_full_disk_for_refused_rows_keeps_them_in_the_journal(tmp_path: Path) -> None:
    engine = open_engine(database_url(None, tmp_path))
    migrate(engine)
    journal = Journal(tmp_path / "j", "w")
    shipper = Shipper(open_poster(engine), journal)
    (tmp_path / "j" / "refused.jsonl").symlink_to("/dev/full")
    journal.append(b"nonsense")
    with pytest.raises(OSError, match="No space left"):
        shipper.step()
    (tmp_path / "j" / "refused.jsonl").unlink()
    assert shipper.step()
    assert shipper.refused == 1
    engine.dispose()


def test_the_thread_ships_what_an_outage_held_back_once(
    engine: sa.Engine, tmp_path: Path, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(tmp_path / "j", "w", limits=JournalLimits(segment_bytes=2000, total_bytes=10**6))
    poster = FailingPoster(open_poster(engine))
    poster.failures = 6
    shipper = Shipper(poster, journal, pace=QUICK)
    with caplog.at_level(logging.INFO):
        shipper.start()
        for number in range(1, 21):
            journal.append(make_row(number))
            shipper.notify()
        assert shipper.wait_for(20, seconds=20)
        eventually(lambda: segments(tmp_path / "j", journal.name) == [journal._number] and journal._size == 0)
        assert shipper.stop(seconds=20)
    assert spend_of(engine) == charged([make_row(number) for number in range(1, 21)])
    messages = [record.message for record in caplog.records]
    assert messages.count("ledger waits for the database") == 6
    assert "ledger ships again" in messages


def test_attempts_are_spread_further_and_further(tmp_path: Path) -> None:
    engine = open_engine(database_url(None, tmp_path))
    shipper = Shipper(open_poster(engine), Journal(tmp_path / "j", "w"), jitter=lambda: 0.5)
    waits: list[float] = []

    class Recorder(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or 0)
            return False

    shipper._ending = Recorder()
    for failures in (1, 2, 3, 100_000):
        shipper._back_off(failures)
    assert waits == [0.25, 0.5, 1.0, 7.5]
    engine.dispose()


def test_a_ledger_closed_in_an_outage_leaves_its_rows_to_the_next(engine: sa.Engine, tmp_path: Path) -> None:
    ledger = Ledger(engine, tmp_path / "j", worker_id="w", pace=QUICK)
    ledger._shipper._poster = away = FailingPoster(open_poster(engine))
    away.failures = 10**9
    ledger.start()
    for number in range(1, 6):
        ledger.record(make_row(number))
    assert not ledger.flush(seconds=0.01)
    ledger.close(seconds=0.05)
    assert ledger.waiting == 5
    following = Ledger(engine, tmp_path / "j", worker_id="w", pace=QUICK)
    assert following._journal.name == "w-2"
    while following._shipper.adopt():
        pass
    assert ids_of(engine) == [1, 2, 3, 4, 5]
    following.close(seconds=1)
    assert list((tmp_path / "j").iterdir()) == []


def test_a_flush_waits_for_the_rows_recorded_so_far(engine: sa.Engine, tmp_path: Path) -> None:
    ledger = Ledger(engine, tmp_path / "j", worker_id="w", pace=Pace(gather=600, idle=600))
    ledger.start()
    for number in range(1, 4):
        ledger.record(make_row(number))
        assert ledger.flush(seconds=20)  # does not wait for the others of the batch
        assert ids_of(engine) == list(range(1, number + 1))
    assert (ledger.waiting, ledger.refused, ledger.has_room) == (0, 0, True)
    ledger.close(seconds=20)


_APPENDS = """
import os, sys
from pathlib import Path
from routeiq_appliance.state.database import database_url, open_engine
from routeiq_appliance.state.ledger import Ledger
from tests.appliance.ledger_rows import make_row
url, data = sys.argv[1:3]
ledger = Ledger(open_engine(database_url(url or None, Path(data))), Path(data) / "journal", worker_id="victim")
ledger.start()
for number in range(1, 10**9):
    ledger.record(make_row(number))
    os.write(1, b"%d\\n" % number)
"""


@pytest.mark.parametrize("after", [1, 500, 5000])
def test_rows_of_a_killed_worker_are_shipped_once_by_another(
    engine: sa.Engine, tmp_path: Path, after: int
) -> None:
    url = "" if engine.dialect.name == "sqlite" else engine.url.render_as_string(hide_password=False)
    root = str(Path(__file__).parents[2])
    victim = subprocess.Popen(
        [sys.executable, "-c", _APPENDS, url, str(tmp_path / "data")],
        stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip
    assert victim.stdout is not None
    with victim.stdout as pipe:
        reported = [int(pipe.readline()) for _ in range(after)]
        victim.kill()
        reported += [int(line) for line in pipe if line.endswith(b"\n")]
    assert victim.wait() == -9
    shipper = Shipper(open_poster(engine), Journal(tmp_path / "data" / "journal", "heir"))
    while shipper.adopt():
        pass
    shipped = ids_of(engine)
    assert reported == list(range(1, len(reported) + 1))
    assert shipped in (reported, [*reported, len(reported) + 1])  # killed between the row and its report
    assert spend_of(engine) == charged([make_row(number) for number in shipped])
    assert journal_names(tmp_path / "data" / "journal") == ["heir"]


@pytest.mark.e2e
def test_two_shippers_with_the_same_rows_in_other_orders_take_each_once(
    postgresql: PostgreSQL, tmp_path: Path
) -> None:
    engine = open_engine(database_url(postgresql.new_database(), tmp_path))
    migrate(engine)
    rows = [make_row(number, charges=[[f"key:{number % 7}", 0], ["team:t", 0]]) for number in range(1, 1001)]
    barrier = threading.Barrier(4)
    faults: list[Exception] = []

    def ship(order: int) -> None:
        poster = open_poster(engine)
        mine = rows if order % 2 else rows[::-1]
        try:
            for start in range(0, 1000, 100):
                barrier.wait()
                poster.post(mine[start : start + 100])
                poster.post([make_row(10_000 + 1000 * order + start, charges=[["team:t", 0], ["key:1", 0]])])
        except sa.exc.SQLAlchemyError as error:
            faults.append(error)
            barrier.abort()

    threads = [threading.Thread(target=ship, args=(order,)) for order in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    others = [
        make_row(10_000 + 1000 * order + start, charges=[["team:t", 0], ["key:1", 0]])
        for order in range(4) for start in range(0, 1000, 100)
    ]  # fmt: skip
    assert len(ids_of(engine)) == 1040
    assert spend_of(engine) == charged([*rows, *others])
    engine.dispose()


@pytest.mark.e2e
def test_rows_of_an_outage_of_postgresql_are_shipped_once_on_its_return(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(running_postgresql())
        engine = open_engine(database_url(server.url("postgres"), tmp_path))
        stack.callback(engine.dispose)
        migrate(engine)
        ledger = Ledger(engine, tmp_path / "j", worker_id="w", pace=QUICK)
        ledger.start()
        ledger.record(make_row(1))
        assert ledger.flush(seconds=30)
        server.stop()
        for number in range(2, 500):
            ledger.record(make_row(number))
        assert not ledger.flush(seconds=0.05)
        assert ledger.has_room
        server.start()
        ledger.record(make_row(500))
        assert ledger.flush(seconds=30)
        ledger.close(seconds=10)
        assert spend_of(engine) == charged([make_row(number) for number in range(1, 501)])
